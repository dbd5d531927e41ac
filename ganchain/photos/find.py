"""Find the photos of a batch: files, and those in folders and in all folders below them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ganchain.errors import PhotoError
from ganchain.files import is_file, is_folder
from ganchain.photos.folders import Passed, is_photo


@dataclass(frozen=True)
class Item:
    """One photo of a batch, or a video.

    Attributes:
        source: its absolute path.
        input: its path below the input folder, with "/"; its name in the record.
        target: the path of its output below the output folder; pictures of its faces add -face0, -face1 ...
        named: the user named the file itself, and not its folder.
        recorded: an earlier batch has recorded the output, which may be replaced.
        video: the suffix of its output without dot, of a video or an animation; "" for a photo.
    """

    source: Path
    input: str
    target: str = ""
    named: bool = False
    recorded: bool = False
    video: str = ""


@dataclass
class Inputs:
    """The photos of a batch.

    Attributes:
        items: the photos, by name.
        twice: input -> an earlier input that is the same file.
        unreadable: folder -> the reason why it cannot be read.
        passed: what was passed over.
    """

    items: list[Item] = field(default_factory=list)
    twice: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)


@dataclass(frozen=True)
class Globs:
    """A filter of paths by globs (``glob``); without ``include``, all paths pass that ``exclude`` does not match."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __call__(self, path: str) -> bool:
        wanted = not self.include or any(glob(pattern).fullmatch(path) for pattern in self.include)
        return wanted and not any(glob(pattern).fullmatch(path) for pattern in self.exclude)


def glob(pattern: str) -> re.Pattern[str]:
    """Translate a glob to a regular expression for paths with "/", in upper or lower case.

    ``*`` and ``?`` match within one part of the path, ``**`` across several. A pattern without "/" matches at any
    depth. A pattern that matches a folder also matches everything in it.
    """
    anchored = "/" in pattern.rstrip("/")
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "" if anchored else "(?:.*/)?"
    for match in re.finditer(r"\*\*/|\*\*|\[!?[^]]+\]|.", pattern.strip("/"), re.DOTALL):
        part = match[0]
        if part.startswith("[") and len(part) > 1:
            inside = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
            text += f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        else:
            text += known.get(part, re.escape(part))
    try:
        return re.compile(text + "(?:/.*)?", re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise PhotoError(f"not a glob: {error}", path=pattern) from error


def find(
    inputs: Sequence[Path],
    out: Path,
    counts: Globs | None = None,
    own: Iterable[Path] = (),
    takes: Callable[[Path], bool] = is_photo,
) -> Inputs:
    """Find the photos of a batch in ``inputs``, files and folders.

    Folders are walked in the order of their names; links to folders are followed once. Hidden files and files that
    ``takes`` does not take are left out. The name of a photo is its path below its input folder; with several input
    folders, it begins with the folder's name.

    Args:
        inputs: files and folders.
        out: the output folder, which is left out.
        counts: a filter of paths below their input folder; None for all.
        own: outputs of earlier batches, which are left out.
        takes: says of a file in a folder whether it is taken.

    Raises:
        PhotoError: an input does not exist, or it is ``out``.
    """
    counts, outputs, photos = counts or Globs(), {str(_absolute(path)) for path in own}, Inputs()
    paths = dict[str, Path]()  # by label
    files = {_absolute(path) for path in inputs if is_file(path)}
    for inner, label, path in _labelled(inputs, out, photos):
        if path not in files and not takes(path):
            if counts(inner):
                photos.passed.add(path)
            continue
        while paths.get(label, path) != path:  # the label is taken by another photo
            label = _another_label(label, path)
        if counts(inner) and str(path) not in outputs:
            paths[label] = path
    labels: dict[str, str] = {}  # by file

    @lru_cache
    def resolved(folder: Path) -> str:
        """Resolve a folder once: each look-up reads all folders above."""
        return os.path.realpath(folder)

    links = {path for path in paths.values() if path.is_symlink()}
    for label, path in sorted(paths.items(), key=lambda item: (item[1] in links, item[0])):
        real = os.path.realpath(path) if path in links else resolved(path.parent).rstrip(os.sep) + os.sep + path.name
        first_label = labels.setdefault(real, label)
        if first_label == label:
            photos.items.append(Item(path, label, named=path in files))
        else:
            photos.twice[label] = first_label
    photos.items.sort(key=lambda item: item.input)
    return photos


class _Labelled(NamedTuple):
    """A file: its path below its input folder, its label, and its absolute path."""

    inner: str
    label: str
    path: Path


def _labelled(inputs: Sequence[Path], out: Path, photos: Inputs) -> Iterator[_Labelled]:
    """Find and label all files in ``inputs``; note in ``photos`` the folders that cannot be read."""
    input_paths = dict.fromkeys(_absolute(path) for path in inputs)
    for path in input_paths:
        if not (is_folder(path) or is_file(path)):
            raise PhotoError("no such file or folder", path=path)
        if path.is_dir() and path.resolve() == out.resolve():
            raise PhotoError(
                f"is an input folder; give the outputs a folder of their own, as in -o {out}/out", path=out
            )
    folders = [path for path in input_paths if path.is_dir()]
    prefixes = dict[str, Path]()
    for folder in folders:
        prefix = f"{folder.name or 'root'}/" if len(folders) > 1 else ""
        while prefix in prefixes:
            prefix = _another_label(prefix[:-1], folder) + "/"
        prefixes[prefix] = folder
        visited = {_identity(out)} if out.exists() else set()
        for path in _walk(folder, visited, photos):
            inner = path.relative_to(folder).as_posix()
            yield _Labelled(inner, prefix + inner, path)
    for path in input_paths:
        if path not in folders:
            yield _Labelled(path.name, path.name, path)


def _another_label(label: str, path: Path) -> str:
    """Make another label for ``path`` when ``label`` is taken: with one folder more, else with a number."""
    depth = label.count("/") + 1
    if len(path.parts) > depth + 1:
        return "/".join(path.parts[-depth - 1 :])
    folder, _, name = label.rpartition("/")
    number = re.match(r"(\d+)-(.*)", name, re.DOTALL)
    name = f"{int(number[1]) + 1}-{number[2]}" if number else f"2-{name}"
    return f"{folder}/{name}" if folder else name


def _walk(folder: Path, visited: set[tuple[int, int]], photos: Inputs) -> Iterator[Path]:
    """Find the files in a folder and in those below it, by name; hidden ones and visited folders are left out."""
    try:
        if (identity := _identity(folder)) in visited:
            return
        visited.add(identity)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        photos.unreadable[str(folder)] = f"the folder cannot be read: {error.strerror}"
        return
    for entry in entries:
        path, link = Path(entry.path), entry.is_symlink()
        if entry.name.startswith("."):
            continue
        if path.is_dir() if link else entry.is_dir():  # DirEntry.is_dir raises for a link that leads in a circle
            yield from _walk(path, visited, photos)
        elif link or entry.is_file():
            yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _absolute(path: Path) -> Path:
    """Make a path absolute, without ``..``: names of outputs must stay below their folder. Links stay what they are."""
    return Path(os.path.normpath(path.absolute()))
