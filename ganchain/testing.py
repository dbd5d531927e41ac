"""Tools for tests of stages: a check of the contract, and a detector that needs no photo of a person.

>>> from ganchain.testing import check_stage
>>> check_stage(MyStage, colour="red")
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganchain import tensors
from ganchain.chains import registry
from ganchain.engines.probe import SHOWN, probe, probe_picture, probe_reading
from ganchain.faces.face import Face
from ganchain.framing import TEMPLATE
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import Pixels, levels

ROUNDING = 2e-3  # how far a face may move, in -1..1, with what else is in its batch
OVERSHOOT = 0.6  # how far an answer may leave -1..1 before it is clamped


class FakeDetector:
    """Detector that finds the same faces in every photo, so that nobody need be in it.

    Args:
        faces: the faces that it finds; by default the one of ``portrait``.
    """

    def __init__(self, faces: Sequence[Face] | None = None) -> None:
        self.faces = list(faces) if faces is not None else [_face()]

    def __call__(self, pixels: Pixels) -> list[Face]:
        """Return the faces, whatever is in (H, W, 3) uint8 ``pixels``."""
        return list(self.faces)


def portrait() -> Pixels:
    """Read the drawn face that ganchain compares engines on: (H, W, 3) uint8 RGB."""
    return tensors.to_pixels(probe_picture())[0]


def _face() -> Face:
    """Make the face of ``portrait``, which is aligned to the template already."""
    side = probe_picture().shape[-1]
    points = (TEMPLATE - (SHOWN.left, SHOWN.top)) * (side / SHOWN.side) - 0.5
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return Face((float(left), float(top), float(right), float(bottom)), 1.0, points)


def check_stage(cls: type[Stage], **options: Any) -> Stage:
    """Check that a stage keeps the contract of ``ganchain.stage.Stage``; returns the stage, made with ``options``.

    The stage is made, prepared and run: alone, on batches, in a pipeline on a photo with a face and on one without.

    Args:
        options: a value for each option that has no default, and for those that make the stage edit.

    Raises:
        AssertionError: says which part of the contract is broken.
        GanchainError: the stage cannot be made or run.
    """
    _check_documentation(cls)
    stage = cls(**options)
    stage.name = registry.name_of(cls)
    stage.check()
    stage = stage.resolved().eval()
    with torch.inference_mode():
        stage.prepare(lambda _: probe_reading())
        _check_answers(stage)
        _check_grey(stage)
    _check_pipeline(stage)
    if "strength" in registry.options(cls).model_fields:
        _check_strength(cls, options)
    return stage


def _check_documentation(cls: type[Stage]) -> None:
    """Check that the docstring, which users see, explains every option."""
    assert (inspect.getdoc(cls) or "") != inspect.getdoc(Stage), f"{cls.__name__} needs a docstring of its own"
    missing = registry.options(cls).model_fields.keys() - registry.descriptions(cls).keys()
    assert not missing, f"the docstring's section 'Options:' says nothing of {', '.join(sorted(missing))}"


def _check_answers(stage: Stage) -> None:
    """Check the answers: shape, type, range; an unchanged input; the same answer again, and beside other faces."""
    face, read = probe(stage, torch.device("cpu"))
    before = face.clone()
    answer = stage(face, **read)
    assert isinstance(answer, Tensor), f"forward must return a tensor, not {type(answer).__name__}"
    side = face.shape[-1] * stage.scale
    expected = (1, 3, side, side)
    assert tuple(answer.shape) == expected, f"forward must return {expected} for {tuple(face.shape)}"
    assert answer.dtype == torch.float32, f"forward must return float32, not {answer.dtype}"
    assert bool(answer.isfinite().all()), "forward returned values that are not finite"
    assert float(answer.abs().max()) <= 1 + OVERSHOOT, f"forward must answer in -1..1, not {float(answer.abs().max())}"
    assert torch.equal(face, before), "forward wrote to its input; work on a copy"
    assert torch.equal(stage(face, **read), answer), "a face gave two answers; draw nothing at random in forward"
    both = stage(torch.cat([face, face.flip(3)]), **{name: torch.cat([value, value]) for name, value in read.items()})
    difference = float((both[:1] - answer).abs().max())
    assert difference <= ROUNDING, f"a face's answer depends on its neighbours in the batch (by {difference:.3f} of 2)"


def _check_grey(stage: Stage) -> None:
    """Check that a grey face stays grey, unless an option was given a colour by name."""
    face, read = probe(stage, torch.device("cpu"))
    face = face.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1).clone()
    answer = stage.forward_grey(face, **read)
    expected = (1, 3, face.shape[-1] * stage.scale, face.shape[-1] * stage.scale)
    assert tuple(answer.shape) == expected, f"forward_grey must return {expected} for {tuple(face.shape)}"
    apart = levels(answer.amax(dim=1) - answer.amin(dim=1)).max()
    assert stage.colours or float(apart) < 1, (
        f"a grey face got colours, {float(apart):.0f} levels apart; forward_grey changes the light alone unless "
        "self.colours has an option that names a colour"
    )


def _check_pipeline(stage: Stage) -> None:
    """Check the stage in a pipeline: the size of the photo, and a photo without a face."""
    photo = portrait()[:-1, :-2].copy()  # odd sides
    height, width = photo.shape[:2]
    factor = stage.scale if stage.effect == "enlarge" and stage.scope == "photo" else 1
    result = Pipeline([stage], detector=FakeDetector())(photo)
    size = np.asarray(result.image).shape
    assert size == (height * factor, width * factor, 3), f"a photo of {width} x {height} px came back as {size}"
    no_face = Pipeline([stage], detector=FakeDetector([]))(photo)
    assert no_face.status == ("no_face" if stage.scope == "face" and stage.needs_face else "ok")
    if stage.scope == "face":
        assert (np.asarray(no_face.image) == photo).all(), "a photo without a face must stay as it is"


def _check_strength(cls: type[Stage], options: dict[str, Any]) -> None:
    """Check that strength 0 leaves the photo as it is."""
    stage = cls(**{**options, "strength": 0})
    photo = portrait()
    result = np.asarray(Pipeline([stage], detector=FakeDetector())(photo).image)
    if stage.resolved().effect != "enlarge":
        assert (result == photo).all(), "strength 0 must leave the photo as it is; set self.strength = strength"
