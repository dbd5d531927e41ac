"""Heads of the parts recipe: photos, mattes and zones made of two segmenters, points and hand marks."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ganchain.faces.mesh import OVAL
from ganchain.tensors import Pixels
from ganchain.train.data import read, samples
from ganchain.train.datasets.labels import labelled
from ganchain.train.teachers.parts import GOATEE, LIPS, MASK, MOUSTACHE, beard_zone, parts, region

FOLDER = "wide256"
MARKS = "parts-marks.csv"  # beside the data: what was marked by hand; a head that is not named has none of it
GLASSES, STYLES = ("none", "thin", "thick"), ("", "long", "updo", "balding", "bald")
PLANES = (
    *("hair", "beard", "skin", "known", "person", "teacher", "oval", "near", "eyes", "mask"),
    *("full", "moustache", "goatee"),
)
EYES = (127, 70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 356, 447, 346, 347, 329, 437, 195, 217, 100, 118, 117, 227)
PIECE, PIECES = 128, 2  # px of a texture, and how many of each photo
FLAT = 12  # 8-bit levels of standard deviation, below which a texture shows nothing


class Heads(NamedTuple):
    """N heads, or one of them without the first axis; S is the side of the pictures in px.

    Attributes:
        pixels: (N, 3, S, S) uint8 RGB.
        planes: (N, len(PLANES), S, S) uint8 mattes and zones.
        points: (N, 478, 2) float32 in pixels.
        glasses: (N,) 0 none, 1 thin, 2 thick: real ones, marked by hand.
        bearded: (N,) bool, any facial hair, stubble too.
        style: (N,) place in ``STYLES``.
        covered: (N,) bool, a real cover before the face.
    """

    pixels: Tensor
    planes: Tensor
    points: Tensor
    glasses: Tensor
    bearded: Tensor
    style: Tensor
    covered: Tensor

    def select(self, rows: Tensor) -> Heads:
        """Pick the heads of ``rows``."""
        return Heads(*(column[rows.to(column.device)] for column in self))

    def plane(self, name: str) -> Tensor:
        """Return a plane as (N, 1, S, S) float32 0..1."""
        return self.planes[:, PLANES.index(name)][:, None].float() / 255


@dataclass(eq=False)
class Batch:
    """Pictures and answers that a step learns from.

    Attributes:
        pixels: (N, 3, S, S) -1..1.
        target: (N, 6, S, S) 0..1 in the order of ``ganchain.faces.parts.PARTS``.
        known: (N, 3, S, S) 0..1, how much the base, the glasses and the cover count.
        frames: (N, 1, S, S) 0..1, where real glasses are somewhere (0 on faces without).
        thin: (N,) whether those are thin.
    """

    pixels: Tensor
    target: Tensor
    known: Tensor
    frames: Tensor
    thin: Tensor


def planes(
    pixels: Pixels,
    points: NDArray[np.float32],
    hair: NDArray[np.uint8],
    person: NDArray[np.uint8],
    mark: Mapping[str, str],
) -> NDArray[np.uint8]:
    """Make the planes of one head (S, S, 3), from points (478, 2) in px and the segmenters' (S, S) 0..255."""
    size = len(pixels)
    share, body = (np.asarray(matte / np.float32(255), np.float32) for matte in (hair, person))
    bald, hat = mark.get("hair") == "bald", mark.get("cover") == "hat"
    answer = parts(pixels, points, share, body, mark.get("beard") or "none", bald, hat)
    oval, lips = region(points, OVAL, size), region(points, LIPS, size)
    reach = int(0.22 * np.linalg.norm(points[454] - points[234])) | 1
    by_name: dict[str, NDArray[Any]] = {
        "hair": answer.hair,
        "beard": answer.beard,
        "skin": answer.skin,
        "known": answer.known,
        "person": body,
        "teacher": share * (not bald),
        "oval": oval,
        "near": cv2.dilate(oval, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))),
        "eyes": region(points, EYES, size),
        "mask": region(points, MASK, size),
        "full": beard_zone(points, size),
        "moustache": np.minimum(region(points, MOUSTACHE, size), 1 - lips),
        "goatee": np.minimum(region(points, GOATEE, size), 1 - lips),
    }
    return np.stack([np.round(np.clip(by_name[name], 0, 1) * 255) for name in PLANES]).astype(np.uint8)


class Labelled(Dataset[Heads]):
    """Heads of one split with their mattes, all made at once; in training some rare ones come twice."""

    def __init__(self, data: Path, split: str, limit: int | None = None) -> None:
        mattes = {sample.path: columns for sample, columns in labelled(data, FOLDER, "mattes")}
        marks = _marks(data)
        self.heads: list[Heads] = []
        for sample, columns in labelled(data, FOLDER):
            mark = marks.get(sample.path.stem, {})
            hat = split == "train" and mark.get("cover") == "hat"  # the segmenters take it for hair
            if sample.split == split and not hat and (limit is None or len(self.heads) < limit):
                points, pixels = np.asarray(columns["points"][:, :2], np.float32), read(sample.path)
                answer = mattes[sample.path]
                self.heads.append(
                    Heads(
                        torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
                        torch.from_numpy(planes(pixels, points, answer["hair"], answer["person"], mark)),
                        torch.from_numpy(points),
                        torch.tensor(GLASSES.index(mark.get("glasses") or "none")),
                        torch.tensor((mark.get("beard") or "none") != "none"),
                        torch.tensor(STYLES.index(mark.get("hair", ""))),
                        torch.tensor(mark.get("cover") == "cover"),
                    )
                )
        if split == "train":
            self.heads += [head for head in self.heads if head.bearded or STYLES[head.style] in ("updo", "bald")]

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, index: int) -> Heads:
        return self.heads[index]


def _marks(data: Path) -> dict[str, dict[str, str]]:
    """Read what was marked by hand, by the stem of the picture's name: glasses, beard, hair and cover."""
    if not (data / MARKS).exists():
        return {}
    with (data / MARKS).open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).stem: row for row in csv.DictReader(file)}


def textures(data: Path) -> Tensor:
    """Cut pieces (T, 3, PIECE, PIECE) uint8 out of ``data``/photos_cc0 (or a plain folder), always the same ones."""
    generator, pieces = np.random.default_rng(0), []
    for sample in samples(data / "photos_cc0") or samples(data):
        pixels = read(sample.path)
        for _ in range(PIECES):
            side = int(min(pixels.shape[:2]) * generator.uniform(0.25, 0.8))
            y, x = (int(generator.integers(0, length - side + 1)) for length in pixels.shape[:2])
            piece = np.ascontiguousarray(pixels[y : y + side, x : x + side])
            if piece.std() >= FLAT:
                pieces.append(cv2.resize(piece, (PIECE, PIECE), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(pieces).transpose(0, 3, 1, 2).copy())
