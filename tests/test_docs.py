"""What the documents say works as they say it."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain import chains
from ganchain.chains import registry
from ganchain.checkpoints.architectures import ARCHITECTURES
from ganchain.checkpoints.catalogue import published
from ganchain.cli.main import main
from ganchain.faces.detect import DlibDetector
from ganchain.pipeline.pipeline import Pipeline
from ganchain.sheets import grid_file
from ganchain.tensors import Pixels
from ganchain.testing import FakeDetector, check_stage, portrait

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGE = DOCS / "adding-a-stage.md"
README, STAGES = ROOT / "README.md", DOCS / "stages"
PAGES = [README, *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "weights").glob("*.md"))]
OURS = ("attributes", "makeup", "restore", "upscale", "webtoon")

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documents are only in a checkout")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_stage_of_adding_a_stage(
    tmp_path: Path, photo_file: Path, astronaut: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's code, from the page's kind of package, through the command line."""
    code, entry = (blocks(PAGE, language)[0] for language in ("python", "toml"))
    assert len(code.splitlines()) <= 120
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").touch()
    (tmp_path / "my_package" / "mosaic.py").write_text(code)
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ganchain.stages]\n" + entry.split("\n", 1)[1].replace('"', ""))
    (tmp_path / "mosaic.yaml").write_text("stages: [mosaic: {blocks: 10}]\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "mosaic.yaml", str(photo_file), "-o", "out.png"])
    for module in ("my_package", "my_package.mosaic"):
        sys.modules.pop(module, None)
    assert done.exit_code == 0, done.output
    made = np.asarray(Image.open(tmp_path / "out.png"))
    assert not [face for face in DlibDetector()(made) if face.left_out is None], "the face is still found"
    assert (made[350:] == astronaut[350:]).all()


def test_the_stage_that_asks_for_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "red_nose_of_the_page.py").write_text(blocks(PAGE, "python")[1])
    monkeypatch.syspath_prepend(tmp_path)
    stage = check_stage(import_module("red_nose_of_the_page").RedNose, size=1.0)
    before = portrait()
    result = Pipeline([stage], detector=FakeDetector())(before)
    after = np.asarray(result.image).astype(int)
    rows, columns = np.nonzero(np.abs(after - before).max(axis=2) > 40)
    assert len(rows) and (after[rows, columns, 0] > after[rows, columns, 1]).mean() > 0.95
    tip = result.faces[0].points[4]
    assert np.abs(tip - (columns.mean(), rows.mean())).max() < 0.02 * len(before)


def test_the_weights_page_names_every_checkpoint_and_network() -> None:
    text = (DOCS / "weights.md").read_text()
    ours = {"unet", "portrait", "upscaler", "restorer", "age-gender", "points", "parts", "proposals"}
    for name in [*published(), *(ARCHITECTURES.keys() - ours)]:
        assert f"`{name}`" in text, name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_exists_with_its_options(page: Path) -> None:
    """Blocks of console and `commands` in the text."""
    import click

    text = page.read_text(encoding="utf-8")
    said = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    said += re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in said:
        words = line.partition(" #")[0].split()
        if words[:1] == ["make"] and len(words) == 2:
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), line
        if words[:1] != ["ganchain"] or not words[1:]:
            continue
        command: click.Command | None = main
        for word in words[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                command = command.commands.get(word)
                assert command is not None, line
        assert command is not None
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"-h", "--help"}
        known |= {"--version"} if command is main else set()
        unknown = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - known
        assert not unknown, line


def test_the_commands_are_there_to_be_checked() -> None:
    console = "".join(blocks(README, "console"))
    commands = set(re.findall(r"^ganchain ([a-z-]+)", console, re.MULTILINE))
    assert {"run", "faces", "stages", "grid", "serve", "batch", "align", "train", "evaluate", "weights"} <= commands
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings]


@pytest.mark.parametrize("page", [README, *sorted(STAGES.glob("*.md"))], ids=named)
def test_chains_of_the_pages_are_chains(page: Path, tmp_path: Path, photo_file: Path) -> None:
    reference = tmp_path / "refs" / "photo.jpg"
    reference.parent.mkdir()
    Image.open(photo_file).convert("RGB").save(reference)
    texts = blocks(page, "yaml")
    assert texts
    for text in texts:
        assert all(spec.build() for spec in chains.parse(text, page.name, tmp_path).stages)


@pytest.mark.parametrize("name", OURS)
def test_a_page_names_all_options_of_its_stage(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|(.*)\|.*\|$", (STAGES / f"{name}.md").read_text(), re.MULTILINE)
    fields = registry.options(registry.stage(name)).model_fields
    assert [option for option, _, _ in rows] == list(fields)
    schema = registry.options(registry.stage(name)).model_json_schema()["properties"]
    for option, values, default in rows:
        wanted = fields[option].default
        assert default.strip() == ("–" if wanted is None else f"{wanted:g}" if isinstance(wanted, float) else wanted)
        for value in re.findall(r"'enum': \[(.*?)\]", str(schema[option])):
            assert set(re.findall(r"`(\w+)`", values)) == set(re.findall(r"'(\w+)'", value)), option


def test_every_bundled_stage_has_a_page() -> None:
    own = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")}
    assert own == set(OURS) == {page.stem for page in STAGES.glob("*.md")}


def test_pictures_are_shown_and_small() -> None:
    there = {path.resolve() for path in (DOCS / "images").iterdir()}
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^]]+\]\((.+?)\)", page.read_text())
    }
    assert shown == there
    assert sum(path.stat().st_size for path in there) < 2_500_000
    for path in there:
        with Image.open(path) as image:
            assert f'"{path.stem}"' in (DOCS / "pictures.py").read_text() and max(image.size) <= 2000


def test_bundled_chains_and_grids_are_named() -> None:
    text = README.read_text() + (STAGES / "webtoon.md").read_text()
    for name in [*chains.bundled(), *grid_file.bundled()]:
        assert f"`{name}`" in text, name
