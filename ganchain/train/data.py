"""Training photos: folders of pictures, their labels where there are any, and a stable split."""

from __future__ import annotations

import csv
import os
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
CROPS = "crops.csv"  # the table that `ganchain align` writes beside its crops: file, photo, framing, side
FOLDERS = {"faces256": "tight", "wide256": "head", "photos_cc0": None}  # folders of the bundled recipes, their framing


class Labels(dict[str, str]):
    """Labels of one picture as strings (gender, age, race, person ...); a missing one raises an error with the cure."""

    def __init__(self, picture: Path, labels: dict[str, str]) -> None:
        super().__init__(labels)
        self.picture = picture

    def __missing__(self, key: str) -> str:
        table = self.picture.parent / "labels.csv"
        raise PhotoError(f"{self.picture}: no label {key!r}; it is a column of {table} (columns file, {key} ...)")


@dataclass(frozen=True)
class Sample:
    """Training picture with its split and its labels."""

    path: Path
    split: str
    labels: dict[str, str] = field(default_factory=dict)


def samples(folder: Path, split: str | None = None) -> list[Sample]:
    """List the pictures of ``folder`` and the folders in it, in a stable order.

    ``labels.csv`` in ``folder`` (column ``file`` and any others) holds labels, and in a column ``split`` the split.
    Without one, a checksum of the name decides: 80 % train, 10 % val, 10 % test.

    If ``folder`` is one of ``FOLDERS`` in a plain folder of crops, the crops themselves are listed where they have its
    framing, and nothing otherwise.

    Raises:
        PhotoError: there are no pictures.
    """
    if folder.name in FOLDERS and is_plain_folder(folder.parent):
        if crops_framing(folder.parent) != FOLDERS[folder.name]:
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
    pictures = [
        Sample(row_labels.picture, row_labels.get("split") or splits[name], row_labels)
        for name, row_labels in labels.items()
    ]
    return [sample for sample in pictures if split in (None, sample.split)]


def fingerprint(folder: Path) -> str:
    """Compute eight hex digits that change with the names, sizes and times of the pictures in ``folder``."""
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in pictures(folder)]
    return f"{crc32(repr((folder.resolve(), facts)).encode()):08x}"


def pictures(folder: Path) -> list[Path]:
    """List the pictures that lie in ``folder`` itself, by name."""
    paths = folder.iterdir() if folder.is_dir() else []
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES)


def is_plain_folder(folder: Path) -> bool:
    """Return whether ``folder`` holds pictures itself, rather than in the folders that the bundled recipes know."""
    return not any((folder / name).exists() for name in FOLDERS) and bool(pictures(folder))


def crops_framing(folder: Path) -> str:
    """Return the framing that `ganchain align` noted for the crops in ``folder``; "tight" without a note."""
    table = folder / CROPS
    if not table.exists():
        return "tight"
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return next((row["framing"] for row in csv.DictReader(file)), "tight")


def _splits(names: Sequence[str]) -> dict[str, str]:
    """Choose the split of each name by its checksum; of two names and more, train and val get at least one each."""
    checksums = {name: crc32(os.fsencode(name)) for name in names}
    buckets = {0: "test", 1: "val", 2: "test", 3: "val"}
    splits = {name: buckets.get(checksum % 20, "train") for name, checksum in checksums.items()}
    for split in ("train", "val"):
        if split not in splits.values() and (len(names) > 1 or split == "train"):
            candidates = [name for name in names if splits[name] == "test"] or list(names)
            splits[min(candidates, key=lambda name: checksums[name])] = split
    return splits


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height in px, without reading the picture."""
    with Image.open(path) as image:
        return image.size


def read(path: Path) -> Pixels:
    """Read a picture as (H, W, 3) uint8 RGB."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@lru_cache(maxsize=256)
def read_cached(path: Path) -> Pixels:
    """Read as ``read`` does, and remember; for the few large photos that many crops are taken from."""
    return read(path)


def randbelow(limit: int) -> int:
    """Draw a whole number 0 .. limit - 1 from torch's generator, which the loader seeds."""
    return int(torch.randint(limit, ()))
