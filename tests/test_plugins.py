"""A stage from another package, through the entry-point group ``ganchain.stages``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from importlib import import_module
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain import chains, files
from ganchain.batch import run
from ganchain.chains import digest, registry
from ganchain.chains.chain import StageSpec
from ganchain.chains.digest import chain_key
from ganchain.chains.document import Place
from ganchain.cli.main import main
from ganchain.tensors import Pixels
from tests.pools import Here, Warm

pytestmark = pytest.mark.slow

MODULE = '''
"""Grey: the face loses its colour."""
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ganchain import Stage


class Grey(Stage):
    """Take the colour out of the face.

    Options:
        strength: how much of it.
    """

    def __init__(self, *, strength: Annotated[float, Field(ge=0, le=1)] = 1.0) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, faces: Tensor) -> Tensor:
        grey = faces.mean(dim=1, keepdim=True)
        return faces + (grey - faces) * self.strength


class GaussianThing(Grey):
    """Take the colour out, under the name of an entry point.

    Options:
        strength: how much of it.
    """


class Raises(Grey):
    """Break while it runs.

    Options:
        strength: how much of it.
    """

    def forward(self, faces: Tensor) -> Tensor:
        return {}["x"]


class Senseless(Grey):
    """Have attributes that do not go together.

    Options:
        strength: how much of it.
    """

    scale = 2
'''

ENTRY_POINTS = """[ganchain.stages]
grey = colourless:Grey
wrong = colourless:Field
my-blur = colourless:GaussianThing
raises = colourless:Raises
senseless = colourless:Senseless
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution, as pip leaves it, on the path of this process."""
    site = tmp_path / "site"
    info = site / "colourless-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "colourless.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colourless\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("colourless", None)


def ganchain(package: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    with chdir(package):
        done = CliRunner().invoke(main, [*map(str, arguments)])
    return subprocess.CompletedProcess([*map(str, arguments)], done.exit_code, done.stdout, done.stderr)


def in_a_process(package: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(package)!r}); from ganchain.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=package, env=environment)


@pytest.mark.slow
def test_it_runs_by_its_name_next_to_the_built_in_ones(package: Path, photo_file: Path, astronaut: Pixels) -> None:
    (package / "chain.yaml").write_text("stages:\n  - grey: {strength: 0.5}\n  - grey\n")
    done = in_a_process(package, "run", "chain.yaml", photo_file, "-o", "out.png")
    assert done.returncode == 0, done.stderr
    made = np.asarray(Image.open(package / "out.png"))
    nose = made[140:146, 222:230].astype(int)
    colour, before = np.ptp(nose, axis=2).mean(), np.ptp(astronaut[140:146, 222:230].astype(int), axis=2).mean()
    assert colour < 0.2 * before
    assert (made[300:] == astronaut[300:]).all()


def test_it_is_listed_explained_and_checked_like_them(package: Path) -> None:
    assert "grey" in ganchain(package, "stages").stdout
    assert "how much of it" in ganchain(package, "stages", "grey").stdout
    (package / "chain.yaml").write_text("stages:\n  - gray: {}\n")
    assert "did you mean 'grey'" in ganchain(package, "run", "chain.yaml", "x.png").stderr
    (package / "chain.yaml").write_text("stages:\n  - grey: {strength: 2}\n")
    assert "chain.yaml:2: stages[0].grey.strength: 2" in ganchain(package, "run", "chain.yaml", "x.png").stderr


def test_an_entry_point_that_is_no_stage_is_named(package: Path) -> None:
    done = ganchain(package, "stages", "wrong")
    assert done.returncode == 2 and "no ganchain.stage.Stage" in done.stderr


def test_it_is_called_by_its_entry_point_s_name(package: Path, photo_file: Path) -> None:
    (package / "chain.yaml").write_text("stages: [my-blur, my-blur: {strength: 0.5}]\n")
    steps = package / "steps"
    done = ganchain(package, "run", "chain.yaml", photo_file, "-o", "out.png", "--save-stages", steps)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in steps.iterdir()) == ["astronaut-1-my-blur.png", "astronaut-2-my-blur-2.png"]
    shown = ganchain(package, "show", "out.png").stdout
    assert "my-blur → my-blur-2" in shown and "gaussian" not in shown.lower()


@pytest.mark.slow
def test_it_keeps_the_contract(package: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import colourless;"
        "from ganchain.testing import check_stage;"
        "print(check_stage(colourless.Grey).name, check_stage(colourless.GaussianThing, strength=0.5).name);"
        "check_stage(colourless.Senseless)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "grey my-blur\n", done.stderr
    assert "senseless: effect 'change' and scale 2 do not go together" in done.stderr


def key(chain: Path) -> str:
    """The key of a chain, in a process that has imported nothing of the package."""
    sys.modules.pop("colourless", None)
    return chain_key(chains.load(chain), [], "{stem}", "torch")


def test_its_outputs_are_done_again_when_its_code_has_changed(package: Path) -> None:
    (package / "chain.yaml").write_text("stages: [grey]\n")
    keys = [key(package / "chain.yaml"), key(package / "chain.yaml")]
    assert keys[0] == keys[1]
    (package / "colourless.py").write_text(MODULE.replace("faces + (grey", "faces - (grey"))
    keys.append(key(package / "chain.yaml"))
    metadata = package / "colourless-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    keys.append(key(package / "chain.yaml"))
    assert len(set(keys)) == 3


def test_all_files_of_a_package_count_and_those_that_are_none_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "pastel" / "deep"
    plugin.mkdir(parents=True)
    (plugin.parent / "__init__.py").touch()
    (plugin / "stage.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    cls = import_module("pastel.deep.stage").Grey

    def code() -> list[str]:
        return digest._code(StageSpec("grey", cls, {}, Place("x"), {}))

    former = code()
    (plugin / ".#stage.py").symlink_to("nowhere")
    assert code() == former and len(former) == 3
    (plugin.parent / "net.py").write_text("WIDTH = 3\n")
    assert len(code()) == 4
    sys.modules.pop("pastel")
    assert len(code()) == 2  # the module alone: its package has no file
    sys.modules.pop("pastel.deep.stage")
    assert code() == [""]


@pytest.mark.parametrize("name", registry.built_in())
def test_stages_of_ours_are_told_by_our_version(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = StageSpec(name, registry.stage(name), {}, Place("x"), {})
    assert digest._code(spec) == []
    monkeypatch.setattr(digest, "_OURS", ())  # a file that a user has put beside them
    path = Path(str(sys.modules[spec.cls.__module__].__file__))
    assert digest._code(spec) == ["", files.sha256(path)]


def test_what_makes_no_sense_is_refused_before_any_photo_is_read(package: Path) -> None:
    (package / "chain.yaml").write_text("stages:\n  - grey\n  - senseless\n")
    done = ganchain(package, "run", "chain.yaml", "there-is-no-such-photo.png")
    assert done.returncode == 2
    assert "chain.yaml:3: senseless: effect 'change' and scale 2 do not go together" in done.stderr
    assert "no-such-photo" not in done.stderr and "Traceback" not in done.stderr


def test_what_it_raises_is_named_with_type_and_traceback_by_run_and_batch(
    package: Path, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Pool", Here)
    (package / "chain.yaml").write_text("stages:\n  - raises\n")
    reason = "chain.yaml:2: stage 'raises' failed on a batch of shape (1, 3, 256, 256): KeyError: 'x'"
    done = ganchain(package, "run", "chain.yaml", photo_file, "-o", "out.png")
    assert done.returncode == 1
    assert f"{photo_file}: failed: {reason}\nTraceback" in done.stderr
    assert 'colourless.py", line' in done.stderr and done.stderr.count("Traceback") == 2  # the cause, then the error
    ganchain(package, "batch", "chain.yaml", photo_file, "-o", "out", "--workers", "1")
    record = json.loads((package / "out" / "ganchain-batch.jsonl").read_text())
    assert record["status"] == "failed" and record["error"] == reason
    assert "Traceback" in record["traceback"] and 'colourless.py", line' in record["traceback"]


def test_what_it_raises_is_a_plain_sentence_to_visitors_and_a_traceback_in_the_log(
    package: Path, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ganchain.web.redraw import Redrawer
    from ganchain.web.runner import Runner
    from tests.test_web import Limits, Server, png

    monkeypatch.setattr("ganchain.web.worker.Pool", Warm)
    monkeypatch.setattr("ganchain.web.editor.warm_runner", Runner)
    monkeypatch.setattr("ganchain.web.drafts.warm_redrawer", Redrawer)
    monkeypatch.syspath_prepend(package)
    with Server(Limits()) as server, httpx.Client(base_url=server.address, timeout=60) as client:
        photo = {"photo": ("a.png", png(astronaut))}
        answer = client.post("/run", data={"chain": "stages: [raises]"}, files=photo)
    sys.modules.pop("colourless")
    assert answer.status_code == 500
    assert answer.json()["error"] == (
        "the stage 'raises' failed: an error of its own, not of the photo; the server's log says more"
    )
    assert "KeyError: 'x'" in caplog.text and "Traceback" in caplog.text and "raises" in caplog.text


def test_installed_packages_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.names()
    monkeypatch.setattr(registry, "entry_points", lambda group: pytest.fail("read again"))
    assert registry.stage("makeup") and registry.name_of(registry.stage("makeup")) == "makeup"
