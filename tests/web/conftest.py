"""Fixtures of the tests in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[..., Any]]:
    """Launch Chromium with more flags; Playwright itself may be started only once in a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="make test-web installs playwright")
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as started:
        yield lambda *flags: started.chromium.launch(executable_path=own, args=[*FLAGS, *flags])
