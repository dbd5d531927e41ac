"""How much is done, without a clock: the same on every machine, however busy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest


@contextmanager
def at_most(lines: int) -> Iterator[None]:
    """Fail as soon as ganchain's functions have run more than ``lines`` lines inside, in this thread.

    What goes byte by byte through a large file, or along every path of a nested one, runs millions.
    """
    left, before = lines, sys.gettrace()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if not str(frame.f_globals.get("__name__")).startswith("ganchain."):
            return None
        left -= event == "line"
        if left < 0:
            pytest.fail(f"more than {lines:,} lines were run, of late in {frame.f_code.co_qualname}")
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
    print(f"{lines - left:,} lines of {lines:,}")
