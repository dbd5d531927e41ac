"""A batch on many machines: two Ray nodes on this one, and one of them is lost halfway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganchain.batch.options import Options
from ganchain.batch.record import Record
from ganchain.batch.run import batch
from ganchain.batch.summary import Summary
from ganchain.errors import GanchainError
from ganchain.tensors import Pixels

pytest.importorskip("ray", reason="ray is not installed: make test-ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]  # Ray's own

PHOTOS = 14


@pytest.fixture
def folder(small_head: Pixels, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(PHOTOS):
        photo = (small_head * (1 - number / 40)).astype(np.uint8)
        Image.fromarray(photo).save(tmp_path / "in" / f"{number:02}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "chain.yaml").write_text("stages:\n  - makeup: {look: evening}\n")
    return tmp_path


@contextmanager
def started() -> Iterator[Any]:
    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": quick}
    made = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=head)
    try:
        yield made
    finally:
        made.shutdown()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_a_lost_machine_costs_a_second_try(folder: Path) -> None:
    done: list[str] = []

    def on_record(record: Record, summary: Summary) -> None:
        done.append(record.status)
        if len(done) == PHOTOS // 2:
            cluster.remove_node(second, allow_graceful=False)

    with started() as cluster:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        options = Options(engine="torch", ray=cluster.address)
        summary = batch(folder / "chain.yaml", [folder / "in"], folder / "far", options, on_record)
    assert dict(summary.counts) == {"ok": PHOTOS, "failed": 1} and list(summary.failed) == ["broken.png"]
    near = batch(folder / "chain.yaml", [folder / "in"], folder / "near", Options(engine="torch", workers=1))
    assert dict(near.counts) == dict(summary.counts)
    assert contents(folder / "far") == contents(folder / "near") and len(contents(folder / "near")) == PHOTOS
    lines = [json.loads(line) for line in summary.record.read_text().splitlines()]
    assert len(lines) == PHOTOS + 1
    again = batch(folder / "chain.yaml", [folder / "in"], folder / "far", Options(engine="torch", workers=1))
    assert dict(again.counts) == {"skipped": PHOTOS, "failed": 1}


def test_a_photo_that_kills_its_workers_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage that does it comes from another package, on the path of whatever is started from here."""
    (folder / "deadly.py").write_text(
        "import os\nfrom ganchain.stage import Stage\n\n\nclass Deadly(Stage):\n    def forward(self, faces):\n"
        "        if float(faces.mean()) < -0.7:\n            os.kill(os.getpid(), 9)\n        return faces\n"
    )
    info = folder / "deadly-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ganchain.stages]\ndeadly = deadly:Deadly\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (folder / "deadly.yaml").write_text("stages:\n  - deadly\n")
    dark = np.asarray(Image.open(folder / "in" / "00.png")) // 5
    Image.fromarray(dark).save(folder / "in" / "00-dark.png")
    with started() as cluster:
        options = Options(engine="torch", ray=cluster.address)
        summary = batch(folder / "deadly.yaml", [folder / "in"], folder / "far", options)
    assert dict(summary.counts) == {"ok": PHOTOS, "failed": 2}
    assert "killed the worker (signal 9" in summary.failed["00-dark.png"]


def test_a_cluster_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(GanchainError, match="no Ray cluster at 'auto'"):
        batch(folder / "chain.yaml", [folder / "in"], folder / "out", Options(engine="torch", ray="auto"))
