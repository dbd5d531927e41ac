"""Every file of the torture folder as input: no crash, no hang, one reason each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ganchain.batch.options import Options
from ganchain.batch.run import batch
from tests.soak import killing

TORTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "torture"


@pytest.mark.skipif(not TORTURE.is_dir(), reason="the torture folder is not here")
def test_torture(tmp_path: Path) -> None:
    (tmp_path / "rose.yaml").write_text(killing.CHAIN)
    files = sorted(path for path in TORTURE.rglob("*") if path.is_file())
    options = Options(engine="torch", workers=2, timeout=120)
    summary = batch(tmp_path / "rose.yaml", files, tmp_path / "out", options)
    records = killing.recorded(tmp_path / "out")
    print(f"{len(files)} files: {dict(summary.counts)} in {summary.seconds:.0f} s")
    assert summary.counts.total() == len(files) > 1000
    assert summary.left == 0
    assert Counter(record["status"] for record in records) == {
        status: number for status, number in summary.counts.items() if status != "skipped"
    }
    reasons = [str(record["error"]) for record in records if record["status"] == "failed"]
    assert all(reason and "\n" not in reason and "killed" not in reason for reason in reasons)
