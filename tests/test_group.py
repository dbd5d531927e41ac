"""Several photos at once: their faces share batches, and each gets what it would get alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from ganchain import chains
from ganchain.errors import StageError
from ganchain.faces.align import Canvas
from ganchain.pipeline import apply
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Scope, Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.upscale import Upscale
from ganchain.tensors import Pixels, resize, to_faces, to_pixels


class Tint(Stage):
    """Reddens; refuses batches with a very dark face, and remembers the sizes of the batches it saw."""

    def __init__(self, scope: Scope = "face", refuses: bool = False) -> None:
        super().__init__()
        self.scope, self.refuses, self.sizes = scope, refuses, list[int]()

    def forward(self, faces: Tensor) -> Tensor:
        self.sizes.append(len(faces))
        if self.refuses and float(faces.mean(dim=(1, 2, 3)).min()) < -0.8:
            raise ValueError("too dark")
        return faces + torch.tensor([0.2, 0.0, 0.0])[:, None, None]


@pytest.fixture(scope="module")
def photos(astronaut: Pixels, landscape: Pixels) -> list[Pixels]:
    head = astronaut[:300, 60:360]
    two = np.concatenate([head, head[:, ::-1]], axis=1)
    return [head.copy(), landscape, two, (head * 0.8).astype(np.uint8)]


def test_faces_of_all_photos_share_a_batch(photos: list[Pixels]) -> None:
    stage = Tint()
    results = Pipeline([stage], batch=8).group(photos)
    assert stage.sizes == [4]  # one, none, two and one
    assert [result.status for result in results] == ["ok", "no_face", "ok", "ok"]
    alone = Pipeline([Tint()])
    for photo, result in zip(photos, results, strict=True):
        single = alone(photo)
        assert (np.asarray(result.image) == np.asarray(single.image)).all()
        assert result.seconds.keys() == single.seconds.keys() and all(value >= 0 for value in result.seconds.values())
    assert results[0].seconds["tint"] == pytest.approx(results[2].seconds["tint"] / 2)


@pytest.mark.slow
def test_on_the_cpu_no_bit_depends_on_the_neighbours(photos: list[Pixels]) -> None:
    def chain() -> Pipeline:
        return Pipeline([Makeup(look="evening"), Attributes(hair="blond", age="old"), Upscale(factor=2)])

    together = chain().group(photos)
    other = chain()
    for number in (3, 0, 2, 1):
        assert (np.asarray(together[number].image) == np.asarray(other(photos[number]).image)).all()


def test_one_bad_photo_costs_the_others_nothing(photos: list[Pixels], caplog: pytest.LogCaptureFixture) -> None:
    dark = (photos[0] * 0.05).astype(np.uint8)
    broken = np.zeros((4, 4), np.uint8)
    detect = Pipeline([Tint()]).detector(photos[0])
    pipeline = Pipeline([Tint(refuses=True)], batch=8, detector=lambda pixels: detect)
    results = pipeline.group([photos[0], dark, broken, photos[3]])
    assert [result.status for result in results] == ["ok", "failed", "failed", "ok"]
    assert isinstance(results[1].error, StageError) and "too dark" in str(results[1].error)
    assert isinstance(results[1].error.__cause__, ValueError)
    assert "uint8 RGB" in str(results[2].error)
    assert "stage tint failed on 3 photos at once; running them one by one" in caplog.text
    alone = Pipeline([Tint()], detector=pipeline.detector)(photos[3])
    assert (np.asarray(results[3].image) == np.asarray(alone.image)).all()


def test_steps_and_pictures_belong_to_their_photos(photos: list[Pixels]) -> None:
    results = Pipeline([Tint(), Tint("photo")], keep_steps=True).group(photos[:3:2])
    for photo, result in zip(photos[:3:2], results, strict=True):
        assert [name for name, _ in result.steps] == ["tint", "tint-2"]
        assert all(step.pixels.shape == photo.shape for _, step in result.steps)
    assert [len(result.pictures) for result in results] == [1, 2]


class Greedy(Stage):
    """Doubles what it sees; runs out of memory at more than ``most`` faces."""

    side = 32

    def __init__(self, error: Exception, most: int = 2) -> None:
        super().__init__()
        self.error, self.most, self.sizes = error, most, list[int]()

    def forward(self, faces: Tensor) -> Tensor:
        self.sizes.append(len(faces))
        if len(faces) > self.most:
            raise self.error
        return faces * 2


def canvases(count: int) -> list[Canvas]:
    """Canvases of 32 px, each of one grey of its own."""
    matrix, framing = np.eye(2, 3), Stage.framing
    faces = [torch.full((1, 3, 32, 32), value / 20) for value in range(count)]
    return [Canvas(face, face.clone(), torch.zeros(1, 1, 32, 32), matrix, framing) for face in faces]


FULL = [MemoryError("full"), torch.OutOfMemoryError("full"), RuntimeError(f"{apply.CPU_FULL}: full")]


@pytest.mark.parametrize("error", FULL)
def test_batches_are_halved_when_memory_runs_out(error: Exception) -> None:
    stage = Greedy(error)
    edited = apply.to_canvases(stage, canvases(7), torch.device("cpu"), 16)
    assert stage.sizes == [7, 4, 2, 2, 2, 1]
    middles = [float(canvas.after[0, 0, 16, 16]) for canvas in edited]
    assert middles == pytest.approx([value / 10 for value in range(7)], abs=1e-6)
    with pytest.raises((MemoryError, torch.OutOfMemoryError)):
        apply.to_canvases(Greedy(error, most=0), canvases(3), torch.device("cpu"), 4)


@pytest.mark.parametrize("enlargement", [1, 7])
@pytest.mark.slow
def test_faces_of_one_side_whatever_the_photo_s(astronaut: Pixels, enlargement: int) -> None:
    """``side`` cuts large faces without aliasing and small ones at the same size, in the same place."""
    head = astronaut[:300, 60:360]
    large = cv2.resize(head, None, fx=enlargement, fy=enlargement, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    rows, columns = np.indices(large.shape[:2])
    grain = ((rows + columns) % 2 * 60 - 30)[..., None] * (enlargement > 1)  # one px wide: it must be averaged away
    text = "stages:\n  - makeup: {strength: 0}\noutput: {write: faces, side: 128}\n"
    pipeline = Pipeline.from_chain(chains.parse(text, "chain", Path()))
    face = pipeline.detector(large)[0]
    pipeline.detector = lambda pixels: [face]
    (picture,) = pipeline((large + grain).clip(0, 255).astype(np.uint8)).pictures
    expected = Pipeline([Makeup(strength=0)], detector=pipeline.detector)(large).pictures[0]
    assert picture.shape == (128, 128, 3)
    plain = to_pixels(resize(to_faces(expected), (128, 128)))[0]
    assert np.abs(picture.astype(int) - plain).mean() < 2.5


def test_the_whole_photo_is_pasted_when_it_is_asked_for(photos: list[Pixels]) -> None:
    text = "stages:\n  - makeup: {look: evening}\noutput: {write: %s}\n"
    faces, both = (Pipeline.from_chain(chains.parse(text % write, "chain", Path())) for write in ("faces", "both"))
    lazy, eager = faces(photos[2]), both(photos[2])
    assert callable(lazy.whole) and not callable(eager.whole)
    assert (np.asarray(lazy.image) == np.asarray(eager.image)).all()
    assert all((one == other).all() for one, other in zip(lazy.pictures, eager.pictures, strict=True))
