"""Kill -9 on `ganchain video`, thirty times: the bytes are those of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.video import drawn, kills


def test_thirty_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kills(drawn(tmp_path / "clip.mp4", 275), 30)
    assert "30 kills: bytes equal" in capsys.readouterr().out
