"""Errors of worker processes as visitors may read them, without places on this machine."""

from __future__ import annotations

import logging
from copy import copy
from pathlib import Path

from ganchain.batch import memory
from ganchain.errors import GanchainError, StageError, is_bug
from ganchain.web.models import Problem, problems_of

log = logging.getLogger(__name__)


class Failed(GanchainError):
    """An error of a job as its visitor may read it.

    Attributes:
        status: the HTTP status.
        problems: the wrong values of the chain.
    """

    def __init__(self, reason: str, status: int, problems: list[Problem]) -> None:
        super().__init__(reason)
        self.status, self.problems = status, problems


def public_error(error: Exception, folder: Path) -> Failed:
    """Turn an error into one for the visitor, which does not name ``folder``; a bug has the status 500."""
    text = message(error, folder)
    problems = problems_of(error)
    if str(folder.parent) in "".join(problem.reason for problem in problems):
        problems = []
    return Failed(text, 500 if is_bug(error) and not memory.ran_out(error) else 422, problems)


def message(error: Exception, folder: Path) -> str:
    """Say why a job failed, without paths on this machine."""
    if memory.ran_out(error):
        return f"not enough memory for this photo; {memory.CURE}"
    if isinstance(error, StageError) and is_bug(error):
        return f"the stage {error.stage!r} failed: an error of its own, not of the photo; the server's log says more"
    if not isinstance(error, GanchainError):
        return f"an error of ganchain's own: {type(error).__name__}"
    public = copy(error)
    for field in ("path", "ref", "file"):
        if Path(value := getattr(public, field, "")).is_absolute():
            setattr(public, field, Path(value).name)
    if str(folder.parent) in str(public):
        log.error("%s: an error's reason names a path", folder.name[:4], exc_info=error)
        return "failed; the server's log says why"
    return str(public)
