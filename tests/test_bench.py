"""``ganchain bench``: figures that can be true, the same in the table and in JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from ganchain.batch import run as batch_run
from ganchain.bench import report as reports
from ganchain.bench.costs import multiply_accumulates
from ganchain.bench.machine import SIDES, Peak, matrix_products
from ganchain.bench.report import Report, measure
from ganchain.bench.table import show
from ganchain.bench.throughput import repeated, throughput
from ganchain.cli.bench import bench
from ganchain.cli.main import Group
from ganchain.engines.choice import labels
from ganchain.errors import GanchainError, PhotoError
from ganchain.evaluate.cost import cost
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from tests.pools import Here

CPU = torch.device("cpu")
RUNS = 2  # of which the median is the mean
CHAIN = "stages:\n  - makeup: {look: evening}\n  - upscale: {factor: 2, scope: face}\noutput: {write: faces}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_head: Pixels) -> Path:
    """A chain, and a folder of two photos, one of them without a face."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "photos").mkdir()
    Image.fromarray(small_head).save(folder / "photos" / "head.png")
    Image.fromarray(np.full((100, 80, 3), 90, np.uint8)).save(folder / "photos" / "wall.png")
    (folder / "small.yaml").write_text(CHAIN)
    return folder


@pytest.fixture(autouse=True, scope="module")
def _small_products() -> Iterator[None]:
    """Matrices of 512 x 512: what they cost is measured here, but not to be told to anybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIDES, "cpu", 512)
        yield


@pytest.fixture(scope="module")
def measured(folder: Path) -> tuple[Report, float]:
    """A report, and the seconds it took."""
    start = time.perf_counter()
    report = measure(str(folder / "small.yaml"), [folder / "photos"], engine="torch", workers=1, runs=RUNS)
    return report, time.perf_counter() - start


@pytest.fixture(scope="module")
def report(measured: tuple[Report, float]) -> Report:
    return measured[0]


@pytest.fixture(scope="module")
def elapsed(measured: tuple[Report, float]) -> float:
    return measured[1]


def run(*arguments: object) -> Result:
    group = Group(commands={"bench": bench})
    return CliRunner().invoke(group, ["bench", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.mark.slow
def test_figures(report: Report, elapsed: float) -> None:
    assert (report.photos, report.faces) == (2, 1)
    assert report.megapixels == pytest.approx((220 * 240 + 100 * 80) / 2e6)
    assert list(report.seconds) == ["read", "detect", "makeup", "upscale", "paste", "encode"]
    assert all(seconds > 0 for seconds in report.seconds.values())
    assert sum(report.shares.values()) == pytest.approx(1)
    assert report.photos_per_second == pytest.approx(1 / sum(report.seconds.values()))
    assert report.photos * RUNS * sum(report.seconds.values()) < elapsed
    assert 100e6 < report.memory < report.machine["memory"]
    assert 1 < report.products["float32"] < 1e6


@pytest.mark.slow
def test_stages_cost_what_evaluate_says(report: Report) -> None:
    assert report.stages["makeup"].gmac == pytest.approx(cost("makeup")["GMAC"])
    assert report.stages["makeup"].side == 256 == report.stages["upscale"].side
    for stage in report.stages.values():
        assert list(stage.engines) == labels(CPU) and stage.engine == "torch"
        assert stage.engines["torch"].difference == 0
        seconds = stage.engines["torch"].seconds
        assert seconds and stage.gflops == pytest.approx(2 * stage.gmac / seconds)
        assert stage.share == pytest.approx(stage.gflops / report.products["float32"])
        assert all(one.seconds is None or 0 < one.seconds < 60 for one in stage.engines.values())


def test_multiply_accumulates_are_counted() -> None:
    stage = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert multiply_accumulates(stage, torch.zeros(2, 3, 10, 12)) == 2 * 8 * 3 * 9 * 120  # type: ignore[arg-type]
    assert multiply_accumulates(Webtoon(look="filter"), torch.zeros(1, 3, 256, 256)) > 1e8


@pytest.mark.slow
def test_the_batch_is_measured(report: Report, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.batch is not None
    assert (report.batch.workers, report.batch.photos) == (1, reports.PER_WORKER)
    assert 0 < report.batch.photos_per_second < 1000 and report.batch.memory > 100e6
    assert report.batch.engines == {"makeup": "torch", "upscale": "torch"}
    copies = repeated([folder / "photos" / "head.png"], 3, tmp_path)
    assert [copy.name for copy in copies] == ["0000-head.png", "0001-head.png", "0002-head.png"]
    copies[1].write_bytes(b"no picture")
    monkeypatch.setattr(batch_run, "Pool", Here)
    with pytest.raises(GanchainError, match=r"0001-head.png: failed: "):
        throughput(folder / "small.yaml", copies, tmp_path / "out", workers=1, warm=1, engine="torch")


@pytest.mark.slow
def test_table_and_json_agree(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    show(report)
    shown = capsys.readouterr().out
    told = json.loads(json.dumps(report.to_json()))
    assert told["photos_per_second"] == report.photos_per_second and told["batch"]["workers"] == 1
    for name, seconds in told["seconds"].items():
        assert re.search(rf"{name} +│ +{seconds:.4f} +│ +{told['shares'][name]:.0%}", shown), name
    for name, stage in told["stages"].items():
        line = next(line for line in shown.splitlines() if name in line and " px" in line)
        assert f"{stage['gmac']:.2f}" in line and f"{stage['gflops']:.0f}" in line
        assert f"{1000 * stage['engines']['torch']['seconds']:.1f} (0.00)" in line
    assert f"one process: {told['photos_per_second']:.2f} photos/s" in shown
    assert f"batch, 1 workers: {told['batch']['photos_per_second']:.2f} photos/s" in shown


def test_peak_memory_is_the_peak() -> None:
    with Peak.watched() as quiet:
        pass
    with Peak.watched() as peak:
        np.ones(50_000_000, np.uint8).sum()
    assert peak.bytes >= quiet.bytes > 50e6


def test_a_product_is_measured_in_every_precision_that_engines_use() -> None:
    products = matrix_products(CPU)
    assert set(products) == ({"float32", "bfloat16"} if "torch-half" in labels(CPU) else {"float32"})


def test_wrong_use(folder: Path, tmp_path: Path) -> None:
    chain = folder / "small.yaml"
    (tmp_path / "empty").mkdir()
    for arguments, said in {
        (): "Missing argument 'CHAIN'",
        (chain,): "Missing argument 'PHOTOS...'",
        ("portrayt", folder / "photos"): "no chain 'portrayt'; did you mean 'portrait'",
        (chain, tmp_path / "empty"): "no photo that can be read",
        (chain, tmp_path / "none.jpg"): "no such file",
        (chain, folder / "photos" / "wall.png", "--engine", "torch"): "no face to edit in",
        (chain, folder / "photos", "--engine", "steam"): "no engine 'steam'",
        (chain, folder / "photos", "--repeat", 0): "'--repeat'",
    }.items():
        done = run(*arguments)
        assert done.exit_code == 2 and said in done.output, done.output


@pytest.mark.slow
def test_the_command(folder: Path, tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(reports, "measure", lambda *given, **options: asked.append((given, options)) or report)
    done = run("faces", folder, "--workers", 0, "--repeat", 2, "--json", tmp_path / "figures.json")
    options = {"engine": "auto", "device": "auto", "workers": 0, "runs": 2}
    assert asked == [(("faces", (folder,)), options)]
    assert done.exit_code == 0 and "photos/s" in done.output
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(json.dumps(report.to_json()))
    line = run("faces", folder, "--json", "-").output
    assert json.loads(line)["chain"] == report.chain and line.count("\n") == 1
    done = run("faces", folder, "--json", tmp_path / "none" / "figures.json")
    assert done.exit_code == 2 and "cannot be written" in done.output


def test_no_photos_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no photo that can be read"):
        measure("portrait", [tmp_path])
