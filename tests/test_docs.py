"""What the documents say works as they say it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganchain.align import Detector
from ganchain.architectures import ARCHITECTURES
from ganchain.published import published
from ganchain.tensors import Pixels

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "adding-a-stage.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documents are only in a checkout")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found.group(1)


def test_the_stage_of_adding_a_stage(tmp_path: Path, photo_file: Path, astronaut: Pixels) -> None:
    """The page's code, from the page's kind of package, through the command line."""
    code, entry = block("python"), block("toml")
    assert len(code.splitlines()) <= 120
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "mosaic.py").write_text(code)
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganchain.stages]\n" + entry.split("\n", 1)[1].replace('"', ""))
    (tmp_path / "mosaic.yaml").write_text("stages: [mosaic: {blocks: 10}]\n")
    command = [sys.executable, "-m", "ganchain.cli", "run", "mosaic.yaml", str(photo_file), "-o", "out.png"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = np.asarray(Image.open(tmp_path / "out.png"))
    assert not [face for face in Detector()(made) if face.left_out is None], "the face is still found"
    assert (made[350:] == astronaut[350:]).all()


def test_the_weights_page_names_every_checkpoint_and_network() -> None:
    text = (ROOT / "docs" / "weights.md").read_text()
    ours = {"unet", "portrait", "upscaler", "age-gender"}
    for name in [*published(), *(ARCHITECTURES.keys() - ours)]:
        assert f"`{name}`" in text, name


def test_every_command_of_the_readme_exists() -> None:
    from click.testing import CliRunner

    from ganchain.cli import main

    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "weights.md").read_text()
    console = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    commands = set(re.findall(r"^ganchain ([a-z-]+)", console, re.MULTILINE))
    assert {"run", "faces", "stages"} <= commands
    for command in commands:
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0, command
    for command in re.findall(r"^ganchain weights ([a-z]+)", console, re.MULTILINE):
        assert CliRunner().invoke(main, ["weights", command, "--help"]).exit_code == 0, command
    targets = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(f"\n{target}:" in makefile for target in targets)
