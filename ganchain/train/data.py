"""Training photos: folders of pictures, their labels where there are any, and a stable split."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from PIL import Image

from ganchain.errors import PhotoError
from ganchain.tensors import Pixels

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Sample:
    """One training picture and what is known of it (gender, age, race, person ... as strings)."""

    path: Path
    split: str
    labels: dict[str, str] = field(default_factory=dict)


def samples(folder: Path, split: str | None = None) -> list[Sample]:
    """The pictures of ``folder`` in a stable order.

    A ``labels.csv`` in it (columns ``file``, ``split`` and any others) says what is in which split; without
    one, a checksum of the name decides: 90 % train, 5 % val, 5 % test.
    """
    table = folder / "labels.csv"
    if table.exists():
        with table.open(newline="") as file:
            found = [Sample(folder / row["file"], row["split"], row) for row in csv.DictReader(file)]
    else:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        found = [Sample(path, _split(path.relative_to(folder).as_posix())) for path in paths]
    if not found:
        raise PhotoError(f"no training pictures in {folder}")
    return [sample for sample in found if split in (None, sample.split)]


def _split(name: str) -> str:
    bucket = crc32(name.encode()) % 20
    return {0: "test", 1: "val"}.get(bucket, "train")


def read(path: Path) -> Pixels:
    """(H, W, 3) uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@lru_cache(maxsize=256)
def read_cached(path: Path) -> Pixels:
    """Like ``read``, for the few large photos that many crops are taken from."""
    return read(path)


def below(limit: int) -> int:
    """A random whole number 0 .. limit - 1, from torch's generator, which the loader seeds."""
    return int(torch.randint(limit, ()))
