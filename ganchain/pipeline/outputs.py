"""Outputs of a run: the pictures of a result are named and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ganchain.chains import Output
from ganchain.errors import PhotoError
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline.names import TEMPLATE, Names, of_face
from ganchain.pipeline.result import Result


def pictures(result: Result, output: Output, base: Path) -> Iterator[tuple[Path, Photo]]:
    """Yield the pictures to write, with their paths: the photo at ``base``, its faces beside it, or both.

    For a photo without faces it is the photo, whatever the chain writes.
    """
    if output.write != "faces" or not result.pictures:
        assert result.photo is not None
        yield base, result.photo
    if output.write != "photo":
        for number, pixels in enumerate(result.pictures):
            yield of_face(base, number), Photo(pixels, xmp=result.xmp)


def names_of(chain: str, output: Output, template: str = TEMPLATE) -> Names:
    """Make the names of the outputs of a chain, which is called ``chain``."""
    return Names(template, chain, images.suffix_of(output.format)[1:], faces=output.write != "photo")


class Targets:
    """Names the files of one run; two photos of the same name never overwrite each other.

    Args:
        out: the value of ``-o``; None for the current folder.
        chain: the chain's name, part of the file names.
        output: the chain's ``output`` section.
        alone: whether the run has a single photo, so that ``out`` may be a file.

    Raises:
        PhotoError: ``out`` is a file and there are several photos, or its suffix is of no known format.
    """

    def __init__(self, out: Path | None, chain: str, output: Output | None, *, alone: bool) -> None:
        self.output = output or Output()
        self.names = names_of(chain, self.output)
        self.file = out if out is not None and alone and out.suffix and not out.is_dir() else None
        self.folder = Path() if out is None else out
        self.used: set[Path] = set()
        if self.file is not None:
            images.format_of(self.file)
        elif out is not None and (out.is_file() or (out.suffix.lower() in images.SUFFIXES and not out.is_dir())):
            raise PhotoError("several photos need a folder to be written to", path=out)

    def write(self, source: Path, result: Result) -> list[Path]:
        """Write the photo, the faces or both, as the chain says; returns the files."""
        if result.status == "failed":
            return []
        base = self.file or self._unused(self.folder / self.names.plain(source.name))
        written: list[Path] = []
        for path, photo in pictures(result, self.output, base):
            if path.exists() and path.samefile(source):
                raise PhotoError("would overwrite the photo itself; give another name with -o", path=path)
            self._save(photo, path)
            written.append(path)
        return written

    def write_steps(self, source: Path, result: Result, folder: Path) -> None:
        """Write the photo after each stage: NAME-1-makeup.png, NAME-2-attributes.png ..."""
        for number, (name, photo) in enumerate(result.steps, start=1):
            self._save(photo, self._unused(folder / f"{source.stem}-{number}-{name}.{self.names.ext}"))

    def _save(self, photo: Photo, path: Path) -> None:
        images.write(photo, path, keep_location=self.output.location == "keep")

    def _unused(self, path: Path) -> Path:
        """Number ``path`` when this run has used it already."""
        candidate, number = path, 2
        while candidate in self.used:
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        self.used.add(candidate)
        return candidate
