"""Crops of faces for training, cut out of any photos with the pipeline's own detector and aligner."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ganchain import framing as windows
from ganchain.errors import ChainError, available
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector, in_reading_order
from ganchain.faces.face import Face
from ganchain.framing import Framing
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.tensors import to_pixels
from ganchain.train.data import CROPS

FRAMINGS = {name.lower(): value for name, value in vars(windows).items() if isinstance(value, Framing)}
COLUMNS = ("file", "photo", "framing", "side")


@dataclass(frozen=True)
class CropResult:
    """Result of one photo: its crops, the faces left out with reasons, or the error that stopped it."""

    photo: Path
    crops: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    error: Exception | None = None


class Crops:
    """Folder of square crops of one framing and side, with a table that says which photo each came from.

    Args:
        framing: a name of ``FRAMINGS``.
        side: side of the crops in px.
        suffix: ".png" or ".jpg".
        smallest: faces whose crop has fewer px than this across in the photo are left out; they would be enlarged
            and teach a blur.

    Raises:
        ChainError: there is no such framing, or the folder holds crops of another framing or side.
    """

    def __init__(self, out: Path, framing: str, side: int, suffix: str = ".png", smallest: int | None = None) -> None:
        if framing not in FRAMINGS:
            raise ChainError(f"no framing {framing!r}; {available(framing, FRAMINGS)}")
        self.out, self.framing, self.side, self.suffix = out, framing, side, suffix
        self.smallest = side // 3 if smallest is None else smallest
        self.detector, self.aligner = DlibDetector(), Aligner(FRAMINGS[framing])
        self.photos = self._read_table()

    def _read_table(self) -> dict[str, str]:
        """Read the table: the photo of each crop. Crops of another framing or side are refused."""
        table = self.out / CROPS
        if not table.exists():
            return {}
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = [row for row in csv.DictReader(file) if row["side"]]
        for row in rows:
            if (row["framing"], row["side"]) != (self.framing, str(self.side)):
                raise ChainError(
                    f"{self.out} holds crops of {row['side']} px framed {row['framing']!r}; choose another"
                )
        return {row["file"]: row["photo"] for row in rows}

    def holds(self, path: Path) -> bool:
        """Say whether ``path`` is one of the crops."""
        return path.name in self.photos and path.parent.resolve() == self.out.resolve()

    def make(self, photos: Iterable[Path]) -> Iterator[CropResult]:
        """Crop one photo after the other; a photo that cannot be read does not stop the rest."""
        for photo in photos:
            try:
                yield self._crop(photo)
            except Exception as error:  # one photo must not cost the others
                yield CropResult(photo, error=error)

    def _crop(self, path: Path) -> CropResult:
        """Crop the faces of one photo."""
        photo, result = images.read(path), CropResult(path)
        pixels = photo.visible()
        faces = [face for face in in_reading_order(self.detector(pixels)) if face.left_out is None]
        stem = self._stem(path, len(faces))
        for number, face in enumerate(faces):
            canvas = self.aligner.canvas(pixels, face)
            if canvas.side < self.smallest:
                result.left_out.append(f"face {number} is small: {canvas.side} px across, {self.smallest} are needed")
                continue
            result.crops.append(self._write(path, photo, face, f"{stem}-face{number}{self.suffix}"))
        return result

    def _stem(self, path: Path, count: int) -> str:
        """Return the photo's stem, numbered while another photo has crops of that name."""
        stem, number = path.stem, 2
        while any(self._taken(f"{stem}-face{face}{self.suffix}", path) for face in range(count)):
            stem, number = f"{path.stem}-{number}", number + 1
        return stem

    def _taken(self, name: str, path: Path) -> bool:
        """Return whether the name belongs to a crop of another photo."""
        if name in self.photos:
            return self.photos[name] != str(path.resolve())
        return os.path.lexists(self.out / name)

    def _write(self, path: Path, photo: Photo, face: Face, name: str) -> Path:
        """Write the crop, but its line in the table first.

        A run that is stopped in between leaves a line without a file, never a file without a line.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        if name not in self.photos:
            table, self.photos[name] = self.out / CROPS, str(path.resolve())
            exists = table.exists()
            with table.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
                csv.writer(file).writerows([] if exists else [COLUMNS])
                csv.writer(file).writerow((name, self.photos[name], self.framing, self.side))
        chip = self.aligner.chip(photo.pixels, face, self.side)
        images.write(Photo(to_pixels(chip)[0]), self.out / name)
        return self.out / name
