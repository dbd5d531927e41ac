"""Looks in YAML, their shapes, and the makeup of a reference laid onto faces by the common map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pydantic import ValidationError
from torch import Tensor

from ganchain import chains
from ganchain.chains.digest import chain_hash
from ganchain.cli.main import main
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.makeup import FINER, REGIONS, Laid, Look, paint
from ganchain.engines.probe import probe_reading, probe_window
from ganchain.errors import ChainError
from ganchain.faces import atlas, mesh
from ganchain.faces.regions import Shape, regions
from ganchain.framing import TIGHT
from ganchain.looks.files import bundled, load
from ganchain.looks.transfer import READ, Reference, zones
from ganchain.stages.makeup import Makeup
from ganchain.web import submitted

Read = dict[str, Tensor]
ALL = (*REGIONS, *FINER)


@pytest.fixture(scope="module")
def face() -> tuple[Tensor, Read]:
    """The drawn face, and what is read of it."""
    picture = probe_window(TIGHT, 256)
    return picture, probe_reading().within(TIGHT, picture, READ)


def drawn(read: Read, name: str, shape: Shape) -> Tensor:
    return regions(read["points"], read["skin"], shape)[0, ALL.index(name)]


def worn(picture: Tensor, read: Read) -> Makeup:
    stage = Makeup(reference=Path("reference.png")).eval()
    stage.take(Reference.of(picture, read))
    return stage


def with_shadow(picture: Tensor, read: Read, shift: tuple[float, float, float]) -> Tensor:
    lids = drawn(read, "lids", Shape(height=0.6))
    change = lids * torch.tensor(shift)[:, None, None]
    return paint(picture, regions(read["points"], read["skin"]), Look(), Laid(change[None], None))


def test_there_are_ten_looks_and_each_is_another() -> None:
    assert len(bundled()) == 10 and {"natural", "rose", "coral", "evening", "smoky"} <= set(bundled())
    assert len({load(name) for name in bundled()}) == 10


def test_a_look_of_ones_own_is_a_file_beside_the_chain(tmp_path: Path) -> None:
    look, chain = tmp_path / "mine.yaml", tmp_path / "my.yaml"
    chain.write_text("stages:\n  - makeup: {look: mine.yaml}\n")
    hashes = set()
    for amount in (0.25, 0.5):
        look.write_text(f'lips: {{colour: "#204080", amount: {amount}}}\n')
        spec = chains.load(chain).stages[0]
        stage = spec.build()
        assert isinstance(stage, Makeup) and stage.look.lips_amount == amount and stage.look.lids_amount == 0
        hashes.add(chain_hash(chains.load(chain), []))
    assert len(hashes) == 2  # the file's content is part of what is done


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("skin: 0.5\nlips: {colour: reddish, amount: 1}\n", 2, "'reddish' is no colour"),
        ("blush:\n  amount: 1\n  place: nose\n", 3, "available: high, low, middle"),
        ("lids: {amount: 2}\n", 1, "less than or equal to 1"),
        ("liner: {wing: 1}\n", 1, "this option is needed"),
        ("lisp: {amount: 1}\n", 1, "did you mean 'lips'"),
        ("- lips\n", 1, "a look is a mapping"),
    ],
)
def test_an_error_in_a_look_names_file_and_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ChainError) as caught:
        load(file)
    assert f"{file}:{line}" in str(caught.value) and said in str(caught.value)


def test_an_unknown_look_is_refused_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"did you mean 'smoky'.*available: berry.*winged, or a YAML file's path"):
        Makeup(look="smokey")
    (tmp_path / "my.yaml").write_text("stages:\n  - makeup: {look: missing.yaml}\n")
    with pytest.raises(ChainError, match=r"my\.yaml:2.*no file .*missing\.yaml"):
        chains.load(tmp_path / "my.yaml")


def test_visitors_name_looks_and_no_files(tmp_path: Path) -> None:
    chain = submitted.parse("stages: [{makeup: {look: winged}}]", "chain", tmp_path)
    assert chain.stages[0].options["look"] == "winged"
    for look, said in (("glam", "available: berry"), ("mine.yaml", "no file mine.yaml"), ("/etc/a.yaml", "paths")):
        with pytest.raises(ChainError, match=said):
            submitted.parse(f"stages: [{{makeup: {{look: {look}}}}}]", "chain", tmp_path)


def test_a_wing_goes_on_beyond_the_corner_of_the_eye(face: tuple[Tensor, Read]) -> None:
    points = (face[1]["points"][0] + 1) * 128 - 0.5
    corner = float(points[mesh.RIGHT_UPPER_LID[0], 0])
    reach = [float((drawn(face[1], "liner", Shape(wing=wing)) > 0.3).any(dim=0).nonzero().min()) for wing in (0, 1)]
    assert reach[1] < corner - 8 < reach[0]


def test_shapes_move_what_is_painted(face: tuple[Tensor, Read]) -> None:
    rows = torch.arange(256.0)[:, None]
    cheeks = [drawn(face[1], "cheeks", Shape(blush=place)) for place in ("high", "middle", "low")]
    heights = [float((plane * rows).sum() / plane.sum()) for plane in cheeks]
    assert heights[0] < heights[1] < heights[2]
    flat, high, under = (drawn(face[1], "lids", shape) for shape in (Shape(0), Shape(1), Shape(under=1)))
    assert high.sum() > 1.3 * flat.sum() and under.sum() > 1.3 * drawn(face[1], "lids", Shape()).sum()
    lips, inner, outline = (drawn(face[1], name, Shape()) for name in ("lips", "inner", "outline"))
    assert 0.3 * lips.sum() < inner.sum() < 0.9 * lips.sum() and (outline <= lips + 1e-6).all()


def test_gradient_lips_are_darker_inside(face: tuple[Tensor, Read]) -> None:
    picture, read = face
    maps = regions(read["points"], read["skin"])
    look = Look(lips=(35.0, 55.0, 25.0), lips_amount=1.0, gradient=1.0)
    apart = (to_lab(paint(picture, maps, look)) - to_lab(picture)).norm(dim=1)[0]
    inner, lips = maps[0, ALL.index("inner")], maps[0, 0]
    rim = (lips - inner).clamp(min=0)
    assert (apart * inner).sum() / inner.sum() > 1.3 * (apart * rim).sum() / rim.sum()


def test_the_map_is_symmetric_and_brings_a_face_back(face: tuple[Tensor, Read]) -> None:
    points = atlas.points()
    partner = [number for number in mesh.MIRROR if number < atlas.SURFACE]
    assert np.abs(points[partner] * (-1, 1) - points).max() < 1e-6
    picture = face[0][0].permute(1, 2, 0).contiguous().numpy()
    places = ((face[1]["points"][0].numpy() + 1) * 128 - 0.5).astype(np.float32)
    flat, seen = atlas.unroll(picture, places)
    where, known = atlas.lookup(places, 256)
    back = atlas.place(flat, where)
    inside = known > 0.99
    assert seen.mean() > 0.4 and inside.mean() > 0.3
    assert np.abs(back - picture)[inside].mean() < 0.03


@pytest.mark.parametrize("shift", [(-12.0, -4.0, -42.0), (-8.0, 22.0, 42.0)])
def test_blue_and_orange_shadow_come_over_in_their_place(
    face: tuple[Tensor, Read], shift: tuple[float, float, float]
) -> None:
    picture, read = face
    painted = with_shadow(picture, read, shift)
    with torch.inference_mode():
        made = worn(painted, read)(picture, points=read["points"], skin=read["skin"])
    lids = drawn(read, "lids", Shape(height=0.6))
    change = ((to_lab(made) - to_lab(picture))[0] * lids).sum(dim=(1, 2)) / (lids**2).sum()
    assert np.sign(float(change[2])) == np.sign(shift[2])
    assert 0.5 < float(change[2]) / shift[2] < 1.5


def test_amounts_leave_out_what_is_around_the_eyes_or_all_else(face: tuple[Tensor, Read]) -> None:
    picture, read = face
    stage = worn(with_shadow(picture, read, (-10.0, 0.0, -45.0)), read)
    lids = drawn(read, "lids", Shape())
    changes = []
    for eyes in (None, 0.5, 0.0):
        stage.eyes = eyes
        stage.look = replace(stage.look, evenness=0.0, brows=0.0, lips_amount=0.0)
        with torch.inference_mode():
            made = stage(picture, points=read["points"], skin=read["skin"])
        changes.append(float(((to_lab(made) - to_lab(picture)).norm(dim=1)[0] * lids).sum() / lids.sum()))
    assert changes[0] > 1.5 * changes[1] > 3 * changes[2]


def test_a_reference_without_makeup_changes_nearly_nothing(face: tuple[Tensor, Read]) -> None:
    picture, read = face
    with torch.inference_mode():
        made = worn(picture, read)(picture, points=read["points"], skin=read["skin"])
    apart = (to_lab(made) - to_lab(picture)).norm(dim=1)[0]
    skin = drawn(read, "skin", Shape())
    assert float((apart * skin).sum() / skin.sum()) < 1.0


def over(picture: Tensor, cover: Tensor, colour: tuple[float, float, float]) -> Tensor:
    """Lay a plane (S, S) 0..1 of one colour (RGB 0..1) over a face; no matte knows of it."""
    return picture + cover * (torch.tensor(colour)[:, None, None] * 2 - 1 - picture)


def line(start: tuple[float, float], end: tuple[float, float], width: int = 2) -> Tensor:
    plane = cv2.line(np.zeros((256, 256), np.uint8), tuple(map(round, start)), tuple(map(round, end)), (255,), width)
    return torch.from_numpy(cv2.GaussianBlur(plane, (0, 0), 0.8).astype(np.float32) / 255)


def px(read: Read, number: int) -> tuple[float, float]:
    x, y = ((read["points"][0, number] + 1) * 128 - 0.5).tolist()
    return x, y


def before(read: Read, name: str) -> tuple[Tensor, tuple[float, float, float]]:
    """Draw what lies before a face, and name its colour."""
    top, chin, cheek, side = (px(read, number) for number in (10, 152, 50, 234))
    if name == "strand over the forehead":
        return line((top[0] - 20, top[1] - 10), (top[0] + 8, top[1] + 30)), (0.12, 0.08, 0.05)
    if name == "strand over a cheek":
        return line((side[0] - 10, side[1]), (cheek[0], cheek[1] + 8)), (0.12, 0.08, 0.05)
    if name == "strand below an eye":
        return line(px(read, 118), px(read, 50)), (0.12, 0.08, 0.05)
    spots = np.zeros((256, 256), np.uint8)
    for shift in (-14, 0, 14):
        cv2.circle(spots, (round(chin[0] + shift), round(chin[1] - 4)), 7, (255,), -1, cv2.LINE_AA)
    return torch.from_numpy(spots.astype(np.float32) / 255), (0.9, 0.5, 0.1)


BEFORE = ("strand over the forehead", "strand over a cheek", "strand below an eye", "flowers before the chin")


@pytest.mark.parametrize("name", BEFORE)
def test_what_lies_before_a_face_is_no_makeup(face: tuple[Tensor, Read], name: str) -> None:
    picture, read = face
    cover, colour = before(read, name)
    with torch.inference_mode():
        made, plain = (
            worn(reference, read)(picture, points=read["points"], skin=read["skin"])
            for reference in (over(picture, cover, colour), picture)
        )
    apart = (to_lab(made) - to_lab(plain)).norm(dim=1)[0]
    assert float((apart * cover).sum() / cover.sum()) < 1.5 and float(apart.amax()) < 12


@pytest.mark.parametrize("edge", [3.0, 20.0])
def test_light_from_one_side_is_no_makeup(face: tuple[Tensor, Read], edge: float) -> None:
    picture, read = face
    middle = px(read, 4)[0]
    dark = torch.sigmoid((torch.arange(256.0) - middle + 22) / edge)[None].expand(256, 256)
    lab = to_lab(picture)
    lit = from_lab(torch.cat([lab[:, :1] * (0.6 + 0.4 * dark), lab[:, 1:]], dim=1))
    with torch.inference_mode():
        made, plain = (
            worn(reference, read)(picture, points=read["points"], skin=read["skin"]) for reference in (lit, picture)
        )
    skin = drawn(read, "skin", Shape())
    apart = (to_lab(made) - to_lab(plain)).abs()[0, 0]
    assert float((apart * skin).sum() / skin.sum()) < 1.0


def test_makeup_that_hair_hides_on_one_side_is_taken_from_the_other(face: tuple[Tensor, Read]) -> None:
    picture, read = face
    shift = (-10.0, -5.0, -45.0)
    half = (torch.arange(256.0) > px(read, 4)[0]).float().expand(1, 1, 256, 256)
    hidden = {**read, "skin": read["skin"] * half}
    painted = with_shadow(picture, read, shift) * half + (1 - half) * -0.9  # black hair over half of the face
    with torch.inference_mode():
        made = worn(painted, hidden)(picture, points=read["points"], skin=read["skin"])
    lids = drawn(read, "lids", Shape(height=0.6)) * (1 - half[0, 0])
    change = ((to_lab(made) - to_lab(picture))[0, 2] * lids).sum() / lids.square().sum()
    assert 0.4 < float(change) / shift[2] < 1.5


def test_eyes_and_mouth_of_the_map_are_left_out() -> None:
    openings = zones().openings
    points = atlas.places()
    for number in (159, 386):  # over the middle of an eye
        x, y = points[number]
        assert openings[round(float(y)) + 6, round(float(x))] == 1


@pytest.mark.slow
def test_looks_are_drawn_on_a_face(photo_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["looks", str(photo_file), "-o", "sheet.png", "--side", "64"])
    assert done.exit_code == 0, done.output
    assert "1 row of 10 settings" in done.output and (tmp_path / "sheet.png").exists()
