"""Readings of faces: points, parts and regions as stages get them, what a stage keeps, and when nothing is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganchain.chains.chain import Output
from ganchain.colour.makeup import REGIONS
from ganchain.engines.probe import SHOWN, probe_reading, probe_window
from ganchain.errors import ChainError, FaceError
from ganchain.faces import matting
from ganchain.faces.mesh import INNER_LOWER_LIP, LOWER_LIP, MIRROR, POINTS
from ganchain.faces.parts import PARTS, Parts, Planes
from ganchain.faces.reading import Kind, Points, Reading
from ganchain.faces.regions import regions
from ganchain.framing import BUST, EYES_X, EYES_Y, HEAD, TIGHT, Framing
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.reader import FaceReader
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels, resize
from ganchain.testing import FakeDetector, check_stage, portrait
from ganchain.train.data import samples
from ganchain.train.landmarks import MARKUP, landmarks
from ganchain.train.teachers.prototypes import MIRROR as MIRRORED_MARKUP


def step(side: int) -> tuple[Tensor, Tensor]:
    """A head, dark on the left of a slanted edge and light on its right, and the matte of the left part."""
    rows, columns = torch.meshgrid(*[torch.arange(side) + 0.5] * 2, indexing="ij")
    left = ((0.5 + 0.1 * (rows / side - 0.5)) * side - columns + 0.5).clamp(0, 1)
    return (0.6 - 1.4 * left).expand(1, 3, side, side), left


@pytest.fixture
def split() -> Parts:
    """Hair on the left, rest on the right: mattes of 256 px, as blurred as a network's."""
    picture, left = step(256)
    mattes = np.zeros((len(PARTS), 256, 256), np.float32)
    hair = torch.nn.functional.avg_pool2d(left[None, None], 5, 1, 2, count_include_pad=False)[0, 0]
    mattes[PARTS.index("hair")], mattes[PARTS.index("rest")] = hair, 1 - hair
    return Parts(mattes, ((picture[0] + 1) / 2).numpy())


def test_beyond_the_head_all_is_rest(split: Parts) -> None:
    wide = Framing(HEAD.left - HEAD.side / 2, HEAD.top - HEAD.side / 2, 2 * HEAD.side)
    mattes = dict(zip(PARTS, split.within(wide, torch.zeros(1, 3, 128, 128), PARTS)[0], strict=True))
    inside = np.s_[32:96, 32:96]
    for name, matte in mattes.items():
        outside = matte.clone()
        outside[inside] = float(name == "rest")
        assert bool((outside == float(name == "rest")).all()), name
    assert float(mattes["hair"][40:88, 36:56].mean()) > 0.95


def bust(hair: Planes) -> Parts:
    mattes = np.zeros((len(PARTS), 256, 256), np.float32)
    mattes[PARTS.index("hair")], mattes[PARTS.index("rest")], mattes[PARTS.index("cover")] = hair, 1 - hair, 1
    return Parts(mattes, np.full((3, 256, 256), 0.5, np.float32), BUST)


def test_hair_goes_on_beyond_the_head_and_a_neighbours_does_not(split: Parts) -> None:
    """The head's window takes 163 of the bust's 256 px, from the 47th column and the 40th row."""
    hair = np.zeros((256, 256), np.float32)
    hair[60:240, 60:124] = 1  # from beside the face to the shoulder
    hair[:, 230:] = 1  # somebody else's
    assert split.reaches_edge
    both = split.reached(bust(hair))
    names = ("hair", "rest", "cover")
    mattes = dict(zip(names, both.within(BUST, torch.zeros(1, 3, 256, 256), names)[0], strict=True))
    assert float(mattes["hair"][197:203, 66:118].min()) > 0.95 and float(mattes["hair"][197:203, 140:].max()) < 0.02
    assert float(mattes["hair"][:, 240:].max()) == 0 and float(mattes["cover"].max()) < 0.02
    assert float((mattes["hair"] + mattes["rest"] - 1).abs().max()) < 0.05
    inside = HEAD.within(BUST, 256)
    alone = split.within(BUST, torch.zeros(1, 3, 256, 256), names)[0, 0]
    deep = tuple(slice(part.start + 8, part.stop - 8) for part in inside.place[1:])
    assert float((mattes["hair"][deep] - alone[deep]).abs().max()) < 1e-6


def test_mattes_in_bands_are_those_of_one_piece(split: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    both = split.reached(bust(split["hair"]))
    wanted = both.within(BUST, torch.zeros(1, 3, 301, 301), PARTS)
    monkeypatch.setattr(matting, "BAND", 7)
    torch.testing.assert_close(both.within(BUST, torch.zeros(1, 3, 301, 301), PARTS), wanted, rtol=0, atol=1e-3)


def test_hair_that_goes_on_unseen_fades(split: Parts) -> None:
    below = np.zeros((256, 256), np.float32)
    below[60:, 60:124] = 1
    hair = split.reached(bust(below)).within(BUST, torch.zeros(1, 3, 256, 256), ["hair"])[0, 0, :, 90]
    assert float(hair[-1]) < 0.05 and float(hair[200]) > 0.9 and bool((hair[200:].diff() <= 1e-6).all())


def test_an_edge_is_refined_to_the_resolution_of_the_window(split: Parts) -> None:
    picture, left = step(768)
    hair, rest = split.within(HEAD, picture, ("hair", "rest"))[0]
    assert float((hair - left).abs().mean()) < 0.004
    across = hair[384, 300:468]
    assert int(((across > 0.1) & (across < 0.9)).sum()) <= 4  # px; the matte of 256 px takes 5 * 3
    assert float((hair + rest - 1).abs().max()) < 0.02


def test_mattes_stay_within_their_range_whatever_the_window_shows(split: Parts) -> None:
    noise = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0)) * 2 - 1
    part = Framing(HEAD.left + 0.3, HEAD.top + 0.2, HEAD.side / 3)
    for framing in (HEAD, part):
        mattes = split.within(framing, noise, PARTS)
        assert mattes.shape == (1, len(PARTS), 200, 200) and mattes.dtype == torch.float32
        assert float(mattes.min()) >= 0 and float(mattes.max()) <= 1


def test_points_fall_on_the_same_place_in_every_window() -> None:
    points = probe_reading().points
    near = Framing(HEAD.left + 0.4, HEAD.top + 0.3, HEAD.side / 2)
    placed = [(points.within(f) + 1) / 2 * f.side + (f.left, f.top) for f in (HEAD, near)]
    np.testing.assert_allclose(placed[0], placed[1], atol=1e-5)
    np.testing.assert_allclose(placed[0], points.places, atol=1e-5)


def test_regions_of_the_drawn_face() -> None:
    reading = probe_reading()
    face = probe_window(TIGHT, 256)
    given = reading.within(TIGHT, face, ("points", "skin"))
    maps = dict(zip(REGIONS, regions(given["points"], given["skin"])[0, : len(REGIONS)], strict=True))
    assert all(float(region.min()) >= 0 and float(region.max()) <= 1 + 1e-6 for region in maps.values())
    size = {name: float((region > 0.5).float().mean()) for name, region in maps.items()}
    assert size["skin"] > 0.25 and 0.005 < size["lips"] < 0.06 and 0.003 < size["lids"] < 0.06
    assert 0.001 < size["liner"] < size["lids"] and 0.005 < size["brows"] < 0.05 and 0.01 < size["cheeks"] < 0.15
    row = {name: float((region.sum(dim=1) * torch.arange(256)).sum() / region.sum()) for name, region in maps.items()}
    assert row["brows"] < row["lids"] < row["liner"] < row["cheeks"] < row["lips"]
    assert float((maps["lips"] * maps["skin"]).max()) < 0.3
    larger = regions(torch.cat([given["points"]] * 2), resize(torch.cat([given["skin"]] * 2), (512, 512)))
    assert larger.shape == (2, 11, 512, 512) and torch.equal(larger[0], larger[1])
    half = torch.nn.functional.avg_pool2d(larger[0, : len(REGIONS)], 2)
    assert float((half - torch.stack(list(maps.values()))).abs().mean()) < 0.01
    smaller = regions(given["points"], resize(given["skin"], (64, 64)))[0]
    for name, region in maps.items():
        area = float(smaller[REGIONS.index(name)].mean() / region.mean())
        assert area == pytest.approx(1, abs=0.1), f"small faces have {area:.2f} times the {name}"


@pytest.mark.parametrize(("finest", "side"), [(None, 64), (128, 64), (16, 16)])
def test_parts_are_given_as_fine_as_a_stage_asks(finest: int | None, side: int) -> None:
    stage = Greedy()
    stage.finest = finest
    pipeline(stage, reader=Fixed())(portrait())
    assert stage.given["hair"].shape == stage.given["cover"].shape == (1, 1, side, side)
    assert float(stage.given["cover"][..., : side // 4].min()) == pytest.approx(1, abs=0.01)
    assert float(stage.given["cover"][..., -side // 4 :].max()) == pytest.approx(0, abs=0.01)


def test_lips_leave_the_open_mouth_out() -> None:
    places = torch.from_numpy(probe_reading().points.within(TIGHT))[None].clone()
    middle = places[0, list(INNER_LOWER_LIP)].mean(dim=0)
    for lower in (INNER_LOWER_LIP[1:-1], LOWER_LIP[1:-1]):
        places[0, list(lower), 1] += 0.15
    maps = regions(places, torch.ones(1, 1, 256, 256))[0]
    x, y = ((middle + torch.tensor([0.0, 0.06]) + 1) * 128).long().tolist()
    assert float(maps[REGIONS.index("lips"), y - 3 : y + 3, x - 6 : x + 6].max()) < 0.02
    x, y = ((places[0, [17, 14]].mean(dim=0) + 1) * 128).long().tolist()
    assert float(maps[REGIONS.index("lips"), y, x]) > 0.9


class Painted(Stage):
    """Paint all of the window red, but what is kept."""

    side, framing = 64, HEAD
    keeps = ("cover",)

    def forward(self, faces: Tensor, *_: Any, **__: Any) -> Tensor:
        return faces.new_tensor([1.0, -1.0, -1.0])[:, None, None].expand_as(faces)


class Greedy(Painted):
    """Ask for points and two parts, and remember them."""

    reads = ("points", "hair", "cover")
    keeps = ()

    def forward(self, faces: Tensor, *_: Any, **read: Any) -> Tensor:
        self.given = read
        return faces


class Fixed(FaceReader):
    """Reader whose networks are not run: a confidence, and a cover over the left half of the head."""

    def __init__(self, confidence: float = 1.0) -> None:
        super().__init__(torch.device("cpu"))
        self.confidence, self.calls = confidence, list[tuple[Kind, int]]()

    def read(self, kind: Kind, readings: Sequence[Reading]) -> None:
        self.calls.append((kind, len(readings)))
        mattes = np.zeros((len(PARTS), 64, 64), np.float32)
        mattes[PARTS.index("cover"), :, :32] = 1
        mattes[PARTS.index("skin")] = 1
        for reading in readings:
            points = reading_points(self.confidence)
            reading.known[kind] = points if kind == "points" else Parts(mattes, np.full((3, 64, 64), 0.5, np.float32))


def reading_points(confidence: float) -> Points:
    return Points(probe_reading().points.places, confidence)


def pipeline(*stages: Stage, reader: FaceReader | None = None, **options: Any) -> Pipeline:
    made = Pipeline(list(stages), detector=FakeDetector(), **options)
    if reader is not None:
        made.reader = reader
    return made


@pytest.mark.parametrize("effect", ["change", "replace"])
def test_what_is_kept_keeps_every_bit(effect: str) -> None:
    stage = Painted()
    stage.effect = effect  # type: ignore[assignment]
    photo = portrait()
    after = np.asarray(pipeline(stage, reader=Fixed())(photo).image)
    changed = np.abs(after.astype(int) - photo).max(axis=2) > 0
    side = len(photo)
    middle = round((HEAD.left + HEAD.side / 2 - SHOWN.left) / SHOWN.side * side)
    soft = round(0.12 * HEAD.side / SHOWN.side * side)  # px over which mattes of 64 px fade
    assert changed[side // 2, middle + soft : middle + 2 * soft].all()
    assert not changed[:, : middle - soft].any()
    stage.keeps = ()
    after = np.asarray(pipeline(stage, reader=Fixed())(photo).image)
    assert (after != photo)[side // 2, middle - 2 * soft].any()


def test_a_stage_gets_what_it_asks_for() -> None:
    stage, reader = Greedy(), Fixed()
    pipeline(stage, reader=reader)(portrait())
    assert {name: tuple(value.shape) for name, value in stage.given.items()} == {
        "points": (1, POINTS, 2),
        "hair": (1, 1, 64, 64),
        "cover": (1, 1, 64, 64),
    }
    assert float(stage.given["cover"][..., :28].min()) > 0.9 and float(stage.given["cover"][..., 36:].max()) < 0.1
    assert reader.calls == [("points", 1), ("parts", 1)]


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"reads": ("nose",)}, r"its reads are \('nose',\).*'points', 'hair'"),
        ({"reads": "points"}, "its reads are 'points'.*must be a tuple"),
        ({"keeps": ("points",)}, r"its keeps are \('points',\)"),
        ({"reads": ("points",), "scope": "photo"}, "reads is for stages that edit faces"),
        ({"keeps": ("cover",), "effect": "enlarge", "scale": 2}, "keeps is for stages that edit faces"),
    ],
)
def test_what_cannot_be_read_is_refused(attributes: dict[str, Any], said: str) -> None:
    stage = Painted()
    for name, value in {"keeps": (), **attributes}.items():
        setattr(stage, name, value)
    with pytest.raises(ChainError, match=said):
        Pipeline([stage])


def test_a_face_that_is_none_by_its_points_is_left_out() -> None:
    photo = portrait()
    result = pipeline(Painted(), reader=Fixed(confidence=0.2))(photo)
    assert result.status == "no_face" and result.image is not None
    assert np.array_equal(np.asarray(result.image), photo)
    assert "no face by its points" in str(result.faces[0].left_out)


@pytest.mark.slow
def test_each_kind_is_read_once_and_none_for_a_chain_that_needs_none() -> None:
    photo, reader = portrait(), Fixed()
    result = pipeline(Makeup(look="rose"), Attributes(hair="black", age="old"), reader=reader)(photo)
    assert sorted(reader.calls) == [("parts", 1), ("points", 1)]
    assert result.faces[0].points.shape == (POINTS, 2) and result.faces[0].parts["skin"].shape == (64, 64)
    assert len(reader.calls) == 2
    idle = Fixed()
    pipeline(Greedy(), reader=idle).group([photo, photo])
    assert sorted(idle.calls) == [("parts", 2), ("points", 2)]
    for stages in ([Webtoon(look="filter")], [Upscale()]):
        nothing = Fixed()
        pipeline(*stages, reader=nothing)(photo[::2, ::2])
        assert nothing.calls == [], stages


def test_faces_that_no_pipeline_found_have_no_reading() -> None:
    with pytest.raises(FaceError, match="read for the faces that a pipeline edits"):
        _ = FakeDetector()(portrait())[0].points


@pytest.mark.parametrize("stage", [Greedy, Painted])
def test_the_contract_covers_stages_that_read(stage: type[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "__doc__", "Do something.")
    check_stage(stage)


def test_the_landmarks_of_teachers_are_each_others_mirror_images() -> None:
    assert len(MARKUP) == 68 == len(set(MARKUP))
    assert [MIRROR[place] for place in MARKUP] == [MARKUP[place] for place in MIRRORED_MARKUP]


def test_landmarks_of_aligned_pictures(heads: Path, tmp_path: Path) -> None:
    faces = samples(heads / "wide256", "test")
    points = landmarks(faces, HEAD, tmp_path / "points.npz")
    assert points.shape == (2, 68, 2)
    with np.load(heads / "points-wide256.npz") as stored:
        assert np.abs(points[0] - stored["points"][0][list(MARKUP), :2]).max() < 2  # px
    cached = landmarks(faces, HEAD, tmp_path / "points.npz")
    np.testing.assert_array_equal(points, cached)
    assert len(landmarks(faces[:1], HEAD, tmp_path / "points.npz")) == 1  # of other pictures


@pytest.mark.parametrize("side", [None, 300])
def test_a_face_picture_shows_the_head_where_hair_is_edited_beyond_it(side: int | None) -> None:
    def picture(stage: Stage) -> Pixels:
        output = Output(write="faces", side=side)
        return Pipeline([stage], detector=FakeDetector(), output=output)(portrait()).pictures[0]

    young, blond = picture(Attributes(age="young")), picture(Attributes(age="young", hair="blond"))
    assert blond.shape == young.shape and (side is None or young.shape == (side, side, 3))
    unit = young.shape[0] / HEAD.side
    eyes = Framing(float(EYES_X) - 0.5, float(EYES_Y) - 0.2, 1.0)
    top, left = round((eyes.top - HEAD.top) * unit), round((eyes.left - HEAD.left) * unit)
    part = np.s_[top : top + round(0.6 * unit), left : left + round(unit)]
    assert np.abs(blond[part].astype(int) - young[part]).mean() < 3
