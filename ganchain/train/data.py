"""Training photos: folders of pictures, their labels where there are any, and a stable split."""

from __future__ import annotations

import csv
from collections.abc import Sequence
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
CROPS = "crops.csv"  # what `ganchain align` notes of its crops: file, photo, framing, side
FOLDERS = {"faces256": "tight", "wide256": "head", "photos_cc0": None}  # the framings of the bundled recipes' faces


class Labels(dict[str, str]):
    """What is known of one picture (gender, age, race, person ... as strings); what is not, says how to add it."""

    def __init__(self, picture: Path, known: dict[str, str]) -> None:
        super().__init__(known)
        self.picture = picture

    def __missing__(self, key: str) -> str:
        table = self.picture.parent / "labels.csv"
        raise PhotoError(f"{self.picture}: no label {key!r}; it is a column of {table} (columns file, {key} ...)")


@dataclass(frozen=True)
class Sample:
    """One training picture, its split and its labels."""

    path: Path
    split: str
    labels: dict[str, str] = field(default_factory=dict)


def samples(folder: Path, split: str | None = None) -> list[Sample]:
    """The pictures of ``folder`` and the folders in it, in a stable order.

    A ``labels.csv`` in it (column ``file`` and any others) says what is known of them, and in a column ``split`` what
    is in which split; without one, a checksum of the name decides: 80 % train, 10 % val, 10 % test.

    A folder of crops stands for the one of ``FOLDERS`` in it that has their framing; the others are empty then.
    """
    if folder.name in FOLDERS and plain(folder.parent):
        if framing(folder.parent) != FOLDERS[folder.name]:
            return []
        folder = folder.parent
    table = folder / "labels.csv"
    if table.exists():
        with table.open(newline="") as file:
            rows = {row["file"]: row for row in csv.DictReader(file)}
    else:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        rows = {path.relative_to(folder).as_posix(): dict[str, str]() for path in paths}
    if not rows:
        raise PhotoError(f"no training pictures in {folder}")
    splits = _splits(list(rows))
    labels = {name: Labels(folder / name, row) for name, row in rows.items()}
    found = [Sample(known.picture, known.get("split") or splits[name], known) for name, known in labels.items()]
    return [sample for sample in found if split in (None, sample.split)]


def fingerprint(folder: Path) -> str:
    """Eight hex digits that change with the names, sizes and times of the pictures in ``folder``."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in pictures(folder)]
    return f"{crc32(repr((folder.resolve(), facts)).encode()):08x}"


def pictures(folder: Path) -> list[Path]:
    """The pictures that lie in ``folder`` itself, by name."""
    found = folder.iterdir() if folder.is_dir() else []
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def plain(folder: Path) -> bool:
    """Whether ``folder`` holds pictures itself, not in the folders that the bundled recipes know."""
    return not any((folder / name).exists() for name in FOLDERS) and bool(pictures(folder))


def framing(folder: Path) -> str:
    """The framing that `ganchain align` noted for the crops in ``folder``; tight where nothing is noted."""
    table = folder / CROPS
    if not table.exists():
        return "tight"
    with table.open(newline="", encoding="utf-8") as file:
        return next((row["framing"] for row in csv.DictReader(file)), "tight")


def _splits(names: Sequence[str]) -> dict[str, str]:
    """The split of each name by its checksum; of two names and more, train and val get one each at least."""
    checksums = {name: crc32(name.encode()) for name in names}
    buckets = {0: "test", 1: "val", 2: "test", 3: "val"}
    splits = {name: buckets.get(checksum % 20, "train") for name, checksum in checksums.items()}
    for wanted in ("train", "val"):
        if wanted not in splits.values() and (len(names) > 1 or wanted == "train"):
            spare = [name for name in names if splits[name] == "test"] or list(names)
            splits[min(spare, key=lambda name: checksums[name])] = wanted
    return splits


def size(path: Path) -> tuple[int, int]:
    """Width and height in px, without reading the picture."""
    with Image.open(path) as image:
        return image.size


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
