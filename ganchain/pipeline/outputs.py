"""Outputs of a run: the pictures of a result are named and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ganchain.chains import Chain, Output
from ganchain.errors import PhotoError
from ganchain.files import is_file, is_folder
from ganchain.photos import images
from ganchain.photos.protect import Protection, claim
from ganchain.pipeline.names import TEMPLATE, Names
from ganchain.pipeline.result import Result


def names_of(chain: str, output: Output, template: str = TEMPLATE) -> Names:
    """Make the names of the outputs of a chain, which is called ``chain``."""
    return Names(template, chain, images.suffix_of(output.format)[1:], faces=output.write != "photo")


def reads(chain: Chain | None) -> Iterator[Path]:
    """List the files that a chain reads: its own, and pictures that its stages refer to."""
    if chain is not None:
        yield Path(chain.source)
        for spec in chain.stages:
            yield from (value for value in spec.options.values() if isinstance(value, Path))


class Targets:
    """Names the files of one run; two photos of the same name never overwrite each other, nor any other photo.

    Args:
        out: the value of ``-o``; None for the current folder.
        chain: the chain's name, part of the file names.
        output: the chain's ``output`` section.
        alone: whether the run has a single photo, so that ``out`` may be a file.
        protection: of the files that the run reads, and of those that lie where it writes.

    Raises:
        PhotoError: ``out`` is a file and there are several photos, or its suffix is of no known format.
    """

    def __init__(
        self, out: Path | None, chain: str, output: Output | None, *, alone: bool, protection: Protection
    ) -> None:
        self.output, self.protection = output or Output(), protection
        self.names = names_of(chain, self.output)
        self.file = out if out is not None and alone and out.suffix and not is_folder(out) else None
        self.folder = Path() if out is None else out
        self.used: set[str] = set()
        if self.file is not None:
            images.format_of(self.file)
        elif out is not None and (is_file(out) or (out.suffix.lower() in images.SUFFIXES and not is_folder(out))):
            raise PhotoError("several photos need a folder to be written to", path=out)

    def write(self, source: Path, result: Result) -> list[Path]:
        """Write the photo, the faces or both, as the chain says; returns the files."""
        if result.status == "failed":
            return []
        base = self.file or self._free(self.folder / self.names.plain(source.name), result)
        written: list[Path] = []
        for path, photo in result.files(base):
            if claim(path) == claim(source):
                raise PhotoError("would overwrite the photo itself; give another name with -o", path=path)
            images.write(photo, path, permit=self.protection.permit)
            written.append(path)
        return written

    def write_steps(self, source: Path, result: Result, folder: Path) -> None:
        """Write the photo after each stage: NAME-1-makeup.png, NAME-2-attributes.png ..."""
        for number, (name, photo) in enumerate(result.steps, start=1):
            path = self._free(folder / f"{source.stem}-{number}-{name}.{self.names.ext}")
            images.write(photo, path, permit=self.protection.permit)

    def _free(self, path: Path, result: Result | None = None) -> Path:
        """Number ``path`` when this run has used it already, or reads one of the files that would be written."""
        candidate, number = path, 2
        while self._is_taken(candidate, result):
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
            number += 1
        self.used.add(self.names.claim(str(candidate)))
        return candidate

    def _is_taken(self, path: Path, result: Result | None) -> bool:
        files = [path] if result is None else [file for file, _ in result.files(path)]
        return self.names.claim(str(path)) in self.used or any(map(self.protection.is_input, files))
