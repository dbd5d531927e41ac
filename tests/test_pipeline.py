"""The whole way: what changes, what does not, where, and what becomes of photos that fail."""

from __future__ import annotations

import gc
import inspect
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import ganchain
from ganchain.errors import ChainError, PhotoError, StageError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import BUST, HEAD, TIGHT, Framing
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Scope, Stage
from ganchain.tensors import Pixels
from ganchain.testing import FakeDetector

PACKAGE = Path(ganchain.__file__).parent


class Same(Stage):
    framing = HEAD

    def forward(self, faces: Tensor) -> Tensor:
        return faces.clone()


class Lighter(Stage):
    """Lightens everything it sees: the hardest case for seams."""

    def __init__(self, amount: float = 0.2) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, faces: Tensor) -> Tensor:
        return faces + self.amount


class Flat(Stage):
    """Paints its window in one colour."""

    framing = HEAD
    effect = "replace"
    scale = 2

    def __init__(self, colour: tuple[float, float, float] = (1.0, -1.0, -1.0), scope: Scope = "face") -> None:
        super().__init__()
        self.colour, self.scope = colour, scope

    def forward(self, faces: Tensor) -> Tensor:
        n, _, height, width = faces.shape
        return torch.tensor(self.colour)[None, :, None, None].expand(n, 3, height * 2, width * 2)


class Double(Stage):
    """Enlarges by repetition, which moves nothing."""

    side = None
    effect = "enlarge"
    scale = 2

    def __init__(self, scope: Scope = "photo") -> None:
        super().__init__()
        self.scope = scope
        self.saw: list[int] = []

    def forward(self, faces: Tensor) -> Tensor:
        self.saw.append(faces.shape[3])
        return faces.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


class LightBust(Lighter):
    """Lightens a window of which only a part is shown."""

    framing = BUST
    shown = TIGHT


class Broken(Stage):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, faces: Tensor) -> Tensor:
        if self.how == "shape":
            return faces[:, :, ::2]
        if self.how == "nan":
            return faces * float("nan")
        if self.how == "type":
            return "faces"  # type: ignore[return-value]
        raise KeyError("no such thing")


def window_of(pixels: Pixels, framing: Framing, grow: float = 1.0) -> np.ndarray:
    """Mask of the photo's px inside the face's window."""
    face = DlibDetector()(pixels)[0]
    canvas = Aligner(framing).canvas(pixels, face)
    corners = (np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) - 0.5) * grow * canvas.side + canvas.side / 2 - 0.5
    quad = corners @ canvas.matrix[:, :2].T + canvas.matrix[:, 2]
    return cv2.fillConvexPoly(np.zeros(pixels.shape[:2], np.uint8), np.rint(quad).astype(np.int32), 1) > 0


def test_identity_chain_returns_the_photo_bit_for_bit(astronaut: Pixels) -> None:
    result = Pipeline([Same(), Same(), Same()])(astronaut)
    assert result.status == "ok"
    assert (np.asarray(result.image) == astronaut).all()


def test_outside_the_window_every_pixel_keeps_its_bits(astronaut: Pixels) -> None:
    edited = np.asarray(Pipeline([Lighter()])(astronaut).image)
    inside = window_of(astronaut, TIGHT, grow=1.03)
    assert (edited[~inside] == astronaut[~inside]).all()
    assert (
        edited[window_of(astronaut, TIGHT, grow=0.6)].astype(int) > astronaut[window_of(astronaut, TIGHT, grow=0.6)]
    ).mean() > 0.9


def test_a_residual_stage_changes_by_its_change(astronaut: Pixels) -> None:
    """+0.1 of 2 is +12.75 levels, wherever nothing is clipped and the rim does not fade it."""
    edited = np.asarray(Pipeline([Lighter(0.1)])(astronaut).image).astype(int)
    inner = window_of(astronaut, TIGHT, grow=0.55) & (astronaut.max(axis=2) < 230)
    change = edited[inner] - astronaut[inner]
    assert ((change == 12) | (change == 13)).mean() > 0.999  # bicubic ripples beside clipped highlights


@pytest.mark.parametrize("name", ["red", "green", "blue"])
def test_red_stays_red(astronaut: Pixels, name: str) -> None:
    """Channel order and range survive the way through canvas, stage and photo."""
    channel = ["red", "green", "blue"].index(name)
    colour = tuple(1.0 if c == channel else -1.0 for c in range(3))
    edited = np.asarray(Pipeline([Flat(colour)])(astronaut).image)  # type: ignore[arg-type]
    x, y = DlibDetector()(astronaut)[0].landmarks.mean(axis=0).round().astype(int)
    assert edited[y, x].tolist() == [255 if c == channel else 0 for c in range(3)]


def seam(before: Pixels, after: Pixels, rim: np.ndarray) -> float:
    """Mean absolute gradient along the rim after the edit, against before (1: no seam at all)."""

    def gradient(pixels: Pixels) -> float:
        grey = pixels.astype(np.float32).mean(axis=2)
        return float(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))[rim].mean())

    return gradient(after) / gradient(before)


class Poster(Stage):
    """Five levels a channel: a crude restyling."""

    framing = HEAD
    effect = "replace"

    def forward(self, faces: Tensor) -> Tensor:
        return (faces * 2).round() / 2


@pytest.mark.parametrize("stage", [Lighter(0.15), Poster()], ids=["residual", "restyled"])
def test_seam(astronaut: Pixels, stage: Stage) -> None:
    """Across the rim of an edited face the gradient grows by at most a quarter, even when all of it changed."""
    after = np.asarray(Pipeline([stage])(astronaut).image)
    outer = window_of(astronaut, stage.framing, grow=1.02)
    inner = window_of(astronaut, stage.framing, grow=0.9)
    assert seam(astronaut, after, outer & ~inner) < 1.25


def test_seam_figure_sees_a_hard_edge(astronaut: Pixels) -> None:
    hard = astronaut.copy()
    window = window_of(astronaut, TIGHT, grow=0.96)
    hard[window] = np.minimum(hard[window].astype(int) + 40, 255)
    rim = window_of(astronaut, TIGHT, grow=1.02) & ~window_of(astronaut, TIGHT, grow=0.9)
    assert seam(astronaut, hard, rim) > 1.25


@pytest.mark.slow
def test_a_large_face_keeps_its_detail(large_face: Pixels) -> None:
    """A stage at 256 px must not blur a face of 1,000 px."""
    assert DlibDetector()(large_face)[0].size > 1000
    edited = np.asarray(Pipeline([Lighter(0.1)])(large_face).image)
    inner = window_of(large_face, TIGHT, grow=0.7) & (large_face.max(axis=2) < 235)

    def energy(pixels: Pixels) -> float:
        return float((cv2.Laplacian(pixels.astype(np.float32), -1)[inner] ** 2).mean())

    assert energy(edited) > 0.97 * energy(large_face)


def test_enlarging_scales_photo_alpha_and_later_faces(astronaut: Pixels) -> None:
    alpha = np.full((512, 512), 200, np.uint8)
    alpha[:100] = 0
    image = Image.fromarray(np.dstack([astronaut, alpha]))
    result = Pipeline([Double(), Flat()])(image)
    assert result.image.size == (1024, 1024) and result.image.mode == "RGBA"
    assert np.asarray(result.image)[:190, :, 3].max() == 0
    x, y = ((DlibDetector()(astronaut)[0].landmarks.mean(axis=0) + 0.5) * 2 - 0.5).round().astype(int)
    assert np.asarray(result.image)[y, x, :3].tolist() == [255, 0, 0]
    outside = ~window_of(astronaut, HEAD, grow=1.1)
    doubled = Photo(astronaut, alpha).visible().repeat(2, 0).repeat(2, 1)
    assert (
        np.asarray(result.image)[..., :3][outside.repeat(2, 0).repeat(2, 1)]
        == doubled[outside.repeat(2, 0).repeat(2, 1)]
    ).all()


def test_enlarging_faces_leaves_the_photo_its_size(astronaut: Pixels) -> None:
    from ganchain.chains import Output

    result = Pipeline([Double(scope="face")], output=Output(write="both"))(astronaut)
    plain = Pipeline([Same()], output=Output(write="both"))(astronaut)
    assert result.image.size == (512, 512)
    difference = np.abs(np.asarray(result.image).astype(int) - astronaut)
    assert difference.mean() < 0.1 and difference.max() < 12
    assert result.pictures[0].shape[0] == 2 * plain.pictures[0].shape[0]


@pytest.mark.parametrize("later", [[], [Double("face"), Lighter(-0.1)], [LightBust(-0.1)]])
def test_only_what_is_shown_of_a_face_is_enlarged(astronaut: Pixels, later: list[Stage]) -> None:
    from ganchain.chains import Output

    double = Double("face")
    faces, both = (
        Pipeline([LightBust(), double, *later], output=Output(write=write))(astronaut) for write in ("faces", "both")
    )
    assert [face.shape for face in faces.pictures] == [face.shape for face in both.pictures]
    assert np.abs(faces.pictures[0].astype(int) - both.pictures[0]).max() <= 1
    shown, seen = double.saw
    assert shown == seen if any(stage.framing == BUST for stage in later) else shown < 0.6 * seen
    difference = np.abs(np.asarray(faces.image).astype(int) - np.asarray(both.image))
    assert difference.mean() < 0.3 and difference.max() < 40


@pytest.mark.parametrize("write", ["photo", "faces"])
def test_a_result_is_freed_with_its_last_reference(astronaut: Pixels, write: Literal["photo", "faces"]) -> None:
    from ganchain.chains import Output

    pipeline = Pipeline([Same()], output=Output(write=write), detector=FakeDetector())
    gc.disable()
    try:
        freed = weakref.ref(pipeline(astronaut))
        assert freed() is None
    finally:
        gc.enable()


def test_whole_photo_restyled(landscape: Pixels) -> None:
    result = Pipeline([Flat(scope="photo")])(landscape)
    assert result.status == "ok"
    assert np.asarray(result.image).shape == landscape.shape
    assert (np.asarray(result.image) == (255, 0, 0)).all()


def test_no_face_gives_the_photo_back(landscape: Pixels) -> None:
    result = Pipeline([Double(), Lighter()])(landscape)
    assert result.status == "no_face"
    assert (np.asarray(result.image) == landscape).all()


def test_faces_rule(astronaut: Pixels) -> None:
    two = np.hstack([astronaut[:300, 60:380]] * 2)
    result = Pipeline([Lighter()], faces=[1])(two)
    changed = (np.asarray(result.image) != two).any(axis=(0, 2))
    assert [face.left_out for face in result.faces if "score" not in (face.left_out or "")] == [
        "not chosen by faces",
        None,
    ]
    assert changed[:320].any() != changed[320:].any()


def test_results_tell(photo_file: Path) -> None:
    result = Pipeline([Same(), Same()], keep_steps=True)(photo_file)
    assert result.name == str(photo_file)
    assert [name for name, _ in result.steps] == ["same", "same-2"]
    assert set(result.seconds) == {"read", "detect", "same", "same-2", "paste"}
    assert all(seconds >= 0 for seconds in result.seconds.values())
    assert result.faces[0].score > 0.5 and len(result.faces[0].box) == 4


def test_steps_are_the_photo_after_each_stage(astronaut: Pixels) -> None:
    result = Pipeline([Lighter(0.1), Lighter(0.1)], keep_steps=True)(astronaut)
    first, second = (photo.pixels.astype(int) for _, photo in result.steps)
    assert (second == np.asarray(result.image)).all()
    assert (second - first).max() >= 12 and (first - astronaut).max() >= 12
    assert (second - first).min() >= -3 and (first - astronaut).min() >= -3  # ripples beside clipped highlights


def test_run_never_raises_and_goes_on(photo_file: Path, tmp_path: Path) -> None:
    fake = tmp_path / "fake.png"
    fake.write_bytes(b"no picture")
    results = list(Pipeline([Same()]).run([fake, tmp_path / "missing.jpg", photo_file]))
    assert [result.status for result in results] == ["failed", "failed", "ok"]
    assert isinstance(results[0].error, PhotoError)
    assert "missing.jpg" in str(results[1].error)
    with pytest.raises(PhotoError):
        results[0].save(tmp_path / "out.png")


@pytest.mark.parametrize(
    ("how", "said"),
    [("shape", "must return shape"), ("nan", "not finite"), ("type", "not str"), ("raise", "no such thing")],
)
def test_a_stage_that_breaks_its_contract_is_named(astronaut: Pixels, how: str, said: str) -> None:
    with pytest.raises(StageError, match=f"'broken'.*{said}"):
        Pipeline([Broken(how)])(astronaut)


def test_a_stage_s_own_exception_is_kept(astronaut: Pixels) -> None:
    with pytest.raises(
        StageError, match=r"stage 'broken' failed on a batch of shape .*: KeyError: 'no such thing'"
    ) as told:
        Pipeline([Broken("raise")])(astronaut)
    assert isinstance(told.value.__cause__, KeyError) and told.value.stage == "broken"


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [
        ("scope", "faces", "its scope is 'faces'; it must be one of 'face', 'photo'"),
        ("effect", "paint", "its effect is 'paint'; it must be one of 'change', 'replace', 'enlarge'"),
        ("scale", 2, "effect 'change' and scale 2 do not go together"),
        ("scale", 0, "its scale is 0"),
        ("effect", "enlarge", "effect 'enlarge' and scale 1 do not go together"),
        ("multiple", 100, "its side, 256 px, is no multiple of 100 px"),
        ("framing", "tight", "its framing is 'tight'"),
        ("strength", 2, "its strength is 2; it must be a number from 0 to 1"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(attribute: str, value: Any, reason: str) -> None:
    stage = Same()
    setattr(stage, attribute, value)
    with pytest.raises(ChainError, match=f"^same: {re.escape(reason)}"):
        Pipeline([stage])


def test_a_stage_without_forward_is_refused() -> None:
    class Empty(Stage): ...

    with pytest.raises(ChainError, match=r"empty: the class Empty defines no forward\(faces\)"):
        Pipeline([Empty()])


def test_few_frames_stand_between_the_pipeline_and_a_stage(astronaut: Pixels) -> None:
    """A traceback of a plug-in is short: group, run, to_canvases, run."""
    frames: list[str] = []

    class Seen(Stage):
        def forward(self, faces: Tensor) -> Tensor:
            own = [frame for frame in inspect.stack() if Path(frame.filename).is_relative_to(PACKAGE)]
            frames.extend(frame.function for frame in own)
            return faces

    Pipeline([Seen()])(astronaut)
    assert frames == ["run", "to_canvases", "run", "group", "__call__"]


def test_names_are_numbered_by_place() -> None:
    class OilPaint(Same): ...

    pipeline = Pipeline([OilPaint(), Same(), OilPaint()])
    assert pipeline.names == ["oil_paint", "same", "oil_paint-2"]


def test_a_delegate_runs_under_the_name_of_its_stage(astronaut: Pixels) -> None:
    stage = Same()
    stage.delegate, stage.weights = Broken("nan"), ("upscale",)
    pipeline = Pipeline([stage])
    assert pipeline.stages == [stage.delegate] and stage.delegate.weights == ("upscale",)
    with pytest.raises(StageError, match="stage 'same' returned values that are not finite"):
        pipeline(astronaut)


def test_strength_zero_skips_the_stage(astronaut: Pixels) -> None:
    stage = Broken("raise")
    stage.strength = 0
    assert (np.asarray(Pipeline([stage])(astronaut).image) == astronaut).all()


@pytest.mark.parametrize("stages", [[Same], ["same"], Same()], ids=["class", "name", "alone"])
def test_what_is_no_list_of_stages_is_refused(stages: Any) -> None:
    with pytest.raises(ChainError, match="list of stage objects"):
        Pipeline(stages)


@pytest.mark.parametrize("source", [None, b"bytes", 7])
def test_what_is_no_photo_is_refused(source: Any) -> None:
    with pytest.raises(PhotoError, match=r"not (NoneType|bytes|int)"):
        Pipeline([Same()])(source)


def test_one_path_is_one_photo(photo_file: Path) -> None:
    assert [result.status for result in Pipeline([Same()]).run(str(photo_file))] == ["ok"]


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (20, 600), (600, 20), (63, 400), (64, 65)])
def test_any_size(shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert (np.asarray(Pipeline([Double()])(photo).image) == photo.repeat(2, 0).repeat(2, 1)).all()


def test_devices() -> None:
    with pytest.raises(ChainError, match="none of auto, cpu, cuda"):
        Pipeline([], device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ChainError, match="no CUDA"):
            Pipeline([], device="cuda")


def test_metadata_survives(astronaut: Pixels, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    Image.fromarray(np.rot90(astronaut).copy()).save(tmp_path / "in.jpg", exif=exif, quality=95)
    Pipeline([Lighter()])(tmp_path / "in.jpg").save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as written:
        assert written.getexif()[0x010F] == "Maker"
        assert 0x0112 not in written.getexif()
        assert np.abs(np.asarray(written).astype(int) - astronaut).mean() < 12  # upright again


def test_the_same_photo_as_path_image_and_array(astronaut: Pixels, photo_file: Path) -> None:
    pipeline = ganchain.Pipeline([Lighter()])
    made = [
        np.asarray(pipeline(source).image)
        for source in (photo_file, str(photo_file), Image.open(photo_file), astronaut)
    ]
    assert all((one == made[0]).all() for one in made)


def test_photo_is_frozen(astronaut: Pixels) -> None:
    photo = images.read(astronaut)
    assert replace(photo, name="x").pixels is photo.pixels
    photo.pixels[0] = 0
    assert astronaut[0].any()
