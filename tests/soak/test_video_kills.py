"""Kill -9 on `ganchain video` and on a batch with a video: the bytes are those of an undisturbed run."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.video import drawn, kills
from ganchain.tensors import Pixels
from tests.soak.killing import CHAIN, contents, photos, started

pytestmark = pytest.mark.slow


def test_thirty_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kills(drawn(tmp_path / "clip.mp4", 275), 30)
    assert "30 kills: bytes equal" in capsys.readouterr().out


def test_kills_of_a_batch_with_a_video(tmp_path: Path, small_head: Pixels) -> None:
    """A photo and a video: killed at random moments until it comes to its end, then compared."""
    chain, inputs, out = tmp_path / "rose.yaml", tmp_path / "in", tmp_path / "out"
    chain.write_text(CHAIN)
    photos(inputs, small_head, 1)
    drawn(inputs / "clip.mp4", 150)
    process = started(chain, inputs, tmp_path / "undisturbed", workers=1)
    start = time.monotonic()
    process.communicate()
    assert process.returncode == 0
    seconds, chance, kills = time.monotonic() - start, random.Random(1), 0
    while True:
        process = started(chain, inputs, out, workers=1)
        try:
            process.communicate(timeout=seconds * chance.uniform(0.3, 0.9))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    assert process.returncode == 0 and kills > 1 and contents(out) == contents(tmp_path / "undisturbed")
    assert not [path for path in out.rglob(".*") if "ganchain-batch" not in path.name]
