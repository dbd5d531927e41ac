"""Effects of the edits on people: how far they stay themselves, and how a judge that saw no edits takes age and gender.

Edits run as in any chain, on test pictures. The distance between two faces is that of dlib's face embedding, below 0.6
for the same person (King 2017). The judge is ``nets.age_gender``, trained on labelled photos only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ganchain.chains import registry
from ganchain.checkpoints import architectures, manifest
from ganchain.errors import PhotoError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import Embedder
from ganchain.faces.face import Face
from ganchain.framing import TIGHT
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.train.age_gender import targets
from ganchain.train.data import Sample, is_plain_folder, read, samples

EMBEDDING_SIDE, JUDGED_SIDE = 150, 256  # px in the tight framing, on which dlib's network and the judge were trained
AIMS = {"young": (1, -1), "old": (1, 1), "female": (0, -1), "male": (0, 1)}  # place and sign of the judge's answer


@dataclass(frozen=True)
class Edit:
    """Stage with options, and how far the embedding may move."""

    name: str
    stage: str
    options: Mapping[str, object] = field(default_factory=dict)
    limit: float = 0.6

    def pipeline(self, weights: str | None) -> Pipeline:
        """Build the chain of this edit alone."""
        return Pipeline([self.build_stage(weights)], faces="largest")

    def build_stage(self, weights: str | None) -> Stage:
        """Build the stage of this edit, with ``weights`` instead of the bundled ones."""
        options = dict(self.options)
        if weights is not None:
            options = {**options, "weights": weights}
            for name in ("detail", "size", "restore", "likeness"):  # of the bundled weights alone
                options.pop(name, None)
        return registry.stage(self.stage)(**options).eval()


EDITS: dict[str, tuple[Edit, ...]] = {
    "makeup": (Edit("evening", "makeup", {"look": "evening"}, 0.4), Edit("rose", "makeup", {"look": "rose"}, 0.4)),
    "hair": tuple(Edit(hair, "attributes", {"hair": hair}) for hair in ("black", "brown", "blond")),
    "attributes-portrait": (
        Edit("young", "attributes", {"age": "young"}),
        Edit("old", "attributes", {"age": "old"}),
        Edit("female", "attributes", {"gender": "female"}),
        Edit("male", "attributes", {"gender": "male"}),
    ),
    "webtoon": (Edit("filter", "webtoon", {"look": "filter"}, 0.55), Edit("drawn", "webtoon", {"likeness": 1.0})),
    "upscale": (Edit("x4", "upscale", {"factor": 4, "detail": 0, "restore": 0}),),
    "upscale-detail": (Edit("x4", "upscale", {"factor": 4, "detail": 1, "restore": 0}),),
}
EDITS |= {
    f"upscale-{size}": (Edit("x4", "upscale", {"factor": 4, "size": size, "restore": 0}),)
    for size in ("fast", "standard", "best")
}


@dataclass(frozen=True, eq=False)
class Person:
    """Test picture with the face in it."""

    sample: Sample
    pixels: Pixels
    face: Face

    def chip(self, side: int, edited: Pixels | None = None) -> Pixels:
        """Cut out the aligned face (side, side, 3), from the picture or from an ``edited`` one, which may be larger."""
        pixels = self.pixels if edited is None else edited
        face = self.face.enlarged(pixels.shape[1] // self.pixels.shape[1])
        return to_pixels(Aligner(TIGHT).chip(pixels, face, side))[0]

    def edit(self, pipeline: Pipeline) -> Pixels:
        """Run the picture through ``pipeline``."""
        photo = pipeline(self.pixels).photo
        assert photo is not None
        return photo.pixels


class People:
    """Test pictures that show a face: those in ``data`` itself, or in its ``folder``.

    If there are more than ``limit``, they are picked evenly.
    """

    def __init__(self, data: Path, folder: str, limit: int | None = None) -> None:
        pictures = samples(data if is_plain_folder(data) else data / folder, "test")
        if limit is not None and len(pictures) > limit:
            pictures = [pictures[round(i * (len(pictures) - 1) / max(limit - 1, 1))] for i in range(limit)]
        self.pictures, self._detector = pictures, DlibDetector()

    @cached_property
    def all(self) -> list[Person]:
        """The people, found in the pictures once."""
        people = list(self._detect())
        if not people:
            raise PhotoError("no face is found in the pictures of the test split")
        return people

    @cached_property
    def embed(self) -> Embedder:
        return Embedder()

    @cached_property
    def embeddings(self) -> list[NDArray[np.float64]]:
        """Embeddings of ``all``, unedited: computed once for every edit and every file of weights."""
        return [self.embed(person.chip(EMBEDDING_SIDE)) for person in self.all]

    def _detect(self) -> Iterator[Person]:
        """Yield the largest face of each picture that shows one."""
        for sample in self.pictures:
            pixels = read(sample.path)
            usable = [face for face in self._detector(pixels) if face.left_out is None]
            if usable:
                yield Person(sample, pixels, max(usable, key=lambda face: face.size))


def identity(key: str, weights: str | None, people: People) -> dict[str, float]:
    """Measure the embedding distance to the source, and the share of faces below the edit's limit."""
    figures: dict[str, float] = {}
    for edit in EDITS[key]:
        pipeline, distances = edit.pipeline(weights), []
        for person, source in zip(people.all, people.embeddings, strict=True):
            edited = people.embed(person.chip(EMBEDDING_SIDE, person.edit(pipeline)))
            distances.append(float(np.linalg.norm(edited - source)))
        figures[f"{edit.name}: embedding distance"] = float(np.mean(distances))
        figures[f"{edit.name}: median distance"] = float(np.median(distances))
        figures[f"{edit.name}: share below {edit.limit:g}"] = float(np.mean(np.array(distances) < edit.limit))
    return figures


def success_rates(weights: str | None, people: People) -> dict[str, float]:
    """Measure the share of faces that the judge takes for the aim of the edit.

    There are two shares: of all faces, and of those labelled the opposite.
    """
    judge = architectures.build("age-gender", manifest.load("age-gender").tensors)
    figures: dict[str, float] = {}
    for edit in EDITS["attributes-portrait"]:
        place, sign = AIMS[edit.name]
        pipeline, hits, opposite_hits = edit.pipeline(weights), list[bool](), list[bool]()
        for person in people.all:
            face = to_faces(person.chip(JUDGED_SIDE, person.edit(pipeline)))
            with torch.inference_mode():
                logits = judge(face)
            hits.append(float(logits[0, place]) * sign > 0)
            opposite_hits += hits[-1:] if float(targets(person.sample)[place] - 0.5) * sign < 0 else []
        figures[f"{edit.name}: taken for it"] = float(np.mean(hits))
        if opposite_hits:
            figures[f"{edit.name}: taken for it, of the opposite"] = float(np.mean(opposite_hits))
    return figures
