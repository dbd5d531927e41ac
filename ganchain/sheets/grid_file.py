"""Grids in YAML: those of users, and those in ``configs/grids``, read with line numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain import chains
from ganchain.chains.document import Document, Key, Place
from ganchain.errors import ChainError, available
from ganchain.files import is_file
from ganchain.sheets import grid_settings
from ganchain.sheets.grid_settings import Setting

KEYS = ("photos", "chain", "vary", "by", "references", "strengths")


@dataclass(frozen=True)
class GridFile:
    """A grid's YAML file that was read and checked.

    Attributes:
        arguments: arguments of ``Grid.of``.
        document: the YAML, whose keys are the arguments' names.
    """

    arguments: dict[str, Any]
    document: Document

    def add_place(self, error: ChainError) -> ChainError:
        """Give an error about an argument of ``Grid.of`` its place in the file, and return it, to be raised again."""
        return self.document.place(error.key).add_to(error) if error.key in self.document.data else error


def bundled() -> list[str]:
    """List the names of the grids shipped in ``configs/grids``."""
    folder = resources.files("ganchain.configs") / "grids"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def find(grid: str | Path) -> Path:
    """Find the YAML file of a grid, by its path or by the name of a bundled grid."""
    path = Path(grid)
    if is_file(path):
        return path
    if str(grid) in bundled():
        return Path(str(resources.files("ganchain.configs") / "grids" / f"{grid}.yaml"))
    raise ChainError(f"no such grid; {available(str(grid), bundled())}, or a YAML file's path", file=str(grid))


def read(grid: str | Path) -> GridFile:
    """Read and check a grid.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    path = find(grid)
    document = Document.read(path, "a grid is a mapping with the key 'vary' or 'references'")
    data = document.data
    for key in data:
        if key not in KEYS:
            raise document.error(f"no such option; {available(str(key), KEYS)}", key)
    arguments: dict[str, Any] = {"source": path.stem}
    for axis in ("vary", "by"):
        arguments[axis] = grid_settings.limited(_settings(document, [axis], data.get(axis), path.parent))
    for files in ("photos", "references"):
        arguments[files] = [path.parent / str(name) for name in _as_list(data.get(files, []))]
        if not all(str(name).strip() for name in _as_list(data.get(files, []))):
            raise document.error("an empty name, where a file or a folder is needed", files)
        for file in arguments[files]:
            if not file.exists():
                raise document.error(f"no file {file}", files)
    if "strengths" in data:
        arguments["strengths"] = grid_settings.strengths(document.place("strengths"), _as_list(data["strengths"]))
    if "chain" in data:
        arguments["chain"] = _chain(document, data["chain"], path.parent)
    return GridFile(arguments, document)


def _settings(document: Document, path: list[Key], axis: Any, folder: Path) -> Iterator[Setting]:
    """Read ``vary`` or ``by``: a mapping, or a list of mappings and of stages' names."""
    if isinstance(axis, CommentedMap):
        for key, values in axis.items():
            yield from grid_settings.settings(_line(document, path, key), str(key), values, folder)
    elif isinstance(axis, CommentedSeq):
        for index, item in enumerate(axis):
            if isinstance(item, str):
                yield from grid_settings.settings(_line(document, path, index), item, None, folder)
            elif isinstance(item, CommentedMap):
                yield from _settings(document, [*path, index], item, folder)
            else:
                raise _line(document, path, index).error(f"{item!r}: as in '- attributes.hair: [black, blond]'")
    elif axis is not None:
        reason = f"{axis!r}: a mapping is needed, as in\nvary:\n  attributes.hair: [black, blond]"
        raise document.error(reason, *path)


def _line(document: Document, path: list[Key], key: Key) -> Place:
    """Look up the line of a setting; its key is left out, for the stage that checks it adds its own."""
    return replace(document.place(*path, key), key="")


def _chain(document: Document, name: Any, folder: Path) -> str | Path:
    """Check the name of a bundled chain, or of a chain's file beside the grid."""
    if not isinstance(name, str):
        raise document.error(f"{name!r}: the name of a bundled chain or a YAML file's path is needed", "chain")
    chain = folder / name if is_file(folder / name) else name
    try:
        chains.find(chain)
    except ChainError as error:
        raise document.place("chain").add_to(error) from error.__cause__
    return chain


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
