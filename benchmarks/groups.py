"""Figures of the test faces by gender, age, skin tone, label and source, as tables in Markdown.

They show whom ganchain serves worse.

    python benchmarks/groups.py FOLDER [--limit N]

FOLDER holds ``faces256`` as the bundled recipes know it: faces cut tight, ``labels.csv`` with gender, age, race,
dataset, split and person; beside it lie the teacher's points, ``points-faces256.npz`` (docs/training.md). Needs ``pip
install 'ganchain[evaluate,train]'``. In brackets the 95 % interval: Wilson's of shares, a bootstrap over persons of
means.

found: the detector finds the face in its place. The crops were once cut around faces that a detector had found, so
    faces that no detector finds are not among them.
lips: the share of the colour difference (CIE76) between the bare lips and those painted by the teacher's points in the
    look evening that is gone when they are painted by ours; without the detector.
gender, age: the judge ``age-gender`` takes the edited face for the gender not labelled, and for old (labelled 20-39) or
    young (50 and more). ``judge``: it reads both labels rightly off the unedited face.
distance: distance of dlib's face embedding after the chain ``portrait``; below 0.6 it takes both for one person.
    ``strangers``: the share of pairs of different people of the group, unedited, that are below 0.6, which shows how
    little the embedding tells there.

Skin tone is the individual typology angle (Chardon et al. 1991) of the median colour of both cheeks, with that
article's classes. In photos of any light it depends on the light as well: it is the tone that the photo shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganchain import Pipeline
from ganchain.checkpoints import architectures, manifest
from ganchain.colour.lab import to_lab
from ganchain.colour.makeup import REGIONS
from ganchain.evaluate.edits import AIMS, EMBEDDING_SIDE, JUDGED_SIDE
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import Embedder
from ganchain.faces.face import Face
from ganchain.faces.regions import regions
from ganchain.framing import EYE_DISTANCE, EYES_X, EYES_Y, TIGHT
from ganchain.pipeline.reader import FaceReader
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.train.age_gender import targets
from ganchain.train.data import Sample, read
from ganchain.train.datasets.labels import labelled
from ganchain.train.landmarks import aligned

CHEEKS, CHEEK = ((0.30, 0.52), (0.70, 0.52)), 0.04  # middles and half the side, shares of the crop's side
TONES = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-180, "dark"))
AGES = {"2": "20-29", "3": "30-39", "4": "40-49", "5": "50-59", "6": "60 and more", "7": "60 and more"}
FARTHEST = 0.12  # share of the crop's side; a face found farther from its place is another
SAME_PERSON = 0.6  # distance of the embedding
SEED, DRAWS = 0, 2000


@dataclass(frozen=True)
class Figures:
    """Measurements of one test face; None where there is none."""

    sample: Sample
    groups: tuple[str, ...]
    found: bool
    lips: float
    judge: bool | None = None
    gender: bool | None = None
    age: bool | None = None
    distance: float | None = None
    embedding: NDArray[np.float64] | None = None


def angle(pixels: Pixels) -> float:
    """Compute the individual typology angle of the cheeks of a crop in degrees; lighter is higher."""
    lab = to_lab(to_faces(pixels))[0].numpy()
    side = pixels.shape[0]
    reach = round(CHEEK * side)
    windows = [
        lab[:, round(y * side) - reach : round(y * side) + reach, round(x * side) - reach : round(x * side) + reach]
        for x, y in CHEEKS
    ]
    light, _, yellow = np.median(np.concatenate([window.reshape(3, -1) for window in windows], axis=1), axis=1)
    return float(np.degrees(np.arctan2(light - 50, yellow)))


def groups(sample: Sample, pixels: Pixels) -> tuple[str, ...]:
    """List the rows of the tables in which this face counts."""
    labels, source = sample.labels, sample.labels["dataset"].partition("_")[0]
    tone = next(name for least, name in TONES if angle(pixels) > least)
    names = ["all", f"gender: {labels['gender']}", f"tone: {tone}", f"source: {source}"]
    if labels["age"]:
        names.append(f"age: {AGES[labels['age'][0]]}")
    if source == "fairface":
        names.append(f"FairFace's label: {labels['race'].replace('_', ' ')}")
    return tuple(names)


def in_place(face: Face, side: int) -> bool:
    """Return whether a detection is the face around which a tight crop ``side`` px wide was cut."""
    eyes = face.landmarks[:4].mean(axis=0) / side
    place = (np.array([EYES_X, EYES_Y]) - (TIGHT.left, TIGHT.top)) / TIGHT.side
    ratio = face.eye_distance / side / (EYE_DISTANCE / TIGHT.side)
    return face.left_out is None and bool(np.linalg.norm(eyes - place) < FARTHEST) and 0.6 < ratio < 1.6


class Bench:
    """Chains, and the networks that judge their results."""

    def __init__(self) -> None:
        self.detector, self.embedder, self.makeup = DlibDetector(), Embedder(), Makeup(look="evening").eval()
        self.reader = FaceReader(torch.device("cpu"))
        self.judge: nn.Module = architectures.build("age-gender", manifest.load("age-gender").tensors)
        self.portrait = Pipeline.from_yaml("portrait")
        self.edits = {
            **{age: Pipeline([Attributes(age=age)], faces="largest") for age in ("young", "old")},
            **{gender: Pipeline([Attributes(gender=gender)], faces="largest") for gender in ("female", "male")},
        }

    def __call__(self, sample: Sample, lips: float) -> Figures:
        """Measure one face."""
        pixels = read(sample.path)
        usable = [face for face in self.detector(pixels) if in_place(face, pixels.shape[0])]
        if not usable:
            return Figures(sample, groups(sample, pixels), False, lips)
        face = max(usable, key=lambda one: one.size)
        male, old = targets(sample).tolist()
        logits = self._logits(pixels, face)
        correct = [
            bool((logits[index] > 0) == (label > 0.5)) for index, label in enumerate((male, old)) if label != 0.5
        ]
        return Figures(
            sample,
            groups(sample, pixels),
            True,
            lips,
            None if np.isnan(old) or np.isnan(male) else all(correct),
            self._succeeds("female" if male else "male", pixels, face),
            None if np.isnan(old) or old == 0.5 else self._succeeds("young" if old > 0.5 else "old", pixels, face),
            *self._distance(pixels, face),
        )

    def _logits(self, pixels: Pixels, face: Face) -> list[float]:
        """Read gender and age off a face with the judge: logits of male and old."""
        chip = Aligner(TIGHT).chip(pixels, face, JUDGED_SIDE)
        with torch.inference_mode():
            logits: torch.Tensor = self.judge(chip.float())
        return logits[0].tolist()

    def _succeeds(self, aim: str, pixels: Pixels, face: Face) -> bool:
        """Return whether the judge takes the edited face for the edit's aim."""
        place, sign = AIMS[aim]
        photo = self.edits[aim](pixels).photo
        assert photo is not None
        return self._logits(photo.pixels, face)[place] * sign > 0

    def _distance(self, pixels: Pixels, face: Face) -> tuple[float, NDArray[np.float64]]:
        """Measure how far the chain moves the embedding; returns the distance and the embedding before."""
        photo = self.portrait(pixels).photo
        assert photo is not None
        enlarged = face.enlarged(photo.pixels.shape[1] // pixels.shape[1])
        before, after = (
            self.embedder(to_pixels(Aligner(TIGHT).chip(picture, picture_face, EMBEDDING_SIDE))[0])
            for picture, picture_face in ((pixels, face), (photo.pixels, enlarged))
        )
        return float(np.linalg.norm(after - before)), before

    def lips(self, pixels: Pixels, places: NDArray[np.float32]) -> float:
        """Measure how far our points go from bare lips to the teacher's (478, 2), in px of the tight face."""
        reading = aligned(pixels, TIGHT, self.reader).reading
        assert reading is not None
        face = to_faces(pixels)
        true = torch.from_numpy((places + 0.5) * (2 / len(pixels)) - 1).float()[None]
        with torch.inference_mode():
            given = reading.within(TIGHT, face, self.makeup.reads)
            painted, target = self.makeup(face, **given), self.makeup(face, **{**given, "points": true})
        inside = regions(true, given["skin"])[0, REGIONS.index("lips")]
        missing, full = ((to_lab(x) - to_lab(target)).norm(dim=1)[0] * inside for x in (painted, face))
        return 1 - float(missing.sum() / full.sum())


def shares(rows: Iterable[Figures], value_of: Callable[[Figures], bool | None]) -> str:
    """Write a share in % with Wilson's interval (1927)."""
    values, z = [value for row in rows if (value := value_of(row)) is not None], 1.96
    if not (n := len(values)):
        return "–"
    p = sum(values) / n
    middle, reach = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * reach) / (1 + z * z / n) for sign in (-1, 1))
    return f"{100 * p:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def means(rows: Iterable[Figures], value_of: Callable[[Figures], float | None]) -> str:
    """Write a mean with a bootstrap's interval, persons drawn with all their pictures."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if (value := value_of(row)) is not None:
            values.setdefault(row.sample.labels["person"], []).append(value)
    if not values:
        return "–"
    sums, counts = (np.array([function(person_values) for person_values in values.values()]) for function in (sum, len))
    drawn = np.random.default_rng(SEED).integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return f"{sums.sum() / counts.sum():.2f} ({low:.2f}–{high:.2f})"


def strangers(rows: Iterable[Figures]) -> str:
    """Write the share in % of pairs of different persons whom the embedding takes for one."""
    embeddings = [(row.sample.labels["person"], row.embedding) for row in rows if row.embedding is not None]
    near = [
        np.linalg.norm(a - b) < SAME_PERSON
        for (a_person, a), (b_person, b) in combinations(embeddings, 2)
        if a_person != b_person
    ]
    return f"{100 * np.mean(near):.0f}" if near else "–"


def table(rows: Sequence[Figures]) -> str:
    """Lay out all groups, one a line."""
    names = sorted({name for row in rows for name in row.groups}, key=order)
    titles = (
        "faces",
        "found, %",
        "lips",
        "gender, %",
        "age, %",
        "judge, %",
        "distance",
        f"below {SAME_PERSON:g}, %",
        "strangers, %",
    )
    lines = [f"| group | {' | '.join(titles)} |", "|" + "---|" * (len(titles) + 1)]
    for name in names:
        group_rows = [row for row in rows if name in row.groups]
        cells = [
            str(len(group_rows)),
            shares(group_rows, lambda row: row.found),
            means(group_rows, lambda row: row.lips),
            shares(group_rows, lambda row: row.gender),
            shares(group_rows, lambda row: row.age),
            shares(group_rows, lambda row: row.judge),
            means(group_rows, lambda row: row.distance),
            shares(group_rows, lambda row: None if row.distance is None else row.distance < SAME_PERSON),
            strangers(group_rows),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def order(name: str) -> tuple[int, int, str]:
    """Return the key by which the groups are sorted."""
    kinds = ["all", "gender", "age", "tone", "FairFace's label", "source"]
    kind, _, group = name.partition(": ")
    tones = [tone for _, tone in TONES]
    return kinds.index(kind), tones.index(group) if group in tones else 0, group


def main(folder: Path, limit: int | None) -> None:
    cv2.setNumThreads(1)
    bench = Bench()
    faces = [(sample, columns["points"][:, :2]) for sample, columns in labelled(folder, "faces256")]
    rows = [
        bench(sample, bench.lips(read(sample.path), places))
        for sample, places in [face for face in faces if face[0].split == "test"][:limit]
    ]
    print(table(rows))
    print("\nnot found: " + ", ".join(row.sample.path.stem for row in rows if not row.found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="only the first so many faces")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.limit)
