"""Contact sheets of people: the same window of a photo at each step, one row a face, written page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ganchain import files
from ganchain.chains import StageSpec
from ganchain.chains.registry import options
from ganchain.errors import PhotoError
from ganchain.faces.detect import NOT_CHOSEN
from ganchain.faces.face import Face
from ganchain.framing import HEAD
from ganchain.photos import images
from ganchain.photos.marks import Provenance
from ganchain.photos.photo import Photo
from ganchain.photos.protect import Protection
from ganchain.pipeline.order import running_order
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.result import Result
from ganchain.sheets import html, sheet
from ganchain.stage import Stage
from ganchain.tensors import Pixels

SIDE, PAGE_SIDE = 288, 512  # px of a cell in a picture, and on a page, where a slider shows it large
WIDEST = 16_384  # px of a picture; more columns make smaller cells
ROWS, PAGE_ROWS = 12, 24  # most rows of a file: a picture, a page
LONGEST = 6  # cells; a sheet of a single, longer row is broken into lines
HEAD_ROOM = 1.1  # side of the window that is shown, as a multiple of the stages' window of the head


@dataclass(frozen=True)
class Window:
    """A rectangle within a photo.

    Attributes:
        left, top, width, height: px of the photo as it was read.
        size: width and height of that photo; edited copies of it may be larger.
    """

    left: int
    top: int
    width: int
    height: int
    size: tuple[int, int]

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Window:
        """Make a window of the whole photo."""
        return cls(0, 0, *size, size)

    @classmethod
    def head(cls, face: Face, size: tuple[int, int]) -> Window:
        """Make a window of a head with its hair, not turned; at the photo's edge it is moved inside."""
        to_photo = face.placement
        middle = to_photo[:, :2] @ (np.array([HEAD.left, HEAD.top]) + HEAD.side / 2) + to_photo[:, 2]
        side = max(2, round(HEAD_ROOM * HEAD.side * float(np.hypot(*to_photo[:, 0]))))
        width, height = (min(side, length) for length in size)
        left, top = (
            min(max(0, round(float(centre) - length / 2)), limit - length)
            for centre, length, limit in zip(middle, (width, height), size, strict=True)
        )
        return cls(left, top, width, height, size)

    def shown(self, photo: Photo, side: int) -> Pixels:
        """Cut this part out of ``photo``, at most ``side`` px high and wide; transparent parts get the sheet's colour.

        Args:
            photo: the photo of this window, or an edited copy of any size.
        """
        x, y = (actual / original for actual, original in zip(photo.size, self.size, strict=True))
        left, top = round(self.left * x), round(self.top * y)
        right, bottom = round((self.left + self.width) * x), round((self.top + self.height) * y)
        place = (slice(top, bottom), slice(left, right))
        image = Image.fromarray(photo.pixels[place])
        if photo.alpha is not None:
            image = Image.composite(
                image, Image.new("RGB", image.size, sheet.PAPER), Image.fromarray(photo.alpha[place])
            )
        factor = side / max(image.size)
        width, height = (max(1, round(length * factor)) for length in image.size)
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a sheet: one face.

    Attributes:
        name: the photo's name, and the face's number if it has several.
        pictures: that of the photo first; None leaves a cell empty, as for a stage that edits only faces when the
            photo has none.
        label: the setting that all pictures but the first share; "" for none.
    """

    name: str
    pictures: list[Pixels | None]
    label: str = ""

    @property
    def heading(self) -> str:
        return f"{self.name}: {self.label}" if self.label else self.name


def windows(result: Result, size: tuple[int, int], name: str) -> Iterator[tuple[str, Window]]:
    """Yield a name and a window for each edited face of a photo of ``size``; for a photo without one, the whole of it.

    If a photo has several faces, they have the numbers of ``ganchain faces``.
    """
    usable = [face for face in result.faces if face.left_out in (None, NOT_CHOSEN)]
    edited = [(number, face) for number, face in enumerate(usable) if face.left_out is None]
    for number, face in edited:
        yield f"{name}, face {number}" if len(usable) > 1 else name, Window.head(face, size)
    if not edited:
        yield f"{name}: no face{' chosen' * bool(usable)}", Window.whole(size)


def changed_options(spec: StageSpec) -> dict[str, object]:
    """List the options of a stage that differ from their defaults."""
    fields = options(spec.cls).model_fields
    return {name: value for name, value in spec.options.items() if value != fields[name].default}


def caption(cls: type[Stage], name: str, options: Mapping[str, object]) -> str:
    """Write a stage and its options in short: "makeup: evening, strength 0.9"."""
    plain = (*cls.variants, *cls.plain)
    words = [_value(value) if option in plain else f"{option} {_value(value)}" for option, value in options.items()]
    return ": ".join(part for part in (name, ", ".join(words)) if part)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else value.stem if isinstance(value, Path) else str(value)


def captions(pipeline: Pipeline) -> list[str]:
    """Write the captions of the photo and of each step that the pipeline keeps; it must be made from a chain."""
    assert pipeline.described is not None
    specs = pipeline.described.stages
    used = [specs[number] for number in running_order(pipeline.stages) if not pipeline.stages[number].idle]
    return ["photo", *(caption(spec.cls, spec.name, changed_options(spec)) for spec in used)]


class Pages:
    """A writer of contact sheets: PNG, JPEG, WebP, TIFF or HTML by the suffix, and a new file when one is full.

    Args:
        path: the first file; further ones are called NAME-2.png, NAME-3.png ...
        columns: captions of the columns, that of the photo first.
        title: the heading of a page.
        sources: the photos to show; photos of the same file name are shown by their paths.
        protection: of the files that lie where it writes; by default of ``sources``.
        rim: (H, W, 3) pictures above all columns but the first, for example references.
        side: the side of a cell in px; by default one that suits the format.

    Raises:
        PhotoError: the suffix is unknown, or (later) a file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        title: str,
        sources: Sequence[Path] = (),
        protection: Protection | None = None,
        rim: Sequence[Pixels] = (),
        side: int | None = None,
    ) -> None:
        self.html = path.suffix.lower() in (".html", ".htm")
        if not self.html and path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"):
            raise PhotoError(
                "cannot be written: a sheet's name must end in .png, .jpg, .webp, .tiff or .html", path=path
            )
        self.path, self.columns, self.title, self.rim = path, columns, title, rim
        self.side = side or (PAGE_SIDE if self.html else min(SIDE, WIDEST // len(columns)))
        count = Counter(source.name for source in sources)
        self.names = {source: source.name if count[source.name] == 1 else str(source) for source in sources}
        self._protection = protection or Protection(sources, title)
        self._protection.refuse(path)
        self.written: list[Path] = []
        self._rows: list[Row] = []

    @classmethod
    def of(cls, pipeline: Pipeline, path: Path, sources: Sequence[Path], protection: Protection) -> Pages:
        """Begin the sheet of a pipeline that was made from a chain and keeps its steps."""
        assert pipeline.described is not None
        title = Path(pipeline.described.source).stem
        return cls(path, captions(pipeline), title=title, sources=sources, protection=protection)

    def take(self, source: Path, result: Result) -> None:
        """Add a row for each face: as in the photo's file, then after each step; a photo that failed gets none."""
        if result.status == "failed":
            return
        photo = images.read(source)
        photos = [photo, *(step for _, step in result.steps)]
        for name, window in windows(result, photo.size, self.names[source]):
            self.add([Row(name, [window.shown(step, self.side) for step in photos])])

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows, and write each page as soon as it is full."""
        for row in rows:
            if len(self._rows) == (PAGE_ROWS if self.html else ROWS):
                self._write()
            self._rows.append(row)

    def close(self) -> list[Path]:
        """Write the last page, and return all files that were written."""
        if self._rows:
            self._write()
        return self.written

    def _write(self) -> None:
        number = len(self.written) + 1
        path = self.path if number == 1 else self.path.with_stem(f"{self.path.stem}-{number}")
        if self.html:
            text = html.page(self.title, self.columns, [(row.heading, row.pictures) for row in self._rows], self.rim)
            try:
                files.write(path, text, self._protection.permit)
            except OSError as error:
                raise PhotoError(f"cannot be written: {error.strerror or error}", path=path) from error
        else:
            pixels = np.asarray(draw(self._rows, self.columns, self.rim, self.side))
            sheet_photo = Photo(pixels, xmp=Provenance(chain=self.title).xmp())
            images.write(sheet_photo, path, permit=self._protection.permit)
        self.written.append(path)
        self._rows = []


def draw(rows: Sequence[Row], columns: Sequence[str], rim: Sequence[Pixels], side: int) -> Image.Image:
    """Draw rows as one picture; a single long row is broken into lines of about the same length."""
    if len(rows) == 1 and not rim and len(rows[0].pictures) > LONGEST:
        row = rows[0]
        lines = -(-len(row.pictures) // LONGEST)
        length = -(-len(row.pictures) // lines)
        starts = range(0, len(row.pictures), length)
        captions = [row.name, *columns[1:]]
        pictures = [row.pictures[start : start + length] for start in starts]
        return sheet.sheet(pictures, captions=[captions[start : start + length] for start in starts], side=side)
    cells: list[list[Pixels | None]] = [[None, *rim]] if rim else []
    names: list[list[str]] = [[]] if rim else []
    labels = [""] * len(cells) + [row.label for row in rows]
    for previous, row in zip([None, *rows], rows, strict=False):
        repeated = previous is not None and previous.pictures[0] is row.pictures[0]  # a photo is shown in one row only
        cells.append([None, *row.pictures[1:]] if repeated else [*row.pictures])
        names.append([] if repeated else [row.name])
    headings = ["", *columns[1:]] if rim else columns
    return sheet.sheet(cells, headings, names, side, apart=(1 if rim else 0, 1), labels=labels)
