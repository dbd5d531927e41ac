"""What a batch reads: files, and the photos in folders and all folders below them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganchain.errors import PhotoError
from ganchain.photos import images


@dataclass(frozen=True)
class Item:
    """One photo to do.

    Attributes:
        source: its absolute path.
        input: its path below the input folder, with "/": what the record calls it.
        target: the path below the output folder of the photo it becomes; its faces add -face0, -face1 ...
    """

    source: Path
    input: str
    target: str = ""


@dataclass
class Inputs:
    """What was found.

    Attributes:
        items: the photos, by name.
        twice: input -> the input that is the same file.
        unreadable: folder -> why it cannot be read.
    """

    items: list[Item] = field(default_factory=list)
    twice: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Globs:
    """Which paths count; globs as ``glob`` reads them. Without ``include`` all do that ``exclude`` does not name."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __call__(self, path: str) -> bool:
        wanted = not self.include or any(glob(one).fullmatch(path) for one in self.include)
        return wanted and not any(glob(one).fullmatch(path) for one in self.exclude)


def glob(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression for paths with "/", in upper or lower case.

    ``*`` and ``?`` stay within one part of the path, ``**`` does not. A pattern without "/" matches at any depth; one
    that matches a folder holds for all that is in it.
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


def find(inputs: Sequence[Path], out: Path, counts: Globs | None = None, own: Iterable[Path] = ()) -> Inputs:
    """The photos that ``inputs``, files and folders, name.

    Folders are walked in the order of their names, links to folders followed once. Hidden files, files without a
    photo's suffix, ``out`` and ``own`` (outputs of earlier batches) are no inputs. Inputs are called by their path
    below the folder that was given; of several folders, each begins with its folder's name.

    Raises:
        PhotoError: an input does not exist, or ``out`` is one.
    """
    counts, ours, found = counts or Globs(), {str(_absolute(path)) for path in own}, Inputs()
    places = dict[str, Path]()
    for inner, label, path in _named(inputs, out, found):
        while places.get(label, path) != path:  # another one of that name
            label = _other(label, path)
        if counts(inner) and str(path) not in ours:
            places[label] = path
    first: dict[Path, str] = {}
    for label, path in sorted(places.items(), key=lambda item: (item[1].is_symlink(), item[0])):
        same = first.setdefault(Path(os.path.realpath(path)), label)
        if same == label:
            found.items.append(Item(path, label))
        else:
            found.twice[label] = same
    found.items.sort(key=lambda item: item.input)
    return found


def _named(inputs: Sequence[Path], out: Path, found: Inputs) -> Iterator[tuple[str, str, Path]]:
    """(path below its input, what it is called, absolute path) of all that lies in ``inputs``."""
    given = dict.fromkeys(_absolute(path) for path in inputs)
    for path in given:
        if not (path.is_dir() or path.is_file()):
            raise PhotoError("no such file or folder", path=path)
        if path.is_dir() and path.resolve() == out.resolve():
            raise PhotoError(
                f"is an input folder; give the outputs a folder of their own, as in -o {out}/out", path=out
            )
    folders = [path for path in given if path.is_dir()]
    prefixes = dict[str, Path]()
    for folder in folders:
        prefix = f"{folder.name or 'root'}/" if len(folders) > 1 else ""
        while prefix in prefixes:
            prefix = _other(prefix[:-1], folder) + "/"
        prefixes[prefix] = folder
        visited = {_identity(out)} if out.exists() else set()
        for path in _walk(folder, visited, found):
            inner = path.relative_to(folder).as_posix()
            yield inner, prefix + inner, path
    for path in given:
        if path not in folders:
            yield path.name, path.name, path


def _other(label: str, path: Path) -> str:
    """Another name for ``path`` when ``label`` is taken: with one folder more, else with a number."""
    depth = label.count("/") + 1
    if len(path.parts) > depth + 1:
        return "/".join(path.parts[-depth - 1 :])
    folder, _, name = label.rpartition("/")
    number = re.match(r"(\d+)-(.*)", name, re.DOTALL)
    name = f"{int(number[1]) + 1}-{number[2]}" if number else f"2-{name}"
    return f"{folder}/{name}" if folder else name


def _walk(folder: Path, visited: set[tuple[int, int]], found: Inputs) -> Iterator[Path]:
    try:
        if (identity := _identity(folder)) in visited:
            return
        visited.add(identity)
        inside = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.unreadable[str(folder)] = f"the folder cannot be read: {error.strerror}"
        return
    for entry in inside:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if path.is_dir():  # False of a link that leads in a circle, where os.DirEntry's raises
            yield from _walk(path, visited, found)
        elif path.suffix.lower() in images.SUFFIXES and (entry.is_symlink() or path.is_file()):
            yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _absolute(path: Path) -> Path:
    """Without ``..``, so that names made of it stay below the output folder; links stay what they are."""
    return Path(os.path.normpath(path.absolute()))
