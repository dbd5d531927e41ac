"""Weights: what the manifest says is what lies there, and nothing else is loaded."""

from __future__ import annotations

import ast
import re
from hashlib import sha256
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import ganchain
from ganchain.checkpoints import manifest
from ganchain.checkpoints.entries import Origin
from ganchain.errors import WeightsError
from ganchain.evaluate.report import WANTED

PACKAGE = Path(ganchain.__file__).parent

STAGES = Path(__file__).parents[1] / "docs" / "stages"
PAGES = {"makeup": STAGES / "makeup.md", "hair": STAGES / "attributes.md"}  # of edits without weights of their own


def written(card: str) -> dict[str, float]:
    """The figures in the tables of a page."""
    rows = re.findall(r"^\| (.+?) \| ([-+.e\d]+) \|.*\|?$", card, re.MULTILINE)
    return {name: float(value) for name, value in rows}


@pytest.mark.parametrize("key", manifest.bundled())
def test_bundled_file_is_the_one_of_the_manifest(key: str) -> None:
    entry = manifest.entry(key)
    content = (resources.files("ganchain.weights") / entry.file).read_bytes()
    assert sha256(content).hexdigest() == entry.sha256
    assert len(content) <= 2_000_000
    assert isinstance(entry.origin, Origin) and entry.origin.data and entry.figures
    assert entry.commercial == "yes"
    card = (resources.files("ganchain.weights") / f"{key}.md").read_text()
    assert entry.licence in card and "seed" in card.lower()


@pytest.mark.parametrize("key", manifest.bundled())
def test_the_card_and_the_manifest_give_the_same_figures(key: str) -> None:
    card = (resources.files("ganchain.weights") / f"{key}.md").read_text()
    given = written(card)
    for name, value in manifest.bundled()[key].figures.items():
        assert given[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    assert not WANTED.get(key) or {"ms", "GMAC"} <= given.keys()


@pytest.mark.parametrize("key", WANTED)
def test_what_is_wanted_is_reached_or_argued(key: str) -> None:
    """In the card of weights, or in the page of a stage that has none of its own."""
    page = PAGES.get(key)
    if page is not None and not page.exists():
        pytest.skip("the pages are only in a checkout")
    card = (page or resources.files("ganchain.weights") / f"{key}.md").read_text()
    figures = written(card)
    for name, (sense, bound) in WANTED[key].items():
        reached = figures[name] >= bound if sense == ">=" else figures[name] <= bound
        assert reached or f"**Why not {bound:g}" in card, f"{name}: {figures[name]}, wanted {sense} {bound:g}"


def test_no_file_lies_there_unlisted() -> None:
    others = (".md", ".yaml", ".py")
    lying = {item.name for item in resources.files("ganchain.weights").iterdir() if item.is_file()}
    lying = {name for name in lying if not name.endswith(others)}
    assert lying == {entry.file for entry in manifest.bundled().values()}


def test_a_changed_byte_is_refused() -> None:
    content = bytearray(save({"a": torch.ones(4)}))
    digest = sha256(content).hexdigest()
    assert torch.equal(manifest.verified("k", bytes(content), digest)["a"], torch.ones(4))
    content[-1] ^= 1
    with pytest.raises(WeightsError, match="changed or cut"):
        manifest.verified("k", bytes(content), digest)


def test_a_cut_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = next(iter(manifest.bundled()))
    file = manifest.entry(key).file
    whole = (resources.files("ganchain.weights") / file).read_bytes()
    (tmp_path / file).write_bytes(whole[:-100])
    entries = manifest.bundled()
    monkeypatch.setattr(manifest, "bundled", lambda: entries)
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match=f"'{key}'.*changed or cut"):
        manifest.tensors(key)
    (tmp_path / file).unlink()
    with pytest.raises(WeightsError, match="cannot read"):
        manifest.tensors(key)


def test_a_file_that_is_no_safetensors_is_refused() -> None:
    with pytest.raises(WeightsError, match="not a safetensors file"):
        manifest.verified("k", b"rubbish", sha256(b"rubbish").hexdigest())


def test_an_unknown_key_says_what_there_is() -> None:
    with pytest.raises(WeightsError, match="did you mean 'upscale'"):
        manifest.entry("upscaler")


def test_nothing_is_unpickled_at_run_time() -> None:
    """No run-time module imports a pickling library; torch.load stands in the guarded reader alone, guarded."""
    for path in [*PACKAGE.rglob("*.py"), *(PACKAGE / "stages").resolve().glob("*.py")]:
        if "train" in path.relative_to(PACKAGE).parts if path.is_relative_to(PACKAGE) else False:
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "joblib", "dill", "shelve"} & set(names), path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.jit.load", "numpy.load"):
                assert path.name == "foreign.py"
                assert "weights_only=True" in ast.unparse(node)
