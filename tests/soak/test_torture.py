"""Every file that breaks decoders as input: no crash, no hang, one reason each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ganchain.batch.options import Options
from ganchain.batch.run import batch
from tests.soak import killing
from tests.torture import torture

pytestmark = pytest.mark.slow
TORTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "torture"


def through_a_batch(files: list[Path], place: Path) -> None:
    (place / "rose.yaml").write_text(killing.CHAIN)
    options = Options(engine="torch", workers=2, timeout=120)
    summary = batch(place / "rose.yaml", files, place / "out", options)
    records = killing.recorded(place / "out")
    print(f"{len(files)} files: {dict(summary.counts)} in {summary.seconds:.0f} s")
    assert summary.counts.total() == len(files) > 1000
    assert summary.left == 0
    assert Counter(record["status"] for record in records) == {
        status: number for status, number in summary.counts.items() if status != "skipped"
    }
    reasons = [str(record["error"]) for record in records if record["status"] == "failed"]
    assert all(reason and "\n" not in reason and "killed" not in reason for reason in reasons)


def test_torture(tmp_path: Path) -> None:
    drawn = torture(tmp_path / "torture", flips=4)
    through_a_batch(sorted(path for paths in drawn.values() for path in paths), tmp_path)


@pytest.mark.skipif(not TORTURE.is_dir(), reason="Pillow's and libpng's own broken files are not here")
def test_torture_by_the_files_of_others(tmp_path: Path) -> None:
    through_a_batch(sorted(path for path in TORTURE.rglob("*") if path.is_file()), tmp_path)
