"""Crops of one's own photos, and recipes that learn from them, as a user types it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import load_file

from ganchain.checkpoints import manifest
from ganchain.cli.main import main
from ganchain.errors import ChainError, PhotoError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import TIGHT
from ganchain.tensors import Pixels, to_pixels
from ganchain.train import data, recipes, runs
from ganchain.train.crops import FRAMINGS


def ganchain(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def test_crops_are_what_the_stages_see(photo_file: Path, astronaut: Pixels) -> None:
    done = ganchain("align", photo_file, "-o", "faces")
    assert done.exit_code == 0 and "astronaut-face0.png" in done.output
    seen = to_pixels(Aligner(TIGHT).chip(astronaut, DlibDetector()(astronaut)[0], 256))[0]
    assert (pixels(Path("faces/astronaut-face0.png")) == seen).all()
    assert ganchain("align", photo_file, "-o", "wide", "--framing", "head", "--format", "jpeg").exit_code == 0
    assert pixels(Path("wide/astronaut-face0.jpg")).shape == (256, 256, 3)
    assert data.crops_framing(Path("faces")) == "tight" and data.crops_framing(Path("wide")) == "head"
    assert {"tight", "head", "celeba", "ffhq"} <= set(FRAMINGS)


def test_bad_photos_and_photos_without_faces_are_named_and_the_rest_is_made(
    photo_file: Path, landscape: Pixels
) -> None:
    photos = Path("photos")
    photos.mkdir()
    shutil.copy(photo_file, photos / "a.png")
    (photos / "b.jpg").write_bytes(photo_file.read_bytes()[:2000])
    Image.fromarray(landscape).save(photos / "hill.png")
    Image.fromarray(pixels(photo_file)[::2, ::2]).save(photos / "small.png")
    done = ganchain("align", photos, "-o", "faces")
    assert done.exit_code == 1
    assert "b.jpg: failed: " in done.output and "1 of 4 photos failed" in done.output
    assert "hill.png: skipped: no face" in done.output
    assert "small.png: skipped: face 0 is small" in done.output
    assert [path.name for path in data.pictures(Path("faces"))] == ["a-face0.png"]
    assert ganchain("align", photos / "small.png", "-o", "faces", "--smallest", "40").exit_code == 0
    assert [path.name for path in data.pictures(Path("faces"))] == ["a-face0.png", "small-face0.png"]


def test_crops_of_another_photo_of_the_same_name_are_never_overwritten(photo_file: Path, astronaut: Pixels) -> None:
    for folder, picture in (("a", astronaut), ("b", astronaut[:, ::-1])):
        Path(folder).mkdir()
        Image.fromarray(picture).save(f"{folder}/x.png")
    assert ganchain("align", "a", "-o", "faces").exit_code == 0
    first = Path("faces/x-face0.png").read_bytes()
    for _ in range(2):  # the second time, each finds its own again
        assert ganchain("align", "b", "a", "-o", "faces").exit_code == 0
    assert [path.name for path in data.pictures(Path("faces"))] == ["x-2-face0.png", "x-face0.png"]
    assert Path("faces/x-face0.png").read_bytes() == first
    with Path("faces/crops.csv").open(newline="") as file:
        noted = {row["file"]: Path(row["photo"]).parent.name for row in csv.DictReader(file)}
    assert noted == {"x-face0.png": "a", "x-2-face0.png": "b"}
    Path("faces/crops.csv").unlink()  # whose they are is forgotten: they are not touched
    assert ganchain("align", "a", "-o", "faces").exit_code == 0
    assert len(data.pictures(Path("faces"))) == 3


def test_wrong_use_of_align(photo_file: Path) -> None:
    assert "did you mean 'head'" in ganchain("align", photo_file, "-o", "faces", "--framing", "heads").output
    assert ganchain("align", photo_file, "-o", "faces").exit_code == 0
    done = ganchain("align", photo_file, "-o", "faces", "--side", "128")
    assert done.exit_code == 2 and "256 px framed 'tight'" in done.output


def crops(folder: Path, count: int, picture: Pixels, framing: str = "tight") -> Path:
    """``count`` crops of one face, varied in light, as align would leave them."""
    folder.mkdir(parents=True)
    chip = to_pixels(Aligner(FRAMINGS[framing]).chip(picture, DlibDetector()(picture)[0], 256))[0].astype(float)
    for number in range(count):
        lit = (chip * (0.8 + number / 30)).clip(0, 255).astype(np.uint8)
        Image.fromarray(lit).save(folder / f"{number}-face0.png")
    if framing != "tight":
        (folder / "crops.csv").write_text(f"file,photo,framing,side\n0-face0.png,0.png,{framing},256\n")
    return folder


def test_splits_of_a_plain_folder(tmp_path: Path) -> None:
    names = [f"{number}-face0.png" for number in range(1000)]
    shares = list(data._splits(names).values())
    assert 760 < shares.count("train") < 840 and all(70 < shares.count(part) < 130 for part in ("val", "test"))
    half = data._splits(names[::2])
    assert all(data._splits(names)[name] == split for name, split in half.items())  # by the name alone
    for count in range(2, 12):
        for start in range(40):
            assert {"train", "val"} <= set(data._splits(names[start : start + count]).values())
    assert data._splits(["one"]) == {"one": "train"}


def test_a_plain_folder_stands_for_the_folder_of_its_framing(astronaut: Pixels, tmp_path: Path) -> None:
    tight, wide = crops(tmp_path / "tight", 4, astronaut), crops(tmp_path / "wide", 3, astronaut, "head")
    for folder, faces, heads in ((tight, 4, 0), (wide, 0, 3)):
        assert len(data.samples(folder / "faces256")) == faces
        assert len(data.samples(folder / "wide256")) == heads
        assert data.samples(folder / "photos_cc0") == []
    before = data.fingerprint(tight)
    Image.fromarray(astronaut).save(tight / "more.png")
    assert data.fingerprint(tight) != before
    with pytest.raises(PhotoError, match=r"no label 'age'.*labels\.csv"):
        _ = data.samples(tight)[0].labels["age"]


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize(("name", "framing", "more"), [("upscale", "tight", ""), ("webtoon", "head", ", processes: 1")])
@pytest.mark.slow
def test_a_stage_is_retrained_on_own_crops_and_used(
    name: str, framing: str, more: str, astronaut: Pixels, tmp_path: Path
) -> None:
    crops(tmp_path / "faces", 4, astronaut, framing)
    options = f"{{steps: 2, batch: 2{more}}}"
    Path("own.yaml").write_text(f"recipe: {name}\ndata: faces/\noptions: {options}\nout: runs/own\n")
    done = ganchain("train", "own.yaml", "--device", "cpu", "--threads", "1", "--every", "1")
    assert done.exit_code == 0, done.output
    weights = Path("runs/own") / f"{name}.safetensors"
    assert f"-> {weights}" in done.output and f"{name} 2/2" in done.output
    assert load_file(weights).keys() == manifest.tensors(name).keys()
    assert sorted(path.name for path in Path("runs/own").glob("sample-*.png")) == [
        "sample-000001.png",
        "sample-000002.png",
    ]
    kept = YAML(typ="safe").load(Path("runs/own/recipe.yaml").read_text())
    assert kept["data"] == str(tmp_path / "faces") and kept["options"]["batch"] == 2
    Path("chain.yaml").write_text(f"stages: [{name}: {{weights: {weights}}}]\n")
    assert ganchain("run", "chain.yaml", "-n").exit_code == 0
    done = ganchain("train", name, "-o", "runs/own", "--resume", "--set", "steps=3", "--threads", "1")  # by recipe.yaml
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["step"] for line in Path("runs/own/log.jsonl").read_text().splitlines()] == [1, 2, 3]
    assert "holds a run already" in ganchain("train", "own.yaml").output


@pytest.mark.parametrize(
    ("name", "framing", "said"),
    [
        ("age-gender", "head", r"framed 'head'.*--framing tight"),
        ("attributes-portrait", "tight", r"labels\.csv has no column gender, age"),
    ],
)
def test_recipes_say_what_a_plain_folder_lacks(
    name: str, framing: str, said: str, astronaut: Pixels, tmp_path: Path
) -> None:
    with pytest.raises(ChainError, match=said):
        recipes.build(name, crops(tmp_path / "faces", 2, astronaut, framing))


def test_crops_of_another_size_are_named(astronaut: Pixels, tmp_path: Path) -> None:
    folder = crops(tmp_path / "faces", 3, astronaut)
    Image.fromarray(astronaut[:200, :300]).save(folder / "photo.png")
    with pytest.raises(ChainError, match=r"photo\.png has 300 x 200 px.*ganchain align"):
        recipes.build("upscale", folder)


BAD_RUNS: list[tuple[str, str]] = [
    ("recipe: webton\ndata: .", r"^r\.yaml:1: no recipe 'webton'; did you mean 'webtoon'"),
    ("data: .", r"^r\.yaml:1: recipe: which one\? .*webtoon"),
    ("recipe: upscale", r"^r\.yaml:1: data: this option is needed"),
    ("recipe: upscale\ndata: gone/", r"^r\.yaml:2: data: no folder .*gone"),
    ("recipe: upscale\ndata: .\nsede: 3", r"^r\.yaml:3: sede: no such option; did you mean 'seed'"),
    ("recipe: upscale\ndata: .\nseed: x", r"^r\.yaml:3: seed: 'x': input should be a valid integer"),
    ("recipe: upscale\ndata: .\noptions:\n  batch: 2\n  step: 3", r"^r\.yaml:5: options\.step: .*mean 'steps'"),
    ("recipe: upscale\ndata: .\noptions:\n  steps: many", r"^r\.yaml:4: options\.steps: 'many'"),
    ("recipe: upscale\ndata: .\nprecision: bf17-mixed", r"^r\.yaml:3: precision: .*did you mean 'bf16-mixed'"),
    ("recipe: [", r"^r\.yaml:\d: not valid YAML"),
    ("- upscale", r"^r\.yaml:1: a run is a mapping"),
    ("recipe: nowhere:Mine\ndata: .", r"^r\.yaml:1: recipe nowhere:Mine: no module 'nowhere'"),
    ("recipe: json:dumps\ndata: .", r"^r\.yaml:1: recipe json:dumps: json has no"),
]


@pytest.mark.parametrize(("text", "said"), BAD_RUNS)
def test_a_wrong_run_is_named_with_its_line(text: str, said: str) -> None:
    Path("r.yaml").write_text(text + "\n")
    with pytest.raises(ChainError, match=said):
        runs.plan("r.yaml", {})
    assert ganchain("train", "r.yaml").exit_code == 2


OWN = '''
import torch
from torch import nn
from ganchain.train.recipe import Recipe

class Grey(Recipe):
    """Learn grey."""
    key = "grey"
    columns = 1
    rate, batch = 0.01, 2
    def __init__(self, data, steps: int = 3, cache: str = "x"):
        self.data, self.steps, self.networks = data, steps, {"net": nn.Conv2d(3, 3, 1)}
    def dataset(self, split):
        return torch.zeros(4, 3, 8, 8)
    def losses(self, player, batch):
        return {"grey": self.networks["net"](batch).square().mean()}
    def figures(self, batch):
        return {}
    def sample(self, batch):
        return self.networks["net"](batch)
'''


@pytest.mark.slow
def test_a_recipe_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "grey_recipe.py").write_text(OWN)
    (tmp_path / "mine" / "grey.yaml").write_text("recipe: grey_recipe:Grey\ndata: .\nout: run\n")
    monkeypatch.setattr("sys.path", list(sys.path))
    done = ganchain("train", "mine/grey.yaml", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "mine" / "run" / "grey.safetensors").is_file() and "net/grey" in done.output


def test_what_is_given_stands_above_the_yaml(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "r.yaml").write_text("recipe: webtoon\ndata: .\nseed: 4\noptions: {cache: drawn, steps: 5}\n")
    run = runs.plan("a/r.yaml", {"data": None, "out": None})
    assert (run.data, run.out, run.seed) == (Path("a"), Path("runs/r"), 4)
    assert run.options == {"cache": Path("a/drawn"), "steps": 5}
    run = runs.plan("a/r.yaml", {"data": Path("b"), "seed": 7, "out": Path("o")}, ["steps=6"])
    assert (run.data, run.out, run.seed, run.options["steps"]) == (Path("b"), Path("o"), 7, 6)
    given: dict[str, Any] = {"data": Path("b")}
    assert runs.plan("upscale", given) == runs.Run(recipe="upscale", data=Path("b"), out=Path("runs/upscale"))
    with pytest.raises(ChainError, match="--data FOLDER"):
        runs.plan("upscale", {})


@pytest.mark.slow
def test_a_run_begins_from_other_weights(astronaut: Pixels, tmp_path: Path) -> None:
    crops(tmp_path / "faces", 4, astronaut)
    run = ("train", "upscale", "--data", "faces", "--set", "steps=1", "--set", "batch=2", "--set", "rate=0")
    done = ganchain(*run, "--start", "upscale", "--device", "cpu", "--threads", "1", "-o", "one")
    assert done.exit_code == 0, done.output
    bundled, made = manifest.tensors("upscale"), load_file("one/upscale.safetensors")
    assert all(torch.equal(bundled[name], tensor.float()) for name, tensor in made.items())
    Path("two.yaml").write_text("recipe: upscale\ndata: faces\nstart: one/upscale.safetensors\n")
    assert runs.plan("two.yaml", {}).start == str(tmp_path / "one" / "upscale.safetensors")
    assert "another network" in ganchain(*run, "--start", "webtoon", "-o", "three").output
    assert "did you mean 'upscale'" in ganchain(*run, "--start", "upscal").output
    Path("four.yaml").write_text("recipe: upscale\ndata: faces\nstart: upscal\n")
    assert "four.yaml:3: start: no weights 'upscal'" in ganchain("train", "four.yaml").output


def test_help_lists_the_recipes_with_a_line_each() -> None:
    text = ganchain("train", "--help").output
    unknown = ganchain("train", "nothing", "--data", ".").output
    assert all(name in text and name in unknown for name in recipes.RECIPES)
    assert all(line for line in recipes.summaries().values())
    for place in recipes.RECIPES.values():
        assert recipes.find(place)


PAGE = Path(__file__).resolve().parent.parent / "docs" / "training.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documents are only in a checkout")
@pytest.mark.slow
def test_the_recipe_of_the_training_page(astronaut: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's code and its command, for two steps; the page's YAML; its commands exist."""
    monkeypatch.setattr("sys.path", list(sys.path))
    found = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    Path("colours.py").write_text(found["python"])
    crops(tmp_path / "faces", 4, astronaut)
    settings = ("--set", "steps=2", "--set", "batch=2", "--device", "cpu", "--threads", "1")
    done = ganchain("train", "colours:Colours", "--data", "faces/", "-o", "runs/colours", *settings)
    assert done.exit_code == 0, done.output
    assert Path("runs/colours/colours.safetensors").is_file()
    Path("mine.yaml").write_text(found["yaml"])
    assert runs.plan("mine.yaml", {}).options == {"steps": 2000, "batch": 8}
    for name in set(re.findall(r"^ganchain ([a-z]+)", PAGE.read_text(), re.MULTILINE)):
        assert name in main.commands
