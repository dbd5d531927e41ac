"""Training: the loop, its files, resuming, and a recipe on drawn pictures."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, GanchainError, PhotoError
from ganchain.nets.unet import UNet
from ganchain.nets.upscaler import Upscaler
from ganchain.train import recipes
from ganchain.train.data import samples
from ganchain.train.depthwise import use_fast_depthwise
from ganchain.train.loop import train
from ganchain.train.order import Order, Seeded
from ganchain.train.upscale import Upscale, psnr, ssim
from tests.negative import Negative, Numbers, negative


@pytest.mark.slow
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


class Restless(Negative):
    """Random in the pictures, in the losses and in the network, which has statistics of its own; dies if asked to."""

    def __init__(self, steps: int, dies: int | None = None) -> None:
        super().__init__(steps)
        student = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.3), nn.Conv2d(8, 3, 1))
        self.networks["student"], self.turns, self.left = student, {"watcher": 2}, dies

    def dataset(self, split: str) -> Dataset[Any]:
        return Restlessly()

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        if self.left == 0 and player == "student":
            raise KeyboardInterrupt
        self.left = None if self.left is None else self.left - (player == "student")
        face, negative = batch
        return super().losses(player, (face + 0.1 * torch.randn(face.shape), negative))


class Restlessly(Numbers):
    def __len__(self) -> int:
        return 7  # batches of 4 reach into the next round

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        face, _ = super().__getitem__(index)
        turned = torch.rot90(face, int(torch.randint(4, ())), (1, 2))
        return turned, -turned


def restless(steps: int = 6, dies: int | None = None) -> Restless:
    torch.manual_seed(0)
    return Restless(steps, dies)


def log(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def state(run: Path) -> dict[str, Any]:
    return torch.load(run / "state.pt", weights_only=True)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.slow
def test_a_resumed_run_gives_the_numbers_of_one_that_was_not_stopped(every: int, tmp_path: Path) -> None:
    train(restless(), tmp_path / "straight", every=every, threads=1)
    with pytest.raises(KeyboardInterrupt):
        train(restless(dies=4 if every == 3 else 3), tmp_path / "stopped", every=every, threads=1)
    assert state(tmp_path / "stopped")["step"] == 3
    train(restless(), tmp_path / "stopped", every=every, threads=1, resume=True)
    assert log(tmp_path / "stopped") == log(tmp_path / "straight")
    assert same(state(tmp_path / "stopped"), state(tmp_path / "straight"))
    straight, stopped = (load_file(tmp_path / name / "negative.safetensors") for name in ("straight", "stopped"))
    assert same(straight, stopped)
    assert train(restless(), tmp_path / "stopped", threads=1, resume=True) == {}  # it was finished


@pytest.mark.slow
def test_what_is_drawn_depends_on_neither_workers_nor_processes() -> None:
    inline, forked = (
        DataLoader(Seeded(Restlessly(), 5), batch_sampler=Order(7, 4, 5), num_workers=workers) for workers in (0, 2)
    )
    for (a, _), (b, _) in islice(zip(inline, forked, strict=True), 5):
        assert torch.equal(a, b)
    places = [place for batch in islice(Order(7, 4, 5), 7) for place in batch]
    assert [number for _, number in places] == list(range(28))
    for turn in range(4):
        assert sorted(index for index, _ in places[turn * 7 : turn * 7 + 7]) == list(range(7))
    whole = next(iter(Order(7, 4, 5, first=3)))
    halves = [next(iter(Order(7, 2, 5, first=3, rank=rank, world=2))) for rank in range(2)]
    assert whole == halves[0] + halves[1] == places[12:16]


@pytest.mark.slow
def test_resuming_asks_for_a_checkpoint_of_the_same_networks_and_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="nothing to resume"):
        train(negative(2), tmp_path, threads=1, resume=True)
    train(negative(2), tmp_path, every=1, threads=1)
    with pytest.raises(ChainError, match="--resume"):
        train(negative(2), tmp_path, threads=1)
    with pytest.raises(ChainError, match="other networks"):
        train(restless(4), tmp_path, threads=1, resume=True)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 3, "seconds": 1}\n{"step"')  # written after the checkpoint, and cut
    train(negative(3), tmp_path, every=1, threads=1, resume=True)
    assert [line["step"] for line in log(tmp_path)] == [1, 2, 3]
    with pytest.raises(ChainError, match=r"device cuda, devices 99: torch finds"):
        train(negative(2), tmp_path / "gpu", device="cuda", devices=99)


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    recipe = negative(4)
    good = recipe.losses
    recipe.losses = lambda player, batch: {  # type: ignore[method-assign]
        name: value * (float("nan") if training_step(tmp_path) else 1) for name, value in good(player, batch).items()
    }
    with pytest.raises(GanchainError, match=r"step 2: the loss student/pixel is nan"):
        train(recipe, tmp_path, every=1, threads=1)
    assert state(tmp_path)["step"] == 1


def training_step(run: Path) -> int:
    return int((run / "state.pt").exists())


TWO_PROCESSES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.negative import negative
from ganchain.train.loop import train
recipe = negative(5)
recipe.batch = 2
train(recipe, Path(sys.argv[2]), every=5, threads=1, devices=2, precision="32-true")
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_both_their_batches(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, str(script), str(Path(__file__).parent.parent), str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    train(negative(5), tmp_path / "one", every=5, threads=1, precision="32-true")
    two, one = (state(tmp_path / name)["average"] for name in ("two", "one"))
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(negative(10), tmp_path / name, every=10, threads=1)
    a, b = (load_file(tmp_path / name / "negative.safetensors") for name in ("a", "b"))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of drawn discs: 24 faces256 with labels, 3 photos_cc0 without."""
    data = tmp_path_factory.mktemp("drawn")
    y, x = np.mgrid[0:256, 0:256]
    rows = ["file,split"]
    for folder, count in (("faces256", 24), ("photos_cc0", 3)):
        (data / folder).mkdir()
        for number in range(count):
            random = np.random.default_rng(number)
            picture = np.full((256, 256, 3), random.integers(256, size=3), np.uint8)
            for _ in range(30):
                cx, cy, radius = random.integers((0, 0, 5), (256, 256, 60))
                picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = random.integers(256, size=3)
            Image.fromarray(picture).save(data / folder / f"{number}.png")
            if folder == "faces256":
                rows.append(f"{number}.png,{'val' if number < 4 else 'test' if number < 8 else 'train'}")
    (data / "faces256" / "labels.csv").write_text("\n".join(rows) + "\n")
    return data


@pytest.mark.slow
def test_the_upscaler_beats_bicubic_on_drawn_discs(drawn: Path, tmp_path: Path) -> None:
    recipe = recipes.build("upscale", drawn, ["steps=200", "batch=4", "crop=24", "width=16", "depth=2", "rate=0.005"])
    assert isinstance(recipe, Upscale)
    figures = train(recipe, tmp_path / "run", every=200, threads=1)
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


@pytest.mark.parametrize("name", recipes.BUNDLED)
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
    fast = use_fast_depthwise(copy.deepcopy(plain))
    picture = torch.randn(2, 6, 9, 11, dtype=torch.double)
    gradients = []
    for net in (plain, fast):
        given = picture.clone().requires_grad_()
        net(given).square().sum().backward()
        gradients.append([given.grad, *(parameter.grad for parameter in net.parameters())])
    assert type(next(fast.children())) is not type(plain[0])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize("name", recipes.BUNDLED)
@pytest.mark.slow
def test_every_recipe_runs(name: str, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teacher, pairs, losses, figures, samples and export, for two steps."""
    monkeypatch.chdir(tmp_path)  # caches lie in the current folder
    torch.manual_seed(0)  # else the first weights depend on what ran before
    recipe = recipes.build(name, heads, ["steps=2", "batch=2"])
    figures = train(recipe, tmp_path / "run", every=2, threads=1)
    assert all(np.isfinite(value) for value in figures.values())
    exported = load_file(tmp_path / "run" / f"{name}.safetensors")
    bundled = manifest.tensors(name)
    assert {key: tensor.shape for key, tensor in exported.items()} == {k: t.shape for k, t in bundled.items()}
    assert len(list((tmp_path / "run").glob("sample-*.png"))) == 1
