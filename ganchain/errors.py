"""Exceptions that ganchain raises on purpose.

    GanchainError       carries its reason, and the stage and the line of the chain that it is about
    ├── ChainError      a chain, a grid or a run asks for something that does not exist: file, line, key
    ├── OptionError     a constructor refuses the value of one of its options
    ├── PhotoError      a photo cannot be read or written: path
    ├── VideoError      a video cannot be read or written: path
    ├── FaceError       a picture that must show a face (a makeup reference, say) shows none: path
    ├── WeightsError    a weight file is missing, changed, cut or of an unknown kind: key or path
    ├── StageError      a stage broke its contract, or raised an exception of its own (``__cause__``) while it ran
    └── EngineError     an engine is not installed, or cannot run a network

An error's text is composed here, from its fields: catch it and read ``reason``, ``path``, ``key`` …, never cut the text
apart. The command line prints these errors as one line. Everything else, and a StageError with a cause, is a bug of
ganchain or of a plug-in (``is_bug``): it keeps its type, its stage and its traceback (``text_of``, ``traceback_of``),
also on its way from one process to another.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from copy import copy
from datetime import date
from difflib import get_close_matches
from typing import Any, Self

LONGEST_SHOWN = 120  # characters of a value in an error's text


class GanchainError(Exception):
    """Root of the tree of exceptions.

    Attributes:
        reason: what is wrong and how to mend it, without the place.
        where: "chain.yaml:3", the line of the chain that asked for it; "" where that is not known.
        stage: the name of the stage it is about, or "".
    """

    def __init__(self, reason: str, *, where: str = "", stage: str = "") -> None:
        super().__init__(reason)
        self.reason, self.where, self.stage = reason, where, stage

    @property
    def place(self) -> Sequence[str]:
        """Parts of the text before the reason, the outermost first; empty ones are left out."""
        return (self.where, self.stage)

    def __str__(self) -> str:
        return ": ".join([*(plain(part) for part in self.place if part), self.reason])

    def at(self, **fields: Any) -> Self:
        """Fill those ``fields`` that are still empty, and return this same error, to be raised again."""
        for name, value in fields.items():
            if not getattr(self, name):
                setattr(self, name, value)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__ and "".join(traceback.format_exception(self.__cause__))
        return _restore, (type(self), self.reason, self.__dict__, cause)


class RemoteTraceback(Exception):
    """Cause of an error that came from another process: its text is the traceback there."""

    def __str__(self) -> str:
        return f"in another process:\n{self.args[0]}"


def _restore(cls: type[GanchainError], reason: str, fields: dict[str, Any], cause: str | None) -> GanchainError:
    """Build an error that another process sent."""
    error = cls.__new__(cls, reason)
    error.args = (reason,)
    error.__dict__.update(fields)
    error.__cause__ = RemoteTraceback(cause) if cause else None
    return error


class ChainError(GanchainError):
    """A chain, a grid or a run asks for something that does not exist.

    Attributes:
        file, line: the YAML file (or the name of its text) and the line in it, from 1; "" and 0 where there is none.
        key: "stages[0].makeup.look".
        others: further errors of the same file, each with its own place; the text has a line for each.
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str = "",
        line: int = 0,
        key: str = "",
        others: Sequence[ChainError] = (),
        where: str = "",
        stage: str = "",
    ) -> None:
        super().__init__(reason, where=where, stage=stage)
        self.file, self.line, self.key, self.others = file, line, key, tuple(others)

    @property
    def place(self) -> Sequence[str]:
        file = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return (self.where, file, self.stage, self.key)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.others)])


class OptionError(GanchainError, ValueError):
    """A constructor refuses the value of one of its options.

    Stages raise it in their constructors; the chain's reader adds file, line and key.

    Attributes:
        option: the option's name.
    """

    def __init__(self, reason: str, *, option: str, where: str = "", stage: str = "") -> None:
        super().__init__(reason, where=where, stage=stage)
        self.option = option

    @property
    def place(self) -> Sequence[str]:
        return (self.where, self.stage, self.option)


class _FileError(GanchainError):
    """An error about one file; ``path`` is its path, or the name of its content, or ""."""

    def __init__(self, reason: str, *, path: object = "", where: str = "", stage: str = "") -> None:
        super().__init__(reason, where=where, stage=stage)
        self.path = str(path)

    @property
    def place(self) -> Sequence[str]:
        return (self.where, self.stage, self.path)


class PhotoError(_FileError):
    """A photo (or another file of a run) cannot be read or written."""


class VideoError(_FileError):
    """A video (or a folder of frames) cannot be read or written."""


class FaceError(_FileError):
    """A picture that must show a face shows none."""


class WeightsError(GanchainError):
    """A weight file is missing, changed, cut or of an unknown kind.

    Attributes:
        ref: the key or the path of the weights, or "".
    """

    def __init__(self, reason: str, *, ref: object = "", where: str = "", stage: str = "") -> None:
        super().__init__(reason, where=where, stage=stage)
        self.ref = str(ref)

    @property
    def place(self) -> Sequence[str]:
        return (self.where, self.stage, self.ref)


class StageError(GanchainError):
    """A stage broke its contract while it ran, or raised an exception of its own, which is the ``__cause__``.

    The reason goes on after the stage's name: "failed on a batch …", "must return shape …".
    """

    def __str__(self) -> str:
        stage = f"stage {self.stage!r} {self.reason}" if self.stage else self.reason
        return f"{self.where}: {stage}" if self.where else stage


class EngineError(GanchainError):
    """An engine is not installed, or cannot run a network."""


def is_bug(error: BaseException) -> bool:
    """Say whether ``error`` is a bug of ganchain or of a plug-in, and not an error that a user can mend."""
    return not isinstance(error, GanchainError) or (isinstance(error, StageError) and error.__cause__ is not None)


def text_of(error: BaseException, *, beside: object = "") -> str:
    """Say in one line what went wrong: a GanchainError in its words, a bug by its type.

    Args:
        beside: a path or a key that the line names already; the text does not name it again.
    """
    if not isinstance(error, GanchainError):
        return f"{type(error).__name__}: {error}"
    for field in ("path", "ref"):
        if beside != "" and getattr(error, field, None) == str(beside):
            error = copy(error)
            setattr(error, field, "")
    return str(error)


def traceback_of(error: BaseException) -> str:
    """Format the traceback of a bug; "" for an error that is no bug."""
    return "".join(traceback.format_exception(error)) if is_bug(error) else ""


def shown(value: object) -> str:
    """Write a value for an error's text: in one line without control characters, and cut where it is long."""
    if isinstance(value, date):
        return f"{value.isoformat()} (a date to YAML)"
    if isinstance(value, Exception):
        text = " ".join(str(value).split()) or type(value).__name__
    else:
        text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def plain(text: str, *, lines: bool = False) -> str:
    """Replace by "?" what terminals obey or cannot show: control characters, bytes of names that are no UTF-8.

    Args:
        lines: keep line breaks.
    """
    return "".join(letter if letter.isprintable() or (lines and letter == "\n") else "?" for letter in text)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Write, for an error's text, "did you mean …?" with the nearest ``known`` name; "" where none is near."""
    names = {name.lower(): name for name in sorted(known)}
    word = str(word).lower()
    near = [name for name in names if word and name.startswith(word)] or get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {names[near[0]]!r}? " if near else ""


def available(word: str, known: Iterable[str]) -> str:
    """List what is available, for the end of an error's text, the nearest name suggested first."""
    return f"{suggestion(word, known := sorted(known))}available: {', '.join(known)}"


def refuse(reason: str, **options: object) -> None:
    """Raise an OptionError about the first of ``options`` that was given (is not None), with the reason."""
    for name, value in options.items():
        if value is not None:
            raise OptionError(f"{str(value)!r} is not served by these weights: {reason}", option=name)
