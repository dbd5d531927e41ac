"""100 kills (-9) at random moments of one batch after the other: the outputs end as those of an undisturbed one."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from ganchain.tensors import Pixels
from tests.soak import killing

pytestmark = pytest.mark.slow
KILLS, PHOTOS = 100, 24


def test_hundred_kills(tmp_path: Path, small_head: Pixels) -> None:
    chain, photos, out = tmp_path / "rose.yaml", tmp_path / "photos", tmp_path / "out"
    chain.write_text(killing.CHAIN)
    killing.photos(photos, small_head, PHOTOS)
    process = killing.started(chain, photos, tmp_path / "undisturbed")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    undisturbed = killing.contents(tmp_path / "undisturbed")
    assert len(undisturbed) == 2 * PHOTOS
    chance, kills = random.Random(100), 0
    midway = 0
    while kills < KILLS:
        happened = killing.killed(chain, photos, out, PHOTOS, chance)
        there = len(killing.contents(out)) if out.exists() else 0
        kills += happened != "ended before"
        midway += happened != "ended before" and there < len(undisturbed)
        print(kills, happened, f"{there} outputs there", flush=True)
        if there >= len(undisturbed):
            killing.check(chain, photos, out, PHOTOS, undisturbed)
            shutil.rmtree(out)
    print(f"{midway} of {kills} kills before all outputs were there")
    if out.exists():
        killing.check(chain, photos, out, PHOTOS, undisturbed)


def test_interrupted_twice_it_ends_at_once(tmp_path: Path, small_head: Pixels) -> None:
    (tmp_path / "rose.yaml").write_text(killing.CHAIN)
    killing.photos(tmp_path / "photos", small_head, PHOTOS)
    process = killing.started(tmp_path / "rose.yaml", tmp_path / "photos", tmp_path / "out", workers=1)
    assert process.stdout is not None
    process.stdout.readline()
    start = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - start < 5
