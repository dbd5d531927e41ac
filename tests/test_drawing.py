"""The drawing: what is in it, where its lines may be, how steady and how sharp it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ganchain.drawing import eyes, planes, trace
from ganchain.drawing.draw import Style, draw
from ganchain.drawing.flats import without_islands
from ganchain.drawing.ground import Surroundings
from ganchain.drawing.held import held_colours
from ganchain.drawing.lines import Lines, flow, lines, valleys
from ganchain.drawing.page import Head, page
from ganchain.drawing.paint import paint, paint_page
from ganchain.drawing.paths import Drawing, Knots, Line, Page, Planes, Ring, Shape, circle, curve, stroke, taper
from ganchain.drawing.study import Study
from ganchain.drawing.svg import svg
from ganchain.errors import GanchainError
from ganchain.faces import mesh
from ganchain.faces.parts import PARTS
from ganchain.framing import BUST
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline.order import running_order
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels

SIDE = 256


@pytest.fixture(scope="module")
def mean_face() -> Knots:
    """A frontal face of 478 points: the lines that are drawn where they belong, all other points between them."""
    points = np.full((mesh.POINTS, 2), 128.0) + np.random.default_rng(3).normal(0, 12, (mesh.POINTS, 2))
    turn = np.linspace(-np.pi / 2, 3 * np.pi / 2, len(mesh.OVAL), endpoint=False)
    points[list(mesh.OVAL)] = np.stack([128 + 52 * np.cos(turn), 135 + 66 * np.sin(turn)], axis=1)
    for sign, upper, lower, iris, brow in (
        (-1, mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID, mesh.RIGHT_IRIS, mesh.RIGHT_BROW),
        (1, mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID, mesh.LEFT_IRIS, mesh.LEFT_BROW),
    ):
        x = 128 + sign * np.linspace(38, 16, 9)
        arch = np.sin(np.linspace(0, np.pi, 9))
        points[list(upper)], points[list(lower)] = np.stack([x, 118 - 4 * arch], 1), np.stack([x, 118 + 3 * arch], 1)
        points[iris[0]] = 128 + sign * 27, 117.5
        points[list(iris[1:])] = points[iris[0]] + 5 * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])
        x = 128 + sign * np.linspace(42, 14, 5)
        points[list(brow[:5])], points[list(brow[:4:-1])] = np.stack([x, x * 0 + 103], 1), np.stack([x, x * 0 + 107], 1)
    x = np.linspace(108, 148, 11)
    for lip, y, bow in (
        (mesh.UPPER_LIP, 170, -5),
        (mesh.INNER_UPPER_LIP, 170, -1),
        (mesh.INNER_LOWER_LIP, 170, 1),
        (mesh.LOWER_LIP, 170, 7),
    ):
        points[list(lip)] = np.stack([x, y + bow * np.sin(np.linspace(0, np.pi, 11))], axis=1)
    points[1], points[2] = (128, 145), (128, 152)
    return points


@pytest.fixture(scope="module")
def head(mean_face: Knots) -> tuple[Planes, dict[str, Planes]]:
    """A picture of that face, lit from the left, and its mattes."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    face = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(face, [mean_face[list(mesh.OVAL)].round().astype(np.int32)], (1.0,))
    skin = np.maximum(face, ((np.abs(x - 128) < 28) & (y > 180)).astype(np.float32))
    hair = ((np.hypot((x - 128) / 70, (y - 110) / 85) < 1) & (y < 150)).astype(np.float32) * (1 - face)
    hair[70:100] = np.maximum(hair[70:100], face[70:100] * (y[70:100] < 92))
    skin, hair = (cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in (skin * (1 - hair), hair))
    light = np.where(x + 8 * np.sin(y / 9) > 150, 0.72, 1.0)[..., None]
    picture = np.full((SIDE, SIDE, 3), 0.6) * (1 - skin - hair)[..., None]
    picture = picture + skin[..., None] * np.array([0.78, 0.6, 0.5]) * light
    picture = picture + hair[..., None] * (0.25 + 0.05 * np.sin(x / 3))[..., None]
    mattes = dict.fromkeys(PARTS, np.zeros((SIDE, SIDE), np.float32))
    mattes |= {"skin": skin, "hair": hair, "rest": (1 - skin - hair).clip(0, 1).astype(np.float32)}
    return picture.clip(0, 1).astype(np.float32), {name: np.asarray(m, np.float32) for name, m in mattes.items()}


def shapes_of(drawing: Drawing) -> list[tuple[str, Shape]]:
    return [(name, shape) for name, shapes in drawing.layers.items() for shape in shapes]


def test_the_layers_of_a_face(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    drawing = draw(head[0], mean_face, head[1])
    assert list(drawing.layers) == [
        "skin",
        "shadow",
        "blush",
        "line",
        "nose",
        "mouth",
        "hair",
        "strands",
        "background",
        "brows",
        "eyes",
    ]


def test_a_stroke_is_as_wide_as_said_and_tapers() -> None:
    drawing = Drawing()
    drawing.put("line", Line([stroke(curve([(20, 128), (230, 128)], 20), taper(20, 10, 0.3, 0.3, 0.1))], (0, 0, 0)))
    dark = 255.0 - paint(drawing, 512)[..., 0]
    widths = dark.sum(axis=0) / 255 / 2
    assert widths[256] == pytest.approx(10, abs=0.1)
    assert 0.5 < widths[44] < 3 and widths[470] < 3


def test_a_circle_has_its_area_at_every_size() -> None:
    drawing = Drawing()
    drawing.put("eyes", Shape([circle((120.3, 99.7), 41.2)], (0, 0, 0)))
    for side in (128, 400, 1024):
        covered = (255.0 - paint(drawing, side)[..., 0]).sum() / 255 * (256 / side) ** 2
        assert covered == pytest.approx(np.pi * 41.2**2, rel=0.004)


def test_edges_are_as_sharp_at_every_size(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    drawing = draw(head[0], mean_face, head[1], Style(look="line"))
    for side in (256, 1024):
        row = paint(drawing, side)[..., 0].astype(float)
        steps = np.abs(np.diff(row, axis=1)).max(axis=1)
        assert np.median(steps[steps > 60]) > 100  # black to white within two or three pixels


@pytest.mark.parametrize("look", ["webtoon", "ink", "line"])
def test_equal_faces_give_equal_bytes(mean_face: Knots, head: tuple[Planes, dict[str, Planes]], look: str) -> None:
    first, second = (paint(draw(head[0], mean_face, head[1], Style(look=look)), 200) for _ in range(2))  # type: ignore[arg-type]
    assert first.tobytes() == second.tobytes()
    if look != "webtoon":
        assert np.ptp(first.astype(int), axis=2).max() < 8


def reach(ring: Ring) -> float:
    return float(max(np.ptp(np.concatenate(ring.runs), axis=0)))


def hair_in(
    lab: tuple[float, float, float], points: Knots, head: tuple[Planes, dict[str, Planes]]
) -> tuple[float, float, float]:
    """Draw that face with hair of a colour, and return the Lab of its fill."""
    picture, mattes = head
    hair = mattes["hair"][..., None]
    shown = picture * (1 - hair) + hair * np.array(planes.rgb(lab), np.float32)
    drawing = draw(shown.astype(np.float32), points, mattes)
    fill = np.array(next(shape.colour for shape in drawing.layers["hair"] if shape.opacity == 1), np.float32)
    light, red, yellow = planes.to_lab(fill.reshape(1, 1, 3))[0, 0]
    return float(light), float(red), float(yellow)


def test_dark_hair_under_blue_lamps_is_nearly_black(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    light, red, yellow = hair_in((20, 8, -8), mean_face, head)
    assert light < 20 and red > 0 and np.hypot(red, yellow) < 8


def test_grey_hair_in_blue_light_is_not_green(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    assert hair_in((58, 5, -15), mean_face, head)[1] > 0
    assert hair_in((43, 1, -10.2), mean_face, head)[1] > -2


@pytest.mark.parametrize(
    "lab", [(18, 20, -36), (45, -40, 25), (40, 35, -40), (60, 5, 28), (27, 8, 14), (35, 22, 28)], ids=str
)
def test_hair_keeps_the_hue_of_a_dye(
    lab: tuple[float, float, float], mean_face: Knots, head: tuple[Planes, dict[str, Planes]]
) -> None:
    _, red, yellow = hair_in(lab, mean_face, head)
    turned = np.angle(complex(red, yellow) / complex(*lab[1:]), deg=True)
    assert abs(turned) < 12 and np.hypot(red, yellow) > 0.9 * np.hypot(*lab[1:])


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_read_the_drawing_is_finite_and_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-40 if seed % 2 else 60, 300 if seed % 2 else 200, (mesh.POINTS, 2))
    noise = [cv2.resize(rng.random((1 + 6 * seed,) * 2, np.float32), (96, 96)) for _ in (*PARTS, 0, 0, 0)]
    mattes = {name: (3 * plane - 1).clip(0, 1) for name, plane in zip(PARTS, noise, strict=False)}
    drawing = draw(np.dstack(noise[-3:]).clip(0, 1), points, mattes)
    for name, shape in shapes_of(drawing):
        for ring in shape.rings:
            assert all(np.isfinite(run).all() for run in ring.runs), name
            if isinstance(shape, Line) and name in ("strands", "beard", "background"):
                assert reach(ring) <= SIDE + 2 * trace.MARGIN, name
    assert np.isfinite(paint(drawing, 64)).all()


@pytest.mark.parametrize("missing", ["hair", "skin", "all"])
def test_without_hair_or_skin_there_is_no_cap_and_no_crash(
    mean_face: Knots, head: tuple[Planes, dict[str, Planes]], missing: str
) -> None:
    picture, mattes = head
    empty = np.zeros_like(mattes["rest"])
    mattes = {name: empty if missing in ("all", name) else matte for name, matte in mattes.items()}
    drawing = draw(picture, mean_face, mattes)
    assert ("hair" in drawing.layers) == (missing == "skin")
    assert ("skin" not in drawing.layers or not drawing.layers["skin"][0].rings) == (missing != "hair")


def test_a_point_moved_by_a_third_of_a_pixel_moves_no_tone(
    mean_face: Knots, head: tuple[Planes, dict[str, Planes]]
) -> None:
    shifted = mean_face + np.random.default_rng(1).uniform(-0.3, 0.3, mean_face.shape)
    tones = []
    for points in (mean_face, shifted):
        whole = draw(head[0], points, head[1])
        shadow = Drawing({"shadow": [*whole.layers["skin"], *whole.layers["shadow"]]})
        tones.append(paint(shadow, SIDE).astype(int))
    differs = (np.abs(tones[0] - tones[1]).max(axis=2) > 12).astype(np.uint8)
    assert cv2.erode(differs, np.ones((3, 3), np.uint8)).sum() == 0  # nowhere wider than two pixels


class Remembered:
    """Hold that remembers everything, and has skin of its own."""

    def __init__(self) -> None:
        self.known: dict[str, NDArray[Any]] = {}

    def __call__(self, name: str, value: NDArray[Any], jump: float = 0.0) -> NDArray[Any]:
        self.known[name] = np.array([70.0, 20, 20]) if name == "skin" else value
        return self.known[name]

    def last(self, name: str) -> NDArray[Any] | None:
        return self.known.get(name)


def test_along_a_video_the_colours_of_the_ground_go_on_while_they_fit() -> None:
    dice, hold = np.random.default_rng(0), Remembered()
    colours = np.array([[20, 0, 0], [50, 20, 10], [80, 0, -20]], np.float32)
    seen = np.repeat(colours, 50, axis=0) + dice.normal(0, 1, (150, 3)).astype(np.float32)
    first = held_colours(seen, hold, lambda _: list(colours))
    again = held_colours(seen + np.float32(1), hold, lambda _: pytest.fail("they are not chosen anew"))
    assert np.abs(np.stack(again) - colours - 1).max() < 0.5 and len(first) == 3
    other = np.array([[90, 0, 0]], np.float32)
    assert (np.stack(held_colours(np.repeat(other, 9, axis=0), hold, lambda _: list(other))) == other).all()


def test_along_a_video_colours_light_and_lines_are_held(
    mean_face: Knots, head: tuple[Planes, dict[str, Planes]]
) -> None:
    hold = Remembered()
    drawing = draw(head[0], mean_face, head[1], hold=hold)
    assert set(hold.known) == {"skin", "hair", "exposure", "light", "base", "locks", "ink"}
    assert drawing.layers["skin"][0].colour != draw(head[0], mean_face, head[1]).layers["skin"][0].colour


def test_the_iris_keeps_its_colour(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    picture = head[0].copy()
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for iris in (mesh.RIGHT_IRIS, mesh.LEFT_IRIS):
        cx, cy = mean_face[iris[0]]
        picture[np.hypot(x - cx, y - cy) < 5.5] = 0.25, 0.4, 0.6
    _, red, blue = eyes.iris_colour(Study(picture, mean_face, head[1]), eyes.EYES[0])
    assert blue < -12 and abs(red) < 8
    drawn = paint(draw(picture, mean_face, head[1]), 1024).astype(int)
    cx, cy = (int(4 * c) for c in mean_face[mesh.RIGHT_IRIS[0]])
    ring = drawn[cy + 6 : cy + 10, cx - 10 : cx - 4].mean(axis=(0, 1))
    assert ring[2] > ring[0] + 20


def test_eyes_grow_and_natural_ones_stay(mean_face: Knots) -> None:
    assert np.array_equal(eyes.enlarged(mean_face, 0), mean_face)
    large = eyes.enlarged(mean_face, 1)
    lids = [*mesh.RIGHT_UPPER_LID, *mesh.RIGHT_LOWER_LID]
    assert np.ptp(large[lids], axis=0)[1] > 1.4 * np.ptp(mean_face[lids], axis=0)[1]
    assert np.abs(large - mean_face).max() < 12


def test_a_plain_background_leaves_the_head(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    drawn = paint(draw(head[0], mean_face, head[1], Style(background="#ff0000")), SIDE).astype(int)
    assert (np.abs(drawn[5:40, 5:40] - [255, 0, 0]) < 12).all()
    assert np.abs(drawn[140, 120] - [255, 0, 0]).max() > 60


def test_options_are_for_what_they_change() -> None:
    assert Webtoon().resolved().reads == ("points", *PARTS)
    assert Webtoon(look="filter").resolved().reads == ()
    with pytest.raises(Exception, match="eyes"):
        Webtoon(look="filter", eyes=0.5)
    with pytest.raises(Exception, match="no colour"):
        Webtoon(background="rainbow")
    assert Webtoon(look="line", scope="photo").resolved().reads == ("points", *PARTS)
    with pytest.raises(Exception, match="eyes"):
        Webtoon(look="filter", scope="photo", eyes=0.5)


def test_an_enlargement_runs_before_the_drawing_it_follows() -> None:
    draw_stage, large, paint_stage = Webtoon().resolved(), Upscale(factor=2), Webtoon(look="filter")
    assert running_order([draw_stage, large]) == [1, 0]
    assert running_order([paint_stage, large]) == [0, 1]
    assert running_order([paint_stage, draw_stage, large, draw_stage]) == [0, 2, 1, 3]


def edge_width(column: NDArray[np.float64]) -> float:
    """Measure the way from 10 % to 90 % of the steepest edge, in px."""
    place = int(np.abs(np.diff(column)).argmax())
    part = column[max(0, place - 8) : place + 9]
    low, high = part.min(), part.max()
    rank = (part - low) / (high - low)
    step = np.abs(np.diff(rank)).max()
    return float(0.8 / step)


@pytest.mark.slow
def test_a_drawing_that_is_enlarged_is_as_sharp_as_one_of_that_size(small_head: Pixels) -> None:
    twice = np.asarray(Pipeline([Webtoon(look="line"), Upscale(factor=2)])(small_head).image).astype(float)[..., 1]
    large = np.asarray(cv2.resize(small_head, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    native = np.asarray(Pipeline([Webtoon(look="line")])(large).image).astype(float)[..., 1]
    middle = slice(twice.shape[1] // 3, 2 * twice.shape[1] // 3, 3)
    widths = [np.median([edge_width(column) for column in picture[:, middle].T]) for picture in (twice, native)]
    assert widths[0] <= 1.5 * widths[1]


def test_skia_is_imported_in_one_file() -> None:
    package = Path(trace.__file__).parent.parent
    users = [path.name for path in package.rglob("*.py") if re.search(r"^(import|from) skia", path.read_text(), re.M)]
    assert users == ["paint.py"]


def page_of(points: Knots, head: tuple[Planes, dict[str, Planes]], style: Style) -> Page:
    """Draw a photo of 300 x 340 px in which the head's window is 256 px wide."""
    photo = np.full((340, 300, 3), 150, np.uint8)
    photo[30:286, 20:276] = (head[0] * 255).round()
    return page(photo, [Head.of(head[0], points, head[1], np.array([[1.0, 0, 20], [0, 1, 30]]))], style)


@pytest.mark.parametrize("look", ["webtoon", "ink", "line"])
def test_a_page_has_the_head_at_its_place(mean_face: Knots, head: tuple[Planes, dict[str, Planes]], look: str) -> None:
    style = Style(look=look)  # type: ignore[arg-type]
    drawn = paint_page(page_of(mean_face, head, style))
    assert drawn.shape == (340, 300, 4) and (drawn[..., 3] == 255).all()
    assert np.ptp(drawn[:20, :20].astype(int), axis=(0, 1)).max() == 0  # a plain ground is one tone
    x, y = (mean_face[mesh.RIGHT_IRIS[0]] + [20, 30]).astype(int)
    assert drawn[y - 1 : y + 2, x - 1 : x + 2, :3].min() < 60
    assert drawn.tobytes() == paint_page(page_of(mean_face, head, style)).tobytes()


@pytest.mark.parametrize("look", ["webtoon", "ink", "line"])
def test_a_page_without_heads_is_drawn_like_the_ground_of_one_with_them(look: str, landscape: Pixels) -> None:
    style, hold = Style(look=look), Remembered()  # type: ignore[arg-type]
    drawn = paint_page(page(landscape, [], style, hold))
    assert drawn.shape[:2] == landscape.shape[:2] and (drawn[..., 3] == 255).all()
    apart = np.abs(drawn[..., :3].astype(float) - landscape).mean()
    assert apart < 25 if look == "webtoon" else drawn[..., :3].astype(int).std() > 5
    assert ("ground" in hold.known) == (look == "webtoon")
    assert (paint_page(page(landscape, [], Style(background="none")))[..., 3] == 0).all(), "nobody is in it"


def test_a_whole_photo_is_drawn_with_its_shoulders() -> None:
    stage = Webtoon(scope="photo").resolved()
    assert stage.framing == BUST and stage.needs == ("points", "parts", "busts")
    assert "busts" not in stage.all_weights and Webtoon().resolved().needs == ("points", "parts")


def test_a_border_is_soft_in_colour_and_one_line_in_ink(
    mean_face: Knots, head: tuple[Planes, dict[str, Planes]]
) -> None:
    coloured, inked = (draw(head[0], mean_face, head[1], Style(look=look)) for look in ("webtoon", "ink"))
    assert [shape.rim for shape in coloured.layers["hair"][:6]] == [True, False, True, True, True, False]  # thin, whole
    assert not any(shape.rim for _, shape in shapes_of(inked))
    row = paint(coloured, 1024)[400, :, 0].astype(float)
    assert np.abs(np.diff(row)).max() > 40  # lines stay crisp


def test_dim_light_is_told_by_the_whites_of_the_eyes(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    lightness = []
    for light in (1.0, 0.8):
        picture = head[0].copy()
        for lids in ((mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID), (mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID)):
            eye = mean_face[[*lids[0], *lids[1][-2:0:-1]]]
            cv2.fillPoly(picture, [eye.round().astype(np.int32)], (0.74, 0.74, 0.74))
        lightness.append(Study(picture * np.float32(light), mean_face, head[1]))
    bright, dim = lightness
    assert bright.exposure == pytest.approx(1.0, abs=0.02) and dim.exposure > 1.02


def test_a_drawing_as_svg_has_named_layers_of_closed_paths(
    mean_face: Knots, head: tuple[Planes, dict[str, Planes]]
) -> None:
    text = svg(page_of(mean_face, head, Style()), "<note>&amp;</note>")
    tree = ElementTree.fromstring(text)
    labels = {group.get("{http://www.inkscape.org/namespaces/inkscape}label") for group in tree.iter()}
    assert labels >= {"skin", "shadow", "hair", "strands", "brows", "eyes", "nose", "mouth", "line", "background"}
    paths = [path.get("d", "") for path in tree.iter("{http://www.w3.org/2000/svg}path")]
    assert paths and all(path.endswith("Z") for path in paths)
    assert "<image" not in text and len(set(re.findall(r' id="([^"]*)"', text))) == text.count(' id="')
    assert "<image" in svg(page_of(mean_face, head, Style(background="keep")))


def test_a_drawing_as_svg_looks_like_its_picture(mean_face: Knots, head: tuple[Planes, dict[str, Planes]]) -> None:
    for style in (Style(), Style(look="ink"), Style(look="line", background="ivory")):
        whole = page_of(mean_face, head, style)
        read = skia_of(svg(whole), whole.size)
        assert np.abs(read.astype(int) - paint_page(whole)[..., :3]).mean() < 1


def skia_of(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Render SVG by Skia's own reader."""
    skia = pytest.importorskip("skia")
    surface = skia.Surface(*size)
    surface.getCanvas().clear(skia.ColorWHITE)
    tree = skia.SVGDOM.MakeFromStream(skia.MemoryStream(text.encode(), copyData=True))
    tree.setContainerSize(skia.Size(*size))
    tree.render(surface.getCanvas())
    picture = surface.makeImageSnapshot().convert(colorType=skia.kRGBA_8888_ColorType)
    return np.asarray(picture.toarray(colorType=skia.kRGBA_8888_ColorType)[..., :3], np.uint8)


def test_the_calmest_of_four_squares_gives_its_colour() -> None:
    lab = np.random.default_rng(2).uniform(0, 60, (12, 16, 3)).astype(np.float32)
    y, x = 6, 7
    squares = [lab[top : top + 3, left : left + 3].reshape(-1, 3) for top in (y - 2, y) for left in (x - 2, x)]
    weights = np.array([(square.var(axis=0).sum() + 1) ** -4.0 for square in squares])
    expected = np.average([square.mean(axis=0) for square in squares], axis=0, weights=weights)
    assert np.abs(planes.painted(lab)[y, x] - expected).max() < 0.01


def test_islands_get_the_number_around_them_and_a_corner_joins_nothing() -> None:
    label = np.zeros((20, 20), np.uint8)
    label[:, 12:] = 1
    label[3:6, 3:6] = label[6:9, 6:9] = 2  # they touch at a corner: two islands of 9 px
    label[12:18, 2:8] = 2
    expected = label.copy()
    expected[3:9, 3:9] = 0
    assert (without_islands(label, 3, 14) == expected).all()
    assert (without_islands(label, 3, 9) == label).all()


def test_a_dark_stroke_is_followed_from_end_to_end() -> None:
    light = np.full((128, 128), 80.0, np.float32)
    cv2.ellipse(light, (20, 110), (80, 80), 0, -80, -10, (30.0,), 2, cv2.LINE_AA)
    along = flow(light, 2.5)
    dark = valleys(light, along, 1.3, 2.8)
    assert not valleys(light, along, 1.3, 2.8, np.zeros_like(light)).any()
    inside = np.ones_like(light)
    (line,) = lines(dark, along, inside, Lines(least=4.0, short=30.0, apart=3.0, steps=80))
    assert np.abs(np.hypot(*(line * 128 / 256 - (20.5, 110.5)).T) - 80).max() < 1.5
    assert 85 < 2 * len(line) < 110  # px; the arc has 98
    inside[:, 64:] = 0
    (part,) = lines(dark, along, inside, Lines(least=4.0, short=20.0, apart=3.0, steps=80))
    assert part[:, 0].max() < 130
    assert lines(dark, along, np.zeros_like(light), Lines()) == []


def test_a_flattened_ground_has_the_edges_of_the_large_picture() -> None:
    large = np.full((512, 512, 3), 0.2, np.float32)
    large[:, 301:] = (0.7, 0.5, 0.3)
    noisy = large + np.random.default_rng(4).normal(0, 0.01, large.shape).astype(np.float32)
    small = planes.reduced(noisy, 256)
    around = Surroundings(small, noisy, np.zeros((256, 256), np.float32), (256, 256), [])
    flat = around.flattened(0.0).astype(int)
    assert (np.abs(np.diff(flat[:, 290:310].mean(axis=(0, 2))) > 20) == (np.arange(290, 309) == 300)).all()
    assert flat[:, :280].std(axis=(0, 1)).max() < 1.3  # levels: half of the noise
    assert around.flattened(0.35).mean() > flat.mean() + 3


def test_small_islands_appear_slowly() -> None:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    areas = []
    for radius in np.arange(5.0, 9.0, 0.1):
        found = trace.contours((radius - np.hypot(x - 100, y - 90)).astype(np.float32), 0, least=100)
        areas.append(float(cv2.contourArea(found[0].astype(np.float32))) if found else 0.0)
    assert areas[0] == 0 and areas[-1] > 220
    assert np.diff(areas).max() < 25  # an island of 100 square units would appear at once


def test_only_a_drawing_is_written_as_svg(tmp_path: Path, small_head: Pixels) -> None:
    with pytest.raises(GanchainError, match="no drawing"):
        images.write(Photo(small_head), tmp_path / "a.svg")
    Pipeline([Webtoon(scope="photo")])(small_head).save(tmp_path / "a.svg")
    assert "inkscape:label" in (tmp_path / "a.svg").read_text()
    with pytest.raises(GanchainError, match="no drawing"):
        Pipeline([Webtoon(scope="photo"), Webtoon(look="filter")])(small_head).save(tmp_path / "b.svg")
