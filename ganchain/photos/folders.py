"""Folders of photos: which files in them are read, and which are passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganchain.errors import PhotoError, plain
from ganchain.files import is_file, is_folder
from ganchain.photos import images, protect

NAMED = 20  # pictures that were passed over and are named


@dataclass
class Passed:
    """Files in folders that were passed over.

    Attributes:
        own: pictures that the same chain has made, and sheets.
        suffixes: of the other files, which are not read; hidden ones are not counted.
        hint: how they could be read.
    """

    own: list[Path] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)
    hint: str = ""

    def add(self, path: Path) -> None:
        """Count a file that is not read."""
        self.suffixes[path.suffix.lower() or "without suffix"] += 1

    def lines(self) -> Iterator[str]:
        """Say in at most two lines what was passed over: "3 files passed over: 2 .dng, 1 .psd"."""
        if self.own:
            names = ", ".join(plain(path.name) for path in self.own[:NAMED]) + " ..." * (len(self.own) > NAMED)
            yield f"{_count(len(self.own), 'picture')} passed over, made by ganchain: {names}"
        if self.suffixes:
            kinds = ", ".join(f"{number} {plain(suffix)}" for suffix, number in self.suffixes.most_common())
            yield f"{_count(self.suffixes.total(), 'file')} passed over: {kinds}" + (self.hint and f"; {self.hint}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def is_photo(path: Path) -> bool:
    """Tell whether a path is that of a photo: a file, not hidden, with the suffix of a picture format."""
    if path.suffix.lower() not in images.SUFFIXES or path.name.startswith("."):
        return False
    return is_file(path) or (path.is_symlink() and not is_folder(path))  # a broken link fails when read


def given(name: str | Path) -> Path:
    """Turn a name that a user gave into a path.

    Raises:
        PhotoError: it is empty, as of a variable without a value, and would mean the current folder.
    """
    if not str(name).strip():
        raise PhotoError("an empty name, where a file or a folder is needed")
    return Path(name)


def expand(paths: Sequence[Path], chain: str = "", passed: Passed | None = None) -> list[Path]:
    """Replace each folder by the photos in it, by name; keep files as they are, whether they exist or not.

    Args:
        chain: pictures in folders that a chain of this name has made are passed over, and so are sheets.
        passed: gets the files that were passed over.

    Raises:
        PhotoError: there are no photos in a folder, or it cannot be read.
    """
    photos: list[Path] = []
    passed = Passed() if passed is None else passed
    for path in paths:
        if not is_folder(path):
            photos.append(path)
            continue
        before = len(passed.own)
        in_path = list(_photos_in(path, chain, passed))
        if not in_path:
            but = " but those that ganchain has made" if len(passed.own) > before else ""
            raise PhotoError(f"no pictures in this folder{but}", path=path)
        photos += in_path
    return photos


def _photos_in(folder: Path, chain: str, passed: Passed) -> Iterator[Path]:
    """Yield the photos that lie in a folder, by name."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise PhotoError(f"the folder cannot be read: {error.strerror}", path=folder) from error
    for path in paths:
        if is_photo(path):
            if chain and protect.is_own(path, chain):
                passed.own.append(path)
            else:
                yield path
        elif is_file(path) and not path.name.startswith("."):
            passed.add(path)
