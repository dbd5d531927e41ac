"""Grids in YAML: those of users, and those in ``configs/grids``, read with their lines."""

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
from ganchain.sheets import grid_settings
from ganchain.sheets.grid_settings import Setting

KEYS = ("photos", "chain", "vary", "by", "references", "strengths")


@dataclass(frozen=True)
class GridFile:
    """What a grid's YAML asks for.

    Attributes:
        asked: arguments of ``Grid.of``.
        document: the YAML, whose keys are the arguments' names.
    """

    asked: dict[str, Any]
    document: Document

    def add_place(self, error: ChainError) -> ChainError:
        """Give an error about an argument of ``Grid.of`` its place in the file; returns it, to be raised again."""
        return self.document.place(error.key).add_to(error) if error.key in self.document.data else error


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
    asked: dict[str, Any] = {"source": path.stem}
    for axis in ("vary", "by"):
        asked[axis] = list(_settings(document, [axis], data.get(axis), path.parent))
    for files in ("photos", "references"):
        asked[files] = [path.parent / str(name) for name in _listed(data.get(files, []))]
        for file in asked[files]:
            if not file.exists():
                raise document.error(f"no file {file}", files)
    if "strengths" in data:
        asked["strengths"] = grid_settings.strengths(document.place("strengths"), _listed(data["strengths"]))
    if "chain" in data:
        asked["chain"] = _chain(document, data["chain"], path.parent)
    return GridFile(asked, document)


def _settings(document: Document, path: list[Key], given: Any, folder: Path) -> Iterator[Setting]:
    """Read ``vary`` or ``by``: a mapping, or a list of mappings and of stages' names."""
    if isinstance(given, CommentedMap):
        for key, values in given.items():
            yield from grid_settings.settings(_line(document, path, key), str(key), values, folder)
    elif isinstance(given, CommentedSeq):
        for index, item in enumerate(given):
            if isinstance(item, str):
                yield from grid_settings.settings(_line(document, path, index), item, None, folder)
            elif isinstance(item, CommentedMap):
                yield from _settings(document, [*path, index], item, folder)
            else:
                raise _line(document, path, index).error(f"{item!r}: as in '- attributes.hair: [black, blond]'")
    elif given is not None:
        reason = f"{given!r}: a mapping is needed, as in\nvary:\n  attributes.hair: [black, blond]"
        raise document.error(reason, *path)


def _line(document: Document, path: list[Key], key: Key) -> Place:
    """Look up the place of a setting, which is checked as an option of its stage: the line without the key."""
    return replace(document.place(*path, key), key="")


def _chain(document: Document, given: Any, folder: Path) -> str | Path:
    """Read the name of a bundled chain, or of a file beside the grid."""
    if not isinstance(given, str):
        raise document.error(f"{given!r}: the name of a bundled chain or a YAML file's path is needed", "chain")
    chain = folder / given if (folder / given).is_file() else given
    try:
        chains.find(chain)
    except ChainError as error:
        raise document.place("chain").add_to(error) from error.__cause__
    return chain


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list) else [given]
