"""Training: the loop, its files, resuming, and a recipe on drawn pictures."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain import manifest
from ganchain.align import Aligner, Detector
from ganchain.errors import ChainError, PhotoError
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.unet import UNet
from ganchain.nets.upscaler import Upscaler
from ganchain.tensors import Pixels, to_pixels
from ganchain.train import recipes
from ganchain.train.data import samples
from ganchain.train.depthwise import quick
from ganchain.train.loop import train
from ganchain.train.recipe import Recipe
from ganchain.train.upscale import Upscale, psnr, ssim


class Numbers(Dataset[tuple[Tensor, Tensor]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        face = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(index)) * 2 - 1
        return face, -face


class Negative(Recipe):
    """Two players without a GAN: one learns the negative, the other only watches and learns the mean."""

    key = "negative"
    batch, rate, columns = 4, 1e-2, 2

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.networks = {"student": UNet(3, 3, (8, 8), (1, 1)), "watcher": nn.Conv2d(3, 1, 1)}

    def dataset(self, split: str) -> Dataset[Any]:
        return Numbers()

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        face, negative = batch
        if player == "watcher":
            return {"mean": (self.networks["watcher"](face).float() - 1).square().mean()}
        return {"pixel": (self.networks["student"](face).float() - negative).abs().mean()}

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        return {"score": -float((self.networks["student"](batch[0]) - batch[1]).abs().mean())}

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return torch.stack([batch[0], self.networks["student"](batch[0])], dim=1).flatten(0, 1)


def negative(steps: int) -> Negative:
    torch.manual_seed(0)
    return Negative(steps)


def test_the_loop_learns_moves_every_parameter_and_leaves_its_files(tmp_path: Path) -> None:
    recipe = negative(200)
    before = {name: p.clone() for net in recipe.networks.values() for name, p in net.named_parameters()}
    figures = train(recipe, tmp_path, every=100, threads=1)
    assert figures["score"] > -0.25  # doing nothing at all: -0.5
    for net in recipe.networks.values():
        for name, parameter in net.named_parameters():
            assert not torch.equal(parameter, before[name]), name
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [100, 200]
    assert set(lines[0]["losses"]) == {"student/pixel", "watcher/mean"}
    assert lines[1]["losses"]["student/pixel"] < lines[0]["losses"]["student/pixel"]
    exported = load_file(tmp_path / "negative.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in exported.values())
    UNet.from_tensors({key: tensor.float() for key, tensor in exported.items()}, outputs=3)
    with Image.open(tmp_path / "sample-000200.png") as sheet:
        assert sheet.size == (2 * 16, 4 * 16)


def test_resume_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    train(negative(20), tmp_path, every=20, threads=1)
    resumed = negative(40)
    figures = train(resumed, tmp_path, every=20, threads=1, resume=True)
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [20, 40]
    straight = train(negative(20), tmp_path / "other", every=20, threads=1)
    assert figures["score"] > straight["score"]


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(negative(10), tmp_path / name, every=10, threads=1)
    a, b = (load_file(tmp_path / name / "negative.safetensors") for name in ("a", "b"))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A data folder of drawn discs: 24 faces256 with labels, 3 photos_cc0 without."""
    y, x = np.mgrid[0:256, 0:256]
    rows = ["file,split"]
    for folder, count in (("faces256", 24), ("photos_cc0", 3)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(count):
            random = np.random.default_rng(number)
            picture = np.full((256, 256, 3), random.integers(256, size=3), np.uint8)
            for _ in range(30):
                cx, cy, radius = random.integers((0, 0, 5), (256, 256, 60))
                picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = random.integers(256, size=3)
            Image.fromarray(picture).save(tmp_path / "data" / folder / f"{number}.png")
            if folder == "faces256":
                rows.append(f"{number}.png,{'val' if number < 4 else 'test' if number < 8 else 'train'}")
    (tmp_path / "data" / "faces256" / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


def test_the_upscaler_beats_bicubic_on_drawn_discs(drawn: Path, tmp_path: Path) -> None:
    recipe = recipes.build("upscale", drawn, ["steps=500", "batch=8", "crop=24", "width=16", "depth=2", "rate=0.004"])
    assert isinstance(recipe, Upscale)
    figures = train(recipe, tmp_path / "run", every=500, threads=1)
    assert figures["score"] > 0.2
    assert figures["psnr"] - figures["psnr of bicubic"] == pytest.approx(figures["score"], abs=1e-3)
    net = Upscaler.from_tensors({k: t.float() for k, t in load_file(tmp_path / "run" / "upscale.safetensors").items()})
    assert net.factors == [2, 4]


def test_splits(drawn: Path) -> None:
    assert len(samples(drawn / "faces256")) == 24
    assert [sample.path.name for sample in samples(drawn / "faces256", "val")] == ["0.png", "1.png", "2.png", "3.png"]
    by_name = {sample.path.name: sample.split for sample in samples(drawn / "photos_cc0")}
    assert by_name == {sample.path.name: sample.split for sample in samples(drawn / "photos_cc0")}
    with pytest.raises(PhotoError, match="no training pictures"):
        samples(drawn / "nowhere")


def test_recipes_say_what_they_do_not_know(drawn: Path) -> None:
    with pytest.raises(ChainError, match="did you mean 'webtoon'"):
        recipes.build("webtoons", drawn)
    with pytest.raises(ChainError, match="did you mean 'steps'"):
        recipes.build("upscale", drawn, ["step=3"])
    with pytest.raises(ChainError, match=r"steps: .*integer"):
        recipes.build("upscale", drawn, ["steps=many"])
    assert recipes.build("upscale", drawn, ["steps=7"]).steps == 7


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_makes_weights_that_the_manifest_lists(name: str) -> None:
    module, _, cls = recipes.RECIPES[name].partition(":")
    assert getattr(import_module(module), cls).key == name
    assert name in manifest.entries()


def test_networks_read_their_sizes_from_the_tensors() -> None:
    for outputs, scale in ((3, 2), (5, 1), (1, 1)):
        net = UNet(4, outputs, (8, 12, 16), (1, 2, 1), scale)
        again = UNet.from_tensors(net.state_dict(), outputs)
        face = torch.rand(1, 4, 32, 32)
        torch.testing.assert_close(again(face), net(face))
        assert net(face).shape == (1, outputs, 32 * scale, 32 * scale)


def test_figures() -> None:
    a = torch.rand(2, 3, 32, 32)
    assert psnr(a, a + 0.2) == pytest.approx([20.0, 20.0], abs=1e-3)  # peak 2, error 0.2
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, torch.rand(2, 3, 32, 32)) < 0.5


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
def test_quick_depthwise_convolutions_have_the_same_gradients(padding: Any) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(6, 6, 5, padding=2, groups=6, padding_mode=padding)).double()
    fast = quick(copy.deepcopy(plain))
    picture = torch.randn(2, 6, 9, 11, dtype=torch.double)
    gradients = []
    for net in (plain, fast):
        given = picture.clone().requires_grad_()
        net(given).square().sum().backward()
        gradients.append([given.grad, *(parameter.grad for parameter in net.parameters())])
    assert type(next(fast.children())) is not type(plain[0])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.fixture(scope="session")
def heads(astronaut: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of one aligned head, varied in light: too few to learn from, enough to run every recipe."""
    data = tmp_path_factory.mktemp("heads")
    face = Detector()(astronaut)[0]
    for folder, framing in (("faces256", TIGHT), ("wide256", HEAD)):
        (data / folder).mkdir()
        rows = ["file,gender,age,race,dataset,split,person"]
        chip = to_pixels(Aligner(framing).chip(astronaut, face, 256))[0].astype(float)
        for number in range(12):
            varied = (chip * (0.8 + number / 30)).clip(0, 255).astype(np.uint8)
            Image.fromarray(varied).save(data / folder / f"{number}.png")
            split = "val" if number < 2 else "test" if number < 4 else "train"
            gender, age = ("female", "20-29") if number % 2 else ("male", "50-59")
            rows.append(f"{number}.png,{gender},{age},White,drawn,{split},{number}")
        (data / folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (data / "photos_cc0").mkdir()
    for number in range(4):
        Image.fromarray(astronaut[:, number * 8 :]).save(data / "photos_cc0" / f"{number}.png")
    return data


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_runs(name: str, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teacher, pairs, losses, figures, samples and export, for two steps."""
    monkeypatch.chdir(tmp_path)  # caches lie in the current folder
    recipe = recipes.build(name, heads, ["steps=2", "batch=2"])
    figures = train(recipe, tmp_path / "run", every=2, threads=1)
    assert all(np.isfinite(value) for value in figures.values())
    exported = load_file(tmp_path / "run" / f"{name}.safetensors")
    bundled = manifest.tensors(name)
    assert {key: tensor.shape for key, tensor in exported.items()} == {k: t.shape for k, t in bundled.items()}
    assert len(list((tmp_path / "run").glob("sample-*.png"))) == 1
