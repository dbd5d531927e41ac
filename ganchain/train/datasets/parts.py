"""Heads of the parts recipe: photos, what two segmenters and the points say of them, hand marks; packed in a file.

The pack holds compressed pictures only; mattes and zones are made of it when it is read, by the rules of
``ganchain.train.teachers.parts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.train.teachers.parts import GOATEE, LIPS, MASK, MOUSTACHE, OVAL, beard_zone, parts, region

SIZE = 256
PLANES = (
    "hair",
    "beard",
    "skin",
    "known",
    "person",
    "teacher",
    "oval",
    "near",
    "eyes",
    "mask",
    "full",
    "moustache",
    "goatee",
)
LARGE = ("pixels", "planes", "points")
EYES = (127, 70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 356, 447, 346, 347, 329, 437, 195, 217, 100, 118, 117, 227)


@dataclass
class Heads:
    """N heads, uint8 planes of ``SIZE`` px; ``select`` and ``to`` give others.

    Attributes:
        pixels: (N, 3, S, S) RGB.
        planes: (N, len(PLANES), S, S) mattes and zones.
        points: (N, 478, 2) float32 in pixels.
        glasses: (N,) 0 none, 1 thin, 2 thick: real ones, marked by hand.
        bearded: (N,) bool, any facial hair, stubble too.
        style: (N,) 0 other, 1 long, 2 updo, 3 balding, 4 bald.
        covered: (N,) bool, a real cover before the face.
        split: (N,) 0 train, 1 val, 2 test.
    """

    pixels: Tensor
    planes: Tensor
    points: Tensor
    glasses: Tensor
    bearded: Tensor
    style: Tensor
    covered: Tensor
    split: Tensor

    def select(self, rows: Tensor) -> Heads:
        """The heads of ``rows`` (on the CPU, as what is marked by hand stays)."""
        there = rows.to(self.pixels.device)
        return Heads(*(getattr(self, f.name)[there if f.name in LARGE else rows] for f in fields(self)))

    def to(self, device: torch.device | str) -> Heads:
        """The same with pictures, planes and points on ``device``."""
        return Heads(*(x.to(device) if name in LARGE else x for name, x in self._named()))

    def _named(self) -> list[tuple[str, Tensor]]:
        return [(f.name, getattr(self, f.name)) for f in fields(self)]

    def __len__(self) -> int:
        return len(self.pixels)

    def plane(self, name: str) -> Tensor:
        """(N, 1, S, S) float32 0..1."""
        return self.planes[:, PLANES.index(name)][:, None].float() / 255


def label(
    pixels: NDArray[np.uint8],
    points: NDArray[np.float32],
    hair: NDArray[np.uint8],
    person: NDArray[np.uint8],
    mark: Sequence[str],
) -> NDArray[np.uint8]:
    """The planes of one head; ``mark``: glasses, beard, hair, cover as marked by hand. (len(PLANES), S, S)."""
    cv2.setNumThreads(1)
    share, body = hair.astype(np.float32) / 255, person.astype(np.float32) / 255
    bald = mark[2] == "bald"
    made = parts(pixels, points, share, body, mark[1], bald, mark[3] == "hat")
    oval = region(points, OVAL, SIZE)
    side = int(0.22 * np.linalg.norm(points[454] - points[234])) | 1
    near = cv2.dilate(oval, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    lips = region(points, LIPS, SIZE)
    planes = {
        "hair": made.hair, "beard": made.beard, "skin": made.skin, "known": made.known, "person": body,
        "teacher": share * (not bald), "oval": oval, "near": near, "eyes": region(points, EYES, SIZE),
        "mask": region(points, MASK, SIZE), "full": beard_zone(points, SIZE),
        "moustache": np.minimum(region(points, MOUSTACHE, SIZE), 1 - lips),
        "goatee": np.minimum(region(points, GOATEE, SIZE), 1 - lips),
    }  # fmt: skip
    return np.stack([np.round(np.clip(planes[name], 0, 1) * 255) for name in PLANES]).astype(np.uint8)


def _head(job: tuple[Any, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    photo, hair, person, points, mark = job
    pixels = cv2.cvtColor(cv2.imdecode(photo, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    grey = [cv2.imdecode(plane, cv2.IMREAD_GRAYSCALE) for plane in (hair, person)]
    return pixels.transpose(2, 0, 1), label(pixels, points, grey[0], grey[1], mark)  # type: ignore[arg-type,return-value]


def read(path: Path, workers: int = 1, limit: int | None = None) -> tuple[Heads, Tensor]:
    """Read a pack: its heads, and pieces of photos (T, 3, R, R) uint8.

    Args:
        workers: processes that make the mattes.
        limit: so many heads of each split only.
    """
    with np.load(path) as pack:
        held = {name: pack[name] for name in pack.files}
    chosen = np.arange(len(held["split"]))
    if limit:
        chosen = np.concatenate([chosen[held["split"] == k][:limit] for k in range(3)])
    bounds = {
        name: np.concatenate([[0], np.cumsum(held[f"{name}_sizes"])]) for name in ("photo", "hair", "person", "texture")
    }

    def piece(name: str, k: int) -> NDArray[np.uint8]:
        return held[name][bounds[name][k] : bounds[name][k + 1]]

    points = held["points"].astype(np.float32) / 64 - 128
    marks = [[str(word) for word in row] for row in held["marks"]]
    jobs = [(piece("photo", k), piece("hair", k), piece("person", k), points[k], marks[k]) for k in chosen]
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            made = list(pool.map(_head, jobs, chunksize=16))
    else:
        made = [_head(job) for job in jobs]
    mine = [marks[k] for k in chosen]
    heads = Heads(
        torch.from_numpy(np.stack([pixels for pixels, _ in made])),
        torch.from_numpy(np.stack([planes for _, planes in made])),
        torch.from_numpy(points[chosen]),
        torch.tensor([("none", "thin", "thick").index(mark[0]) for mark in mine]),
        torch.tensor([mark[1] != "none" for mark in mine]),
        torch.tensor([("", "long", "updo", "balding", "bald").index(mark[2]) for mark in mine]),
        torch.tensor([mark[3] == "cover" for mark in mine]),
        torch.from_numpy(held["split"][chosen].astype(np.int64)),
    )
    textures = [
        cv2.imdecode(piece("texture", k), cv2.IMREAD_COLOR)[..., ::-1] for k in range(len(held["texture_sizes"]))
    ]
    return heads, torch.from_numpy(np.stack(textures).transpose(0, 3, 1, 2).copy())


def write(
    path: Path,
    photos: Sequence[NDArray[np.uint8]],
    hair: Sequence[NDArray[np.uint8]],
    person: Sequence[NDArray[np.uint8]],
    points: NDArray[np.float32],
    marks: Sequence[Sequence[str]],
    split: Sequence[int],
    textures: Sequence[NDArray[np.uint8]],
) -> None:
    """Write a pack of (S, S, 3) photos, (S, S) mattes, (N, 478, 2) points, four marks a head and (R, R, 3) textures."""
    held: dict[str, NDArray[Any]] = {}
    for name, pictures, quality in (
        ("photo", photos, 86),
        ("hair", hair, 60),
        ("person", person, 50),
        ("texture", textures, 75),
    ):
        coded = []
        for picture in pictures:
            plain = picture[..., ::-1] if picture.ndim == 3 else picture
            coded.append(cv2.imencode(".webp", plain, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].ravel())
        held[name], held[f"{name}_sizes"] = np.concatenate(coded), np.array([len(code) for code in coded])
    held["points"] = np.round((points + 128) * 64).astype(np.uint16)
    held["marks"], held["split"] = np.array(marks), np.array(split, np.int8)
    np.savez_compressed(path, **held)
