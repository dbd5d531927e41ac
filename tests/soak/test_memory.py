"""Memory stays flat over ten thousand photos."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from ganchain.tensors import Pixels
from tests.soak import killing

pytestmark = pytest.mark.slow
PHOTOS, EARLY = 10_000, 500


def resident(process: psutil.Process) -> int:
    """Bytes that a process and its children hold, what they share counted once (PSS) where the system tells."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        memory = one.memory_full_info()
        total += getattr(memory, "pss", 0) or memory.rss
    return total


def test_memory_of_one_worker_is_flat_over_10000_photos(tmp_path: Path, small_head: Pixels) -> None:
    (tmp_path / "rose.yaml").write_text(killing.CHAIN)
    killing.photos(tmp_path / "photos", small_head, PHOTOS)
    process = killing.started(tmp_path / "rose.yaml", tmp_path / "photos", tmp_path / "out", workers=1)
    assert process.stdout is not None
    figures: dict[int, int] = {}
    for number, line in enumerate(process.stdout, start=1):
        if "summary" in json.loads(line):
            break
        if number % EARLY == 0:
            figures[number] = resident(psutil.Process(process.pid))
            print(f"{number} photos: {figures[number] / 2**20:.0f} MiB", flush=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    last = figures[PHOTOS] if PHOTOS in figures else figures[max(figures)]
    assert max(figures) >= PHOTOS - EARLY
    assert last <= 1.05 * figures[EARLY]
