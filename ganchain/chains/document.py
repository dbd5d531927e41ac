"""YAML that people write (chains, grids, runs): read with its lines, so that an error names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ganchain.errors import ChainError, available

Key = str | int
Model = TypeVar("Model", bound=BaseModel)
Fields = Mapping[str, FieldInfo | None]
_COLOUR_AS_COMMENT = re.compile(r":\s+#[0-9a-fA-F]{6}\b")


@dataclass(frozen=True)
class Place:
    """Where something was asked for.

    Attributes:
        file, line: the YAML file (or what stands for it, as an option of the command line) and the line, from 1;
            "" and 0 where there is none.
        key: "stages[0].makeup.look", or "".
    """

    file: str = ""
    line: int = 0
    key: str = ""

    @property
    def where(self) -> str:
        """File and line: "chain.yaml:3"."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def error(self, reason: str) -> ChainError:
        """Build the error that what was asked for here is wrong."""
        return ChainError(reason, file=self.file, line=self.line, key=self.key)

    def add_to(self, error: ChainError) -> ChainError:
        """Give ``error`` this place, unless it is about another file; returns it, to be raised again."""
        return error if error.file else error.at(file=self.file, line=self.line, key=self.key)


Locate = Callable[..., Place]
"""Says where a key was asked for, given the keys that lead to it: ``locate("output", "side")``."""


@dataclass(frozen=True)
class Document:
    """A YAML file that holds a mapping.

    Attributes:
        source: the file's name, for messages.
        text: all of it.
        data: the mapping.
    """

    source: str
    text: str
    data: CommentedMap

    @classmethod
    def parse(cls, text: str, source: str, expected: str) -> Self:
        """Parse ``text``.

        Raises:
            ChainError: it is no YAML; or no mapping, then ``expected`` is the reason.
        """
        try:
            data = YAML().load(text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ChainError(f"not valid YAML: {error.problem}{colour_hint(text)}", file=source, line=line) from error
        except (YAMLError, ValueError, RecursionError) as error:  # a date of the 13th month; a thousand brackets
            raise ChainError(f"not valid YAML: {error}", file=source) from error
        if not isinstance(data, CommentedMap):
            raise ChainError(expected, file=source, line=1)
        return cls(source, text, data)

    @classmethod
    def read(cls, path: Path, expected: str) -> Self:
        """Read and parse a file; raises as ``parse``, and where it cannot be read."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ChainError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=str(path)) from error
        return cls.parse(text, str(path), expected)

    def line(self, *path: Key) -> int:
        """Look up the line, from 1, of the deepest part of ``path`` that the YAML has."""
        line, node = 1, self.data
        for part in path:
            position = ((getattr(node, "lc", None) and node.lc.data) or {}).get(part)
            if position is None:  # not there, or merged in from elsewhere
                break
            line, node = position[0] + 1, node[part]
        return line

    def place(self, *path: Key) -> Place:
        """Look up where the key is that ``path`` leads to."""
        return Place(self.source, self.line(*path), dotted(*path))

    def error(self, reason: str, *path: Key) -> ChainError:
        """Build the error that the value of a key is wrong."""
        return self.place(*path).error(reason)


def dotted(*path: Key) -> str:
    """Write a path of keys as one: stages[0].makeup.look."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def colour_hint(text: str) -> str:
    """Say what to do where a colour without quotes became a comment in ``text``; "" where none did."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lost = any(_COLOUR_AS_COMMENT.search(line) for line in lines)
    return '; to YAML " #" starts a comment: write the colour in quotes' if lost else ""


def validated(
    model: type[Model], values: Mapping[str, Any], locate: Locate, *, also: Iterable[str] = (), folder: Path = Path()
) -> Model:
    """Check ``values`` against a pydantic model.

    Args:
        locate: says where a key of ``values`` was asked for.
        also: further keys, to be listed as available.
        folder: where relative paths of weights start.

    Raises:
        ChainError: with the place of each value that is wrong, and what is available.
    """
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        problems: dict[tuple[Key, ...], ChainError] = {}
        for problem in error.errors(include_url=False):
            path, fields = _path(model, problem["loc"])
            known = {**fields, **dict.fromkeys(also)} if len(path) == 1 else fields
            if path not in problems:  # of a union, each member reports one
                problems[path] = locate(*path).error(reason_of(problem, known))
        first, *others = problems.values()
        first.others = tuple(others)
        raise first from error


def _path(model: type[BaseModel], location: tuple[Key, ...]) -> tuple[tuple[Key, ...], Fields]:
    """Find the keys of a problem, up to where there are branches of a union, and the fields that stand there."""
    fields: Fields = model.model_fields
    for depth, part in enumerate(location, start=1):
        field = fields.get(str(part))
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return location[:depth], fields
        fields = kind.model_fields
    return location, fields


def reason_of(problem: Mapping[str, Any], fields: Fields = MappingProxyType({})) -> str:
    """Say what an item of ``ValidationError.errors()`` means, ending with what is available.

    Args:
        fields: the model's fields that stand where the problem is; None is a key that is no field of it.
    """
    given, kind = problem["input"], problem["type"]
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "extra_forbidden":
        return f"no such option; {available(name, fields)}"
    if kind == "missing":
        return "this option is needed"
    if kind == "literal_error" and (field := next((fields[part] for part in problem["loc"] if part in fields), None)):
        return f"{given!r} is none of these; {available(str(given), _choices(field.annotation))}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind.startswith("model_"):
        return f"{given!r}: a mapping is needed; {available('', fields)}"
    return f"{given!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _choices(kind: Any) -> list[str]:
    """List the words that a type with a Literal in it allows."""
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    return [word for part in get_args(kind) for word in _choices(part)]
