"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until ``condition()`` is true; an AssertionError after ``seconds``."""
    for _ in range(round(100 * seconds)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")
