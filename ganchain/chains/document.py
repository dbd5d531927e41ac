"""YAML files of users (chains, grids, runs), read with line numbers, so that an error names file, line and key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from ganchain.chains import reading
from ganchain.chains.bounds import Measure, Scanner
from ganchain.errors import LONGEST_SHOWN, ChainError, available, shown

Key = str | int
Model = TypeVar("Model", bound=BaseModel)
Fields = Mapping[str, FieldInfo | None]
LONGEST = 250_000  # characters
MOST_PROBLEMS = 20  # that are named at once
_COLOUR_AS_COMMENT = re.compile(r":\s+#[0-9a-fA-F]{6}\b")


@dataclass(frozen=True)
class Place:
    """The place at which a user asked for something.

    Attributes:
        file, line: the YAML file (or an option of the command line) and the line, from 1; "" and 0 for none.
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
        """Build an error about this place."""
        return ChainError(reason, file=self.file, line=self.line, key=self.key)

    def add_to(self, error: ChainError) -> ChainError:
        """Give ``error`` this place, unless it already names a file, and return it, to be raised again."""
        return error if error.file else error.at(file=self.file, line=self.line, key=self.key)


class _Constructor(RoundTripConstructor):
    """A constructor of values that knows the line of the value it is at; 0 before the first."""

    line = 0

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        self.line = node.start_mark.line + 1
        return super().construct_object(node, deep)


Locate = Callable[..., Place]
"""A function that returns the place of a key, given the keys that lead to it: ``locate("output", "side")``."""


@dataclass(frozen=True)
class Document:
    """A YAML file that holds a mapping.

    Attributes:
        source: the file's name, for messages.
        text: its whole text.
        data: its mapping.
    """

    source: str
    text: str
    data: CommentedMap

    @classmethod
    def parse(cls, text: str, source: str, expected: str, scanner: type[Scanner] = Scanner) -> Self:
        """Parse ``text``.

        Args:
            scanner: raises a ChainError of its own for what it does not take.

        Raises:
            ChainError: the text is no YAML, or too large or too deep; or it is no mapping, then ``expected`` is the
                reason.
        """
        if len(text) > LONGEST:
            raise ChainError(f"more than {LONGEST} characters are not taken", file=source)
        yaml = YAML()
        yaml.Scanner, yaml.Constructor = scanner, _Constructor
        yaml.composer.warn_double_anchors = False  # the later anchor holds, as YAML says
        try:
            data = yaml.load(text)
        except ChainError as error:
            raise error.at(file=source) from error.__cause__
        except ReaderError as error:
            code = error.character if isinstance(error.character, int) else ord(error.character)
            reason = f"not valid YAML: the character U+{code:04X} cannot stand in it"
            raise ChainError(reason, file=source, line=text.count("\n", 0, error.position) + 1) from error
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ChainError(f"not valid YAML: {error.problem}{colour_hint(text)}", file=source, line=line) from error
        except Exception as error:  # ruamel's constructors raise anything: a date of the 13th month, !!bool x
            detail = f" ({shown(error)})" if isinstance(error, ValueError) else ""
            reason = f"not valid YAML: a value cannot be read{detail}"
            raise ChainError(reason, file=source, line=yaml.constructor.line) from error
        try:
            Measure().of(data)
        except ValueError as error:
            raise ChainError(f"not valid YAML: {error}", file=source) from error
        if not isinstance(data, CommentedMap):
            raise ChainError(expected, file=source, line=1)
        return cls(source, text, data)

    @classmethod
    def read(cls, path: Path, expected: str) -> Self:
        """Read and parse a file.

        Raises:
            ChainError: as ``parse``, or the file cannot be read.
        """
        return cls.parse(reading.read(path), str(path), expected)

    @cached_property
    def lines(self) -> list[str]:
        """Lines of the text."""
        return self.text.splitlines()

    def line(self, *path: Key) -> int:
        """Look up the line, from 1, of the deepest key of ``path`` that the YAML has."""
        line, node = 1, self.data
        for part in path:
            position = ((getattr(node, "lc", None) and node.lc.data) or {}).get(part)
            if position is None:  # no such key, or merged in from elsewhere
                break
            line, node = position[0] + 1, node[part]
        return line

    def place(self, *path: Key) -> Place:
        """Look up the place of the key at ``path``."""
        return Place(self.source, self.line(*path), dotted(*path))

    def error(self, reason: str, *path: Key) -> ChainError:
        """Build an error about the value of the key at ``path``."""
        return self.place(*path).error(reason)


def dotted(*path: Key) -> str:
    """Join a path of keys: stages[0].makeup.look."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in path).lstrip(".")


def _plain(key: object) -> str:
    """Write a key; one with control characters, or a very long one, as ``shown`` does."""
    text = str(key)
    return text if text.isprintable() and len(text) <= LONGEST_SHOWN else shown(text)


def colour_hint(text: str) -> str:
    """Say what to do if a colour without quotes became a comment in ``text``; return "" otherwise."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    has_unquoted_colour = any(_COLOUR_AS_COMMENT.search(line) for line in lines)
    return '; to YAML " #" starts a comment: write the colour in quotes' if has_unquoted_colour else ""


def validated(
    model: type[Model], values: Mapping[str, Any], locate: Locate, *, also: Iterable[str] = (), folder: Path = Path()
) -> Model:
    """Check ``values`` against a pydantic model.

    Args:
        locate: returns the place of a key of ``values``.
        also: further keys that messages list as available.
        folder: the folder in which relative paths of weights start.

    Raises:
        ChainError: a value is wrong; with the place of each wrong value and what is available.
    """
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        problems: dict[tuple[Key, ...], ChainError] = {}
        for problem in islice(error.errors(include_url=False), MOST_PROBLEMS):
            path, fields = _path(model, problem["loc"])
            known = {**fields, **dict.fromkeys(also)} if len(path) == 1 else fields
            if path not in problems:  # each member of a union reports a problem
                problems[path] = locate(*path).error(reason_of(problem, known))
        first, *others = problems.values()
        first.others = tuple(others)
        raise first from error


def _path(model: type[BaseModel], location: tuple[Key, ...]) -> tuple[tuple[Key, ...], Fields]:
    """Find the keys of a problem, without pydantic's names for members of a union, and the model's fields there."""
    fields: Fields = model.model_fields
    for depth, part in enumerate(location, start=1):
        field = fields.get(str(part))
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return location[:depth], fields
        fields = kind.model_fields
    return location, fields


def reason_of(problem: Mapping[str, Any], fields: Fields = MappingProxyType({})) -> str:
    """Explain an item of ``ValidationError.errors()``, with what is available at the end.

    Args:
        fields: the model's fields at the place of the problem; None for a key that is no field.
    """
    value, kind = problem["input"], problem["type"]
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "extra_forbidden":
        return f"no such option; {available(name, fields)}"
    if kind == "missing":
        return "this option is needed"
    if kind == "invalid_key":
        return "a key is a word; put it in quotes where YAML reads something else"
    if kind == "literal_error" and (field := next((fields[part] for part in problem["loc"] if part in fields), None)):
        return f"{shown(value)} is none of these; {available(str(value), _choices(field.annotation))}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind.startswith("model_"):
        return f"{shown(value)}: a mapping is needed; {available('', fields)}"
    return f"{shown(value)}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _choices(kind: Any) -> list[str]:
    """List the words that a type allows in its Literals."""
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    return [word for part in get_args(kind) for word in _choices(part)]
