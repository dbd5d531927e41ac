"""The contract, kept by every stage that exists; and what only our four, with the bundled weights, must meet."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.engines.probe import probe
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import TIGHT
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.tiles import count
from ganchain.stage import Stage
from ganchain.tensors import Pixels, resize
from ganchain.testing import check_stage

EDITS: dict[str, dict[str, Any]] = {
    "makeup": {"look": "evening"},
    "attributes": {"hair": "black", "age": "old", "gender": "male"},
    "webtoon": {"look": "filter"},
    "upscale": {"factor": 2},
}


def make(name: str, **options: Any) -> Stage:
    return registry.stage(name)(**{**EDITS.get(name, {}), **options})


def window(pixels: Pixels, stage: Stage) -> Tensor:
    return Aligner(stage.framing).chip(pixels, DlibDetector()(pixels)[0], stage.side or 64)


def level_difference(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("name", registry.built_in())
def test_every_stage_keeps_the_contract(name: str) -> None:
    check_stage(registry.stage(name), **EDITS.get(name, {}))


class Sepia(Stage):
    """Tints the face, a grey one too, though nobody named a colour.

    Options:
        named: a colour's name.
    """

    def __init__(self, *, named: str = "") -> None:
        super().__init__()
        self.colours = ("named",) if named else ()

    def forward(self, faces: Tensor) -> Tensor:
        return (faces + faces.new_tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)).clamp(-1, 1)


class Unasked(Sepia):
    """Tints the face.

    Options:
        named: a colour's name.
    """

    def forward_grey(self, faces: Tensor) -> Tensor:
        return self(faces)


def test_a_stage_colours_a_grey_face_only_when_it_is_asked() -> None:
    face = torch.zeros(1, 3, 8, 8)
    assert torch.equal(*Sepia().forward_grey(face)[:, :2].unbind(dim=1))
    assert torch.equal(Sepia(named="brown").forward_grey(face), Sepia()(face))
    check_stage(Sepia, named="brown")
    with pytest.raises(AssertionError, match=r"a grey face got colours, 26 levels apart"):
        check_stage(Unasked)


@pytest.mark.parametrize("name", EDITS)
class TestOurs:
    """What only the stages that ganchain ships must meet."""

    def test_its_weights_are_in_the_manifest_and_small(self, name: str) -> None:
        stage = make(name)
        assert stage.all_weights
        for key in stage.all_weights:
            assert manifest.entry(key).licence == "Apache-2.0"
            assert sum(tensor.numel() for tensor in manifest.tensors(key).values()) * 2 < 2_000_000

    def test_it_edits(self, astronaut: Pixels, name: str) -> None:
        stage = make(name).eval()
        faces, read = probe(stage, torch.device("cpu"))
        faces = faces if stage.reads else window(astronaut, stage)
        with torch.inference_mode():
            out = stage(faces, **read)
        plain = resize(faces, (out.shape[2], out.shape[3]))
        assert (out - plain).abs().max() > 0.1

    def test_strength_zero_gives_the_photo_back(self, small_head: Pixels, name: str) -> None:
        stage = make(name, strength=0)
        result = np.asarray(Pipeline([stage])(small_head).image)
        if stage.effect == "enlarge":
            assert result.shape == (440, 480, 3)
        else:
            assert (result == small_head).all()

    def test_the_same_twice_gives_the_same(self, small_head: Pixels, name: str) -> None:
        first, second = (np.asarray(Pipeline([make(name)])(small_head).image) for _ in range(2))
        assert (first == second).all()

    def test_the_picture_stays_that_picture(self, small_head: Pixels, name: str) -> None:
        """Channels, range and geometry survive: the edited photo resembles its source."""
        result = Pipeline([make(name)])(small_head).image.resize((240, 220))
        a, b = np.asarray(result).astype(float), small_head.astype(float)
        for channel in range(3):
            assert np.corrcoef(a[..., channel].ravel(), b[..., channel].ravel())[0, 1] > 0.75

    def test_budget(self, name: str) -> None:
        """At most 0.5 GMAC for a 256 x 256 face, 2.5 GMAC for enlarging one four times."""
        stage = make(name, **({"factor": 4, "restore": 0} if name == "upscale" else {})).eval()
        faces, read = probe(stage, torch.device("cpu"))
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            stage(faces, **read)
        limit = 2.5e9 if stage.effect == "enlarge" else 0.5e9
        assert counter.get_total_flops() / 2 <= limit


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("upscale", {"factor": 3}),
        ("makeup", {"strength": 5}),
        ("webtoon", {"scope": "head"}),
        ("makeup", {"look": "x"}),
    ],
)
def test_options_are_checked_in_python_too(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        registry.stage(name)(**options)


@pytest.mark.slow
def test_strength_grows_the_edit(small_head: Pixels) -> None:
    for name in ("makeup", "attributes", "webtoon"):
        changes = [
            level_difference(np.asarray(Pipeline([make(name, strength=s)])(small_head).image), small_head)
            for s in (0.25, 0.6, 1.0)
        ]
        assert 0 < changes[0] < changes[1] < changes[2], name


def test_upscale_moves_nothing() -> None:
    """x4 shifts no edge by more than 0.1 px of the enlarged picture (blob centroids, sub-pixel)."""
    y, x = np.mgrid[0:96, 0:96].astype(float)
    for centre in [(47.5, 47.5), (40.2, 55.7), (30.0, 61.3)]:
        blob = 40 + 180 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 60)
        pixels = np.repeat(blob.round().astype(np.uint8)[..., None], 3, axis=2)
        for factor in (2, 4):
            large = np.asarray(Pipeline([make("upscale", factor=factor, restore=0)])(pixels).image)[..., 1].astype(
                float
            )
            weight = (large - 40).clip(20) - 20
            rows, columns = np.mgrid[0 : large.shape[0], 0 : large.shape[1]]
            found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
            small = (pixels[..., 1].astype(float) - 40).clip(20) - 20
            origin = np.array([(x * small).sum(), (y * small).sum()]) / small.sum()
            assert np.abs(found - ((origin + 0.5) * factor - 0.5)).max() < 0.1


def test_upscale_any_size_and_tiles_without_borders(astronaut: Pixels) -> None:
    photo = astronaut[:70, :473]
    stage = make("upscale", factor=2).eval()
    tiled = np.asarray(Pipeline([stage])(photo).image).astype(int)
    assert tiled.shape == (140, 946, 3)
    from ganchain.tensors import to_faces, to_pixels

    with torch.inference_mode():
        whole = to_pixels(stage(to_faces(photo)))[0]
    assert np.abs(tiled - whole)[:, :920].max() <= 1  # to the right lies the mirrored border that completes a tile


@pytest.mark.parametrize(("side", "tiles"), [(384, 1), (402, 1), (448, 1), (449, 2)])
def test_a_picture_that_exceeds_a_tile_a_little_is_one(side: int, tiles: int) -> None:
    assert count((side, 100)) == count((100, side)) == tiles


@pytest.mark.slow
def test_webtoon_on_a_whole_photo_shows_no_tile_borders(landscape: Pixels) -> None:
    photo = np.tile(landscape, (3, 3, 1))[:700, :900]
    made = np.asarray(Pipeline([make("webtoon", scope="photo")])(photo).image).astype(float)
    sky = made[5:40, :, :].mean(axis=2)
    steps = np.abs(np.diff(sky, axis=1)).mean(axis=0)
    assert steps.max() < 12 * max(1.0, float(np.median(steps)))


@pytest.mark.slow
def test_makeup_leaves_detail_and_background(large_face: Pixels) -> None:
    """A mild makeup of a 1,000-px face keeps at least 0.9 of its Laplacian energy."""
    import cv2

    made = np.asarray(Pipeline([make("makeup", look="natural", strength=0.5)])(large_face).image)
    face = DlibDetector()(large_face)[0]
    left, top, right, bottom = (round(edge) for edge in face.box)

    def energy(pixels: Pixels) -> float:
        part = pixels[max(0, top) : bottom, max(0, left) : right].astype(np.float32)
        return float((cv2.Laplacian(part, -1) ** 2).mean())

    assert (made != large_face).any()
    assert energy(made) >= 0.9 * energy(large_face)


def test_makeup_colours_the_lips_and_spares_the_rest(astronaut: Pixels) -> None:
    made = np.asarray(Pipeline([make("makeup", look=None, lips="#2040c0")])(astronaut).image).astype(int)
    change = made[..., 2] - astronaut[..., 2].astype(int) - (made[..., 0] - astronaut[..., 0].astype(int))
    rows, columns = np.nonzero(change > 60)
    assert len(rows) > 50
    assert rows.min() > 135 and rows.max() < 170 and columns.min() > 195 and columns.max() < 255  # the mouth
    corners = made[:60, :150], made[200:, :], made[:, 320:]
    expected = astronaut[:60, :150], astronaut[200:, :], astronaut[:, 320:]
    assert all((a == b).all() for a, b in zip(corners, expected, strict=True))


def test_makeup_reads_a_reference(astronaut: Pixels, tmp_path: Any) -> None:
    evening = Pipeline([make("makeup", look=None, lips="#b00020")])(astronaut)
    evening.save(tmp_path / "reference.png")
    made = np.asarray(Pipeline([make("makeup", look=None, reference=tmp_path / "reference.png")])(astronaut).image)
    target = np.asarray(evening.image).astype(int)
    mouth = np.s_[143:163, 205:245]
    assert np.abs(made[mouth] - target[mouth]).mean() < 0.6 * np.abs(astronaut[mouth] - target[mouth]).mean()


def test_hair_colour_stays_in_the_hair(astronaut: Pixels) -> None:
    made = np.asarray(Pipeline([make("attributes", hair="black", age="keep", gender="keep")])(astronaut).image)
    lightness = made.astype(int).mean(axis=2) - astronaut.astype(int).mean(axis=2)
    assert lightness[25:60, 190:260].mean() < -25  # the top of the head
    assert np.abs(lightness[95:150, 190:255]).mean() < 4  # the face
    assert (made[260:] == astronaut[260:]).all()


def test_keep_keeps(astronaut: Pixels) -> None:
    stage = make("attributes", hair="keep", age="keep", gender="keep")
    assert (np.asarray(Pipeline([stage])(astronaut).image) == astronaut).all()


def test_windows_of_both_framings_fit_one_canvas() -> None:
    stages = [cast(Stage, make(name)) for name in ("makeup", "attributes")]
    assert stages[0].framing == TIGHT
    assert Pipeline(stages)._aligner.framing.side >= stages[1].framing.side
