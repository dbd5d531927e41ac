"""Grids in YAML: those of users, and those in ``configs/grids``, read with their lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain import chains
from ganchain.chains.document import document
from ganchain.errors import ChainError, available
from ganchain.sheets import grid_settings
from ganchain.sheets.grid_settings import Setting

KEYS = ("photos", "chain", "vary", "by", "references", "strengths")


@dataclass(frozen=True)
class GridFile:
    """What a grid's YAML asks for.

    Attributes:
        asked: arguments of ``Grid.of``.
        places: file, line and key of each of them, for messages.
    """

    asked: dict[str, Any]
    places: dict[str, str]

    def placed(self, error: ChainError) -> ChainError:
        """The error with its place, where it begins with the name of an argument."""
        key, _, reason = str(error).partition(": ")
        return ChainError(f"{self.places[key]}: {reason}") if key in self.places else error


def bundled() -> list[str]:
    """Names of the grids shipped in ``configs/grids``."""
    folder = resources.files("ganchain.configs") / "grids"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def find(grid: str | Path) -> Path:
    """The YAML file of a grid given by path or by the name of a bundled one."""
    path = Path(grid)
    if path.is_file():
        return path
    if str(grid) in bundled():
        return Path(str(resources.files("ganchain.configs") / "grids" / f"{grid}.yaml"))
    raise ChainError(f"{grid}: no such grid; {available(str(grid), bundled())}, or a YAML file's path")


def read(grid: str | Path) -> GridFile:
    """Read and check a grid.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    path = find(grid)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChainError(f"{path}: cannot be read: {error}") from error
    source = path.name if path.parent == Path() else str(path)
    data = document(text, source, "a grid is a mapping with the key 'vary' or 'references'")
    places = {str(key): f"{source}:{_line(data, key)}: {key}" for key in data}
    for key in data:
        if key not in KEYS:
            raise ChainError(f"{places[str(key)]}: no such option; {available(str(key), KEYS)}")
    asked: dict[str, Any] = {"source": path.stem}
    for axis in ("vary", "by"):
        asked[axis] = list(_settings(data.get(axis), source, places.get(axis, ""), path.parent))
    for files in ("photos", "references"):
        asked[files] = _files(data.get(files, []), places.get(files, ""), path.parent)
    if "strengths" in data:
        asked["strengths"] = grid_settings.strengths(places["strengths"], _listed(data["strengths"]))
    if "chain" in data:
        asked["chain"] = _chain(data["chain"], places["chain"], path.parent)
    return GridFile(asked, places)


def _settings(given: Any, source: str, place: str, folder: Path) -> Iterator[Setting]:
    """``vary`` and ``by`` are a mapping, or a list of mappings and of stages' names."""
    if given is None or isinstance(given, CommentedMap):
        for key, values in (given or {}).items():
            yield from grid_settings.settings(f"{source}:{_line(given, key)}", str(key), values, folder)
    elif isinstance(given, CommentedSeq):
        for index, item in enumerate(given):
            if isinstance(item, str):
                yield from grid_settings.settings(f"{source}:{_line(given, index)}", item, None, folder)
            elif isinstance(item, CommentedMap):
                yield from _settings(item, source, place, folder)
            else:
                raise ChainError(f"{source}:{_line(given, index)}: {item!r}: as in '- attributes.hair: [black, blond]'")
    else:
        raise ChainError(f"{place}: {given!r}: a mapping is needed, as in\nvary:\n  attributes.hair: [black, blond]")


def _files(given: Any, place: str, folder: Path) -> list[Path]:
    found = [folder / str(name) for name in _listed(given)]
    for path in found:
        if not path.exists():
            raise ChainError(f"{place}: no file {path}")
    return found


def _chain(given: Any, place: str, folder: Path) -> str | Path:
    """A file beside the grid, or the name of a bundled chain."""
    if not isinstance(given, str):
        raise ChainError(f"{place}: {given!r}: the name of a bundled chain or a YAML file's path is needed")
    chain = folder / given if (folder / given).is_file() else given
    try:
        chains.find(chain)
    except ChainError as error:
        raise ChainError(f"{place}: {error}") from error
    return chain


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list) else [given]


def _line(node: Any, key: Any) -> int:
    """1-based; what was merged in from elsewhere stands at the line of its mapping."""
    position = (node.lc.data or {}).get(key)
    return int(position[0] if position else node.lc.line) + 1
