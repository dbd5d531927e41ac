"""Everything ganchain raises on purpose.

    GanchainError
    ├── ChainError      the chain (YAML or constructor) asks for what there is not: file, line, key, cause, cure
    ├── PhotoError      a photo cannot be read or written
    ├── FaceError       a picture that must show a face (a makeup reference, say) shows none
    ├── WeightsError    a weight file is missing, changed, cut or of an unknown kind
    ├── StageError      a stage broke its contract while it ran
    └── EngineError     an engine is not here, or cannot run a network

The command line prints these without a traceback; anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GanchainError(Exception):
    """Root of the tree."""


class ChainError(GanchainError):
    """The chain asks for what there is not."""


class PhotoError(GanchainError):
    """A photo cannot be read or written."""


class FaceError(GanchainError):
    """A picture that must show a face shows none."""


class WeightsError(GanchainError):
    """A weight file is missing, changed, cut or of an unknown kind."""


class StageError(GanchainError):
    """A stage broke its contract while it ran."""


class EngineError(GanchainError):
    """An engine is not here, or cannot run a network."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """A question for an error message: the name that begins with ``word``, or the nearest; empty without one."""
    names = {name.lower(): name for name in sorted(known)}
    word = str(word).lower()
    near = [name for name in names if word and name.startswith(word)] or get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {names[near[0]]!r}? " if near else ""


def available(word: str, known: Iterable[str]) -> str:
    """The tail of an error message: what is available, the nearest name first suggested."""
    return f"{suggestion(word, known := sorted(known))}available: {', '.join(known)}"
