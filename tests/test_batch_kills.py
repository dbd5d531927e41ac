"""A batch that is killed loses nothing; a rerun ends as if nothing had been."""

from __future__ import annotations

import json
import random
import signal
import sys
from pathlib import Path

import pytest

from ganchain.tensors import Pixels
from tests.soak import killing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
PHOTOS = 10


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_head: Pixels) -> Path:
    """A folder with a chain, photos, and the outputs of an undisturbed batch."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "rose.yaml").write_text(killing.CHAIN)
    killing.photos(folder / "photos", small_head, PHOTOS)
    process = killing.started(folder / "rose.yaml", folder / "photos", folder / "undisturbed", workers=1)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("no_nohup")
def test_kills_and_an_interrupt_cost_nothing(place: Path) -> None:
    chain, photos, out = place / "rose.yaml", place / "photos", place / "out"
    chance, undisturbed = random.Random(5), killing.contents(place / "undisturbed")
    assert len(undisturbed) == 2 * PHOTOS  # a photo and a face each
    for number in (signal.SIGINT, signal.SIGHUP):
        interrupted(chain, photos, out, number)
    print(killing.killed(chain, photos, out, PHOTOS, chance))
    print(killing.killed(chain, photos, out, PHOTOS, chance))
    killing.check(chain, photos, out, PHOTOS, undisturbed, workers=1)


def interrupted(chain: Path, photos: Path, out: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a terminal that is closed, as soon as a photo is done: a clean end with a true summary."""
    process = killing.started(chain, photos, out, workers=1)
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["status"] == "skipped":
        pass
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    summary = json.loads(output.splitlines()[-1])["summary"]
    assert summary["interrupted"]
    assert summary["left"] > 0
    assert summary["failed"] == 0
    assert f"{summary['left']} not begun" in errors
    assert len(killing.recorded(out)) == PHOTOS - summary["left"]
