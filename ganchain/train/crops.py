"""Crops of faces for training, made of any photos with the pipeline's own detector and aligner."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ganchain import framing as windows
from ganchain.errors import ChainError, PhotoError, available
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.faces.face import Face
from ganchain.framing import Framing
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.tensors import to_pixels
from ganchain.train.data import CROPS

FRAMINGS = {name.lower(): value for name, value in vars(windows).items() if isinstance(value, Framing)}
COLUMNS = ("file", "photo", "framing", "side")


@dataclass(frozen=True)
class Made:
    """What became of one photo: its crops, the faces left out and why, or why there are none."""

    photo: Path
    crops: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    error: PhotoError | None = None


class Crops:
    """A folder of square crops of one framing and side, and its table of which photo each was made of.

    Args:
        framing: a name of ``FRAMINGS``.
        side: of the crops in px.
        suffix: ".png" or ".jpg".
        smallest: faces whose crop has fewer px than this across in the photo are left out; they would be enlarged
            and teach a blur.
    """

    def __init__(self, out: Path, framing: str, side: int, suffix: str = ".png", smallest: int | None = None) -> None:
        if framing not in FRAMINGS:
            raise ChainError(f"no framing {framing!r}; {available(framing, FRAMINGS)}")
        self.out, self.framing, self.side, self.suffix = out, framing, side, suffix
        self.smallest = side // 3 if smallest is None else smallest
        self.detector, self.aligner = DlibDetector(), Aligner(FRAMINGS[framing])
        self.photos = self._known()

    def _known(self) -> dict[str, str]:
        """The photo of each crop that the table names; crops of another kind do not get into the same folder."""
        table = self.out / CROPS
        if not table.exists():
            return {}
        with table.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["side"]]
        for row in rows:
            if (row["framing"], row["side"]) != (self.framing, str(self.side)):
                raise ChainError(
                    f"{self.out} holds crops of {row['side']} px framed {row['framing']!r}; choose another"
                )
        return {row["file"]: row["photo"] for row in rows}

    def make(self, photos: Iterable[Path]) -> Iterator[Made]:
        """Crop one photo after the other; one that cannot be read does not stop the rest."""
        for photo in photos:
            try:
                yield self._made(photo)
            except PhotoError as error:
                yield Made(photo, error=error)

    def _made(self, path: Path) -> Made:
        photo, made = images.read(path), Made(path)
        faces = [face for face in self.detector(photo.pixels) if face.left_out is None]
        stem = self._stem(path, len(faces))
        for number, face in enumerate(faces):
            canvas = self.aligner.canvas(photo.pixels, face)
            if canvas.side < self.smallest:
                made.left_out.append(f"face {number} is small: {canvas.side} px across, {self.smallest} are needed")
                continue
            made.crops.append(self._write(path, photo, face, f"{stem}-face{number}{self.suffix}"))
        return made

    def _stem(self, path: Path, count: int) -> str:
        """The photo's stem, numbered while crops of another photo are called so."""
        stem, again = path.stem, 2
        while any(self._taken(f"{stem}-face{number}{self.suffix}", path) for number in range(count)):
            stem, again = f"{path.stem}-{again}", again + 1
        return stem

    def _taken(self, name: str, path: Path) -> bool:
        if name in self.photos:
            return self.photos[name] != str(path.resolve())
        return (self.out / name).exists()

    def _write(self, path: Path, photo: Photo, face: Face, name: str) -> Path:
        """Note the crop, then write it: what is cut short leaves a line without a file, never the other way."""
        self.out.mkdir(parents=True, exist_ok=True)
        if name not in self.photos:
            table, self.photos[name] = self.out / CROPS, str(path.resolve())
            begun = table.exists()
            with table.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([] if begun else [COLUMNS])
                csv.writer(file).writerow((name, self.photos[name], self.framing, self.side))
        chip = self.aligner.chip(photo.pixels, face, self.side)
        images.write(Photo(to_pixels(chip)[0]), self.out / name)
        return self.out / name
