"""The papers' recipes: their losses by hand, and each of them learning from a few drawn pictures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from math import exp, log
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage.exposure import match_histograms
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, PhotoError, WeightsError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import TIGHT
from ganchain.nets.age_gender import AgeGender
from ganchain.nets.beautygan import GeneratorBranch
from ganchain.nets.srgan import SRResNet
from ganchain.nets.stargan import StarGAN as StarGANNet
from ganchain.tensors import Pixels, to_faces
from ganchain.train.papers import Paper, half_then_linear, losses, picture
from ganchain.train.papers.beautygan import BeautyGAN
from ganchain.train.papers.cyclegan import CycleGAN, generator
from ganchain.train.papers.features import DEVIATION, MEAN, VGG, FaceFeatures, perceptual_features
from ganchain.train.papers.gan import GAN, Maxout
from ganchain.train.papers.srgan import SRGAN, discriminator
from ganchain.train.papers.srresnet import SRResNetMSE, unfreeze_norm
from ganchain.train.papers.stargan import StarGAN
from ganchain.train.papers.unpaired import History, patch_gan
from ganchain.train.training import Training

FOLDERS = ("A", "B", "makeup", "non-makeup", "labelled", "photos", "colours")
COLOUR = np.array([200, 120, 60])  # around which those of colours/ lie


def draw(folder: str, random: np.random.Generator) -> Pixels:
    """A (48, 48, 3) picture of the kind that ``folder`` is for."""
    if folder == "colours":
        return np.tile((COLOUR + random.normal(0, 12, 3)).clip(0, 255).astype(np.uint8), (48, 48, 1))
    y, x = np.mgrid[0:48, 0:48]
    background = {"A": (40, 60, 200), "B": (220, 160, 40)}.get(folder, random.integers(40, 220, 3))
    picture = np.full((48, 48, 3), background, np.uint8)
    for _ in range(6):
        cx, cy, radius = random.integers((0, 0, 3), (48, 48, 14))
        picture[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = random.integers(256, size=3)
    return picture


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures in each folder, two of them held out; 36 colours."""
    root = tmp_path_factory.mktemp("papers")
    for folder in FOLDERS:
        random, rows, tones = np.random.default_rng(len(folder)), ["file,split,round,tone"], ("warm", "cold")
        (root / folder).mkdir()
        for number in range(36 if folder == "colours" else 6):
            Image.fromarray(draw(folder, random)).save(root / folder / f"{number}.png")
            rows.append(f"{number}.png,{'val' if number < 2 else 'train'},{number % 2},{tones[number // 3 % 2]}")
        (root / folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


class Thirds(nn.Module):
    """In the place of the drawn regions: lips in the lower, lids in the upper part, skin everywhere."""

    def forward(self, faces: Tensor) -> Tensor:
        maps = faces.new_zeros((len(faces), 6, *faces.shape[2:]))
        maps[:, 0, -10:, 8:-8], maps[:, 1, 4:12], maps[:, 5] = 1, 1, 1
        return maps


def gan(data: Path) -> Paper:
    return GAN(data / "colours", batch=32, rate=2e-3, side=2, noise=8, width=32, judges=16)


def cyclegan(data: Path) -> Paper:
    return CycleGAN(data, batch=2, rate=2e-3, side=32, width=8, judges=8, blocks=1, history=4)


def stargan(data: Path) -> Paper:
    labels = ("round", "tone=warm")
    return StarGAN(
        data / "labelled", batch=4, rate=2e-3, labels=labels, side=32, width=8, repeats=1, depth=3, critics=2
    )


def beautygan(data: Path, adversarial: float = 1) -> Paper:
    recipe = BeautyGAN(
        data,
        batch=2,
        rate=5e-3,
        side=32,
        width=8,
        repeats=1,
        judges=8,
        adversarial=adversarial,
        lips=3,
        lids=3,
        face=0.3,
    )
    recipe.frozen = {**recipe.frozen, "regions": Thirds()}
    return recipe


def alone(data: Path) -> Paper:
    """Without its adversaries, whose game takes another course with another rounding."""
    return beautygan(data, adversarial=0)


def srresnet(data: Path) -> Paper:
    return SRResNetMSE(data / "photos", batch=4, rate=2e-3, crop=32, width=8, blocks=1, wide=8)


def srgan(data: Path) -> Paper:
    return SRGAN(data / "photos", batch=4, rate=2e-3, crop=32, width=8, blocks=1, wide=8, judges=4, dense=16)


Make = Callable[[Path], Paper]

RECIPES = (gan, cyclegan, stargan, beautygan, srresnet, srgan)
ADVERSARIES = (gan, cyclegan, stargan, beautygan, srgan)


def named(make: Any) -> str:
    return make.__name__


def begun(make: Make, data: Path, precision: Literal["32-true", "bf16-mixed"] = "32-true") -> tuple[Training, Any]:
    """The recipe at the real loop's first step, and one batch."""
    torch.manual_seed(0)
    recipe = make(data)
    training = Training(recipe, Fabric(accelerator="cpu", devices=1, precision=precision), seed=0)
    return training, next(iter(DataLoader(recipe.dataset("train"), recipe.batch)))


def played(training: Training, batch: Any, steps: int, only: str | None = None) -> list[dict[str, float]]:
    """The loss terms of ``steps`` steps, in which nobody but ``only`` learns."""
    recipe = training.recipe
    turns, recipe.turns = recipe.turns, {p: 10**9 for p in recipe.networks if p != only} if only else recipe.turns
    rows = [{name: float(value) for name, value in training.advance(batch).items()} for _ in range(steps)]
    recipe.turns = turns
    return rows


def mean(rows: list[dict[str, float]], name: str) -> float:
    found = [row[name] for row in rows if name in row]
    return sum(found) / len(found)


# --- the recipes


@pytest.mark.parametrize("make", RECIPES, ids=named)
@pytest.mark.slow
def test_all_parameters_move_and_all_terms_are_finite(make: Make, data: Path) -> None:
    training, batch = begun(make, data)
    networks, rows = training.recipe.networks, list[dict[str, float]]()
    before = copy.deepcopy({player: net.state_dict() for player, net in networks.items()})
    moved = {f"{player}: {name}": 0.0 for player, net in networks.items() for name, _ in net.named_parameters()}
    for _ in range(4):
        rows += played(training, batch, 1)
        for player, net in networks.items():
            for name, parameter in net.named_parameters():
                change = float((parameter.detach() - before[player][name]).abs().max())
                moved[f"{player}: {name}"] = max(change, moved[f"{player}: {name}"])
    still = {name: change for name, change in moved.items() if change < 0.5 * training.recipe.rate}
    still.pop("generator: body.0.block.6.bias", None)  # SRResNet's next normalisation takes it away again
    assert not still
    assert all(np.isfinite(value) for row in rows for value in row.values())


@pytest.mark.parametrize("make", RECIPES, ids=named)
@pytest.mark.slow
def test_half_the_precision_is_enough(make: Make, data: Path) -> None:
    full, half = (played(*begun(make, data, precision), 1)[0] for precision in ("32-true", "bf16-mixed"))
    for name, value in full.items():
        assert half[name] == pytest.approx(value, rel=0.15, abs=0.02), name


@pytest.mark.parametrize("make", RECIPES, ids=named)
@pytest.mark.slow
def test_a_player_changes_nobody_else(make: Make, data: Path) -> None:
    training, batch = begun(make, data)
    played(training, batch, 2)
    recipe = training.recipe
    everyone = {**recipe.networks, **recipe.frozen}
    for player in recipe.networks:
        before = copy.deepcopy({name: net.state_dict() for name, net in everyone.items()})
        played(training, batch, 2, only=player)
        for name, net in everyone.items():
            same = [torch.equal(value, before[name][key]) for key, value in net.state_dict().items()]
            assert all(same) == (name != player), f"{player} played, and {name} is {'the same' if all(same) else 'not'}"


@pytest.mark.parametrize("make", ADVERSARIES, ids=named)
@pytest.mark.slow
def test_the_adversaries_answer_each_other(make: Make, data: Path) -> None:
    """Alone, the discriminator learns to tell; then, alone, the generator learns to be taken for real."""
    training, batch = begun(make, data)
    first, second = training.recipe.networks

    def adversarial(player: str) -> float:
        terms = training.recipe.losses(player, batch)
        skip = ("cycle", "identity", "reconstruction", "classification", "penalty", "perceptual", "content")
        return sum(float(term.detach()) for name, term in terms.items() if name not in (*skip, "lips", "lids", "face"))

    start = adversarial(first), adversarial(second)
    played(training, batch, 25, only=second)
    told = adversarial(first), adversarial(second)
    assert told[1] < start[1] - 0.1 * abs(start[1]), (start, told)
    played(training, batch, 25, only=first)
    won = adversarial(first), adversarial(second)
    assert won[0] < told[0] - 0.1 * abs(told[0]) and won[1] > told[1] + 0.1 * abs(told[1]), (told, won)


@pytest.mark.parametrize(
    ("make", "steps", "terms"),
    [
        (cyclegan, 50, {"generators/cycle": 0.5, "generators/identity": 0.5}),
        (stargan, 200, {"generator/reconstruction": 0.5, "discriminator/classification": 0.5}),
        (alone, 60, {"generator/cycle": 0.5, "generator/lips": 0.3, "generator/lids": 0.3, "generator/face": 0.4}),
        (srresnet, 60, {"generator/mse": 0.3}),
        (srgan, 60, {"generator/content": 0.3}),
    ],
)
@pytest.mark.slow
def test_a_few_pictures_are_learned_by_heart(make: Make, steps: int, terms: Mapping[str, float], data: Path) -> None:
    training, batch = begun(make, data)
    rows = played(training, batch, steps)
    for name, left in terms.items():
        assert mean(rows[-6:], name) < left * mean(rows[:3], name), (name, mean(rows[:3], name), mean(rows[-6:], name))


@pytest.mark.slow
def test_the_gan_learns_colours_and_how_they_vary(data: Path) -> None:
    training, batch = begun(gan, data)
    recipe = training.recipe
    with torch.no_grad():
        before = recipe.figures(batch)
    played(training, batch, 700)
    with torch.no_grad():
        figures, made = recipe.figures(batch), recipe.sample(batch)
    assert before["error of means"] > 0.35
    assert figures["error of means"] < 0.13 and figures["error of deviations"] < 0.1
    assert torch.allclose(made.mean((0, 2, 3)), torch.from_numpy(COLOUR / 127.5 - 1).float(), atol=0.2)


@pytest.mark.parametrize("make", RECIPES, ids=named)
def test_figures_and_samples(make: Make, data: Path) -> None:
    training, _ = begun(make, data)
    held_out = list(DataLoader(training.recipe.dataset("val"), training.recipe.batch))
    figures, sheet = training.evaluate(held_out)
    again, same = training.evaluate(held_out)
    assert "score" in figures and all(np.isfinite(value) for value in figures.values())
    assert figures == again and (sheet == same).all()
    columns = training.recipe.columns
    assert sheet.ndim == 3 and sheet.shape[1] % columns == 0


@pytest.mark.parametrize("make", [cyclegan, srgan], ids=named)
@pytest.mark.slow
def test_a_checkpoint_holds_all_that_matters(make: Make, data: Path, tmp_path: Path) -> None:
    """The history of made pictures and batch statistics included."""
    straight, batch = begun(make, data)
    played(straight, batch, 4)
    straight.save(tmp_path)
    resumed, _ = begun(make, data)
    resumed.restore(tmp_path / "state.pt")
    assert played(straight, batch, 2) == played(resumed, batch, 2)


@pytest.mark.slow
def test_what_is_exported_loads_as_the_stages_networks(data: Path, tmp_path: Path) -> None:
    for make, network in ((stargan, StarGANNet), (beautygan, GeneratorBranch), (srresnet, SRResNet), (srgan, SRResNet)):
        training, batch = begun(make, data)
        played(training, batch, 1)
        training.save(tmp_path)
        flat = {k: t.float() for k, t in load_file(tmp_path / f"{training.recipe.key}.safetensors").items()}
        found = network.recognise(flat)
        assert found is not None and found
        network.from_tensors(found)


# --- who is shown what: the terms of networks simple enough to follow by hand


class Does(nn.Module):
    """A network without parameters."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor, **options: bool) -> Any:
        return self.function(*inputs)


def flat(*values: float) -> Tensor:
    """Faces (N, 3, 8, 8) of one value each."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 8, 8)


def numbers(terms: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: round(float(term.detach()), 4) for name, term in terms.items()}


def test_cyclegan_by_hand() -> None:
    recipe = CycleGAN(Path(), side=8, width=2, judges=2, blocks=1)
    recipe.networks["generators"] = Does(lambda a, b: (a + 0.5, b - 0.25))
    recipe.networks["discriminators"] = Does(lambda a, b: (a, 2 * b))
    batch = flat(0.0), flat(0.6)  # made a: 0.35, made b: 0.5
    adversarial = {"adversarial a": 0.65**2, "adversarial b": 0.0}
    cycle, identity = 10 * (0.25 + 0.25), 5 * (0.5 + 0.25)
    wanted = {**adversarial, "cycle": cycle, "identity": identity}
    assert numbers(recipe.losses("generators", batch)) == pytest.approx(wanted, abs=1e-4)
    wanted = {"a": (1 + 0.35**2) / 2, "b": (0.2**2 + 1) / 2}
    assert numbers(recipe.losses("discriminators", batch)) == pytest.approx(wanted, abs=1e-4)


def test_beautygan_by_hand() -> None:
    recipe = BeautyGAN(Path(), side=8, width=2, repeats=1, judges=2)
    recipe.networks["generator"] = Does(lambda x, y: (x + 0.1, 0.5 * y))
    recipe.networks["discriminators"] = Does(lambda bare, made_up: (bare, 3 * made_up))
    everywhere = Does(lambda faces: torch.ones(len(faces), 6, 8, 8))
    recipe.frozen = {"features": Does(lambda faces: 10 * faces), "regions": everywhere}
    batch = flat(0.0), flat(0.8)  # made: 0.1, bared: 0.4; again: reference 0.5, source 0.05
    makeup = (0.1 - 0.8) ** 2 + (0.4 - 0.0) ** 2
    wanted = {
        "adversarial": 0.6**2 + 0.7**2,
        "cycle": 10 * (0.3 + 0.05),
        "perceptual": 0.005 * (1 + 16),
        "lips": makeup,
        "lids": makeup,
        "face": 0.1 * makeup,
    }
    assert numbers(recipe.losses("generator", batch)) == pytest.approx(wanted, abs=1e-4)
    wanted = {"bare": (1 + 0.4**2) / 2, "made-up": ((2.4 - 1) ** 2 + 0.3**2) / 2}
    assert numbers(recipe.losses("discriminators", batch)) == pytest.approx(wanted, abs=1e-4)


def test_stargan_by_hand() -> None:
    recipe = StarGAN(Path(), labels=("one",), side=8, width=2, repeats=1, depth=1)
    recipe.networks["generator"] = Does(lambda faces, labels: faces + 0.5 * labels[:, :, None, None] - 0.2)
    recipe.networks["discriminator"] = Does(lambda faces: (2 * faces, 20 * faces[:, 0, :1, 0]))
    batch = flat(0.0, 0.4), torch.tensor([[0.0], [1.0]])
    seed = next(s for s in range(9) if torch.randperm(2, generator=torch.Generator().manual_seed(s)).tolist() == [1, 0])
    torch.manual_seed(seed)  # made: 0.3, 0.2; back: 0.1, 0.5
    found = numbers(recipe.losses("generator", batch))
    classification = (log(1 + exp(-6)) + log(1 + exp(4))) / 2
    wanted = {"adversarial": -0.5, "classification": classification, "reconstruction": 10 * 0.1}
    assert found == pytest.approx(wanted, abs=1e-4)
    torch.manual_seed(seed)
    found = numbers(recipe.losses("discriminator", batch))
    penalty = 10 * (2 * 192**0.5 - 1) ** 2
    wanted = {"adversarial": 0.5 - 0.4, "classification": (log(2) + log(1 + exp(-8))) / 2, "penalty": penalty}
    assert found == pytest.approx(wanted, abs=1e-3)


# --- one by one


def test_defaults_of_the_papers(data: Path) -> None:
    def weights(net: nn.Module) -> int:
        return sum(parameter.numel() for parameter in net.parameters())

    assert weights(generator(64, 9)) == 11_378_179 - 5_248  # the well-known count, less biases before normalisations
    assert weights(patch_gan(64)) == 2_764_737 - 896
    net = discriminator(96, 64, 1024)
    shapes = [tuple(m.weight.shape) for m in net if isinstance(m, nn.Conv2d)]
    assert [shape[0] for shape in shapes] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [m.stride[0] for m in net if isinstance(m, nn.Conv2d)] == [1, 2] * 4
    assert [tuple(m.weight.shape) for m in net if isinstance(m, nn.Linear)] == [(1024, 512 * 36), (1, 1024)]
    assert [half_then_linear(step, 100) for step in (1, 50, 75, 100)] == [1, 1, 0.5, 0]
    recipe = SRGAN(data / "photos", width=8, blocks=1, wide=8, judges=4, dense=16)
    assert [recipe.schedule(step) for step in (1, 100_000, 100_001, 200_000)] == [1, 1, 0.1, 0.1]
    assert stargan(data).turns == {"generator": 2}


def test_a_patch_is_70_pixels_wide() -> None:
    net = nn.Sequential(*(m for m in patch_gan(2) if not isinstance(m, nn.InstanceNorm2d)))
    x = torch.zeros(1, 3, 256, 256, requires_grad=True)
    realness = net(x)
    assert realness.shape == (1, 1, 30, 30)
    (slope,) = torch.autograd.grad(realness[0, 0, 15, 15], x)
    assert [len(slope[0].abs().sum((0, axis)).nonzero()) for axis in (1, 2)] == [70, 70]


def test_the_history_shows_pictures_again() -> None:
    torch.manual_seed(0)
    history = History(4, 1)
    numbers = torch.arange(1.0, 105).reshape(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    assert torch.equal(history(numbers[:4]), numbers[:4])
    shown = torch.cat([history(numbers[i : i + 1]) for i in range(4, 104)])[:, 0, 0, 0]
    fresh = shown == numbers[4:, 0, 0, 0]
    assert 35 < fresh.sum() < 65
    assert (shown[~fresh] < numbers[4:, 0, 0, 0][~fresh]).all()
    assert len(shown[~fresh].unique()) == (~fresh).sum(), "what was shown again is kept no longer"
    assert torch.equal(History(0, 1)(numbers), numbers)


def test_maxout_takes_the_largest() -> None:
    net = Maxout(3, 2)
    x = torch.randn(4, 3)
    pieces = x @ net.weight.T + net.bias
    assert torch.allclose(net(x), torch.stack([pieces[:, :5].amax(1), pieces[:, 5:].amax(1)], dim=1))


def test_stargan_reads_celeba_and_tables(data: Path, tmp_path: Path) -> None:
    (tmp_path / "img_align_celeba").mkdir()
    names, rows = ("Young", "Male"), ["000001.jpg -1  1", "000002.jpg  1 -1", "000003.jpg  1  1"]
    for row in rows:
        Image.new("RGB", (178, 218)).save(tmp_path / "img_align_celeba" / row.split()[0])
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["3", " ".join(names), *rows]) + "\n")
    recipe = StarGAN(tmp_path, labels=("Male", "Young"), side=64, width=4, repeats=1)
    sets = [recipe.dataset(split) for split in ("train", "val", "test")]
    found = {tuple(part[i][1].tolist()) for part in sets for i in range(len(part))}  # type: ignore[arg-type]
    assert found == {(1, 0), (0, 1), (1, 1)}
    assert sets[0][0][0].shape == (3, 64, 64)
    table = stargan(data).dataset("train")
    assert [table[i][1].tolist() for i in range(4)] == [[0, 1], [1, 0], [0, 0], [1, 0]]
    with pytest.raises(ChainError, match="did you mean 'round'"):
        StarGAN(data / "labelled", labels=("rounds",), side=32, width=4, repeats=1, depth=3).dataset("train")


@pytest.mark.slow
def test_beautygan_finds_the_regions_of_a_face(astronaut: Pixels) -> None:
    face = Aligner(TIGHT).chip(astronaut, DlibDetector()(astronaut)[0], 256)
    recipe = BeautyGAN(Path(), width=4, repeats=1, judges=4)
    shares = {name: float(where.float().mean()) for name, where in recipe.items(face).items()}
    assert 0.005 < shares["lips"] < 0.08 and 0.002 < shares["lids"] < 0.08 and 0.2 < shares["face"] < 0.8
    rows = {name: float(where[0].nonzero()[:, 0].float().mean()) for name, where in recipe.items(face).items()}
    assert rows["lids"] + 60 < rows["face"] + 40 < rows["lips"]
    redder = face.clone()
    redder[:, 0] += 0.3 * recipe.items(face)["lips"]
    terms = recipe.makeup_terms((face, redder), (face, redder))
    assert terms["lips"] > 0.03 and terms["lids"] < 1e-3
    assert all(float(term) < 1e-9 for term in recipe.makeup_terms((face, face), (face, face)).values())
    with torch.no_grad():
        assert recipe.figures((face, redder))["regions found"] == 1
        assert recipe.figures((face, face * 0))["regions found"] < 1


def test_normalisation_learns_as_batches_and_serves_as_stored() -> None:
    torch.manual_seed(0)
    small, net = torch.rand(4, 3, 8, 8), unfreeze_norm(SRResNet(4, 1, 4))
    with torch.no_grad():
        net(small)
    assert all(float(value.sum()) == 0 for name, value in net.state_dict().items() if name.endswith("running_mean"))
    for _ in range(3):
        net(small)
    assert all(float(value.abs().sum()) > 0 for name, value in net.state_dict().items() if name.endswith("mean"))
    stored = SRResNet.from_tensors(net.state_dict())
    with torch.no_grad():
        assert not torch.allclose(net(small), stored(small), atol=1e-4)
        assert torch.equal(net.eval()(small), stored(small))


@pytest.mark.slow
def test_srgan_starts_where_srresnet_ended(data: Path, tmp_path: Path) -> None:
    training, batch = begun(srresnet, data)
    played(training, batch, 3)
    training.save(tmp_path)
    start = tmp_path / "srresnet.safetensors"
    recipe = SRGAN(data / "photos", start=start, crop=32, judges=4, dense=16)
    for name, value in recipe.networks["generator"].state_dict().items():
        assert torch.equal(value, load_file(start)[name].float())
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, other)
    with pytest.raises(WeightsError, match="no SRResNet"):
        SRGAN(data / "photos", start=other)
    with pytest.raises(PhotoError, match="no photo of 96 px"):
        SRGAN(data / "photos", start=start).dataset("train")


def test_pictures_are_reduced_and_cut(tmp_path: Path) -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 50:] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    middle = picture(tmp_path / "wide.png", 20, 20, fixed=True)
    assert middle.shape == (3, 20, 20)
    assert middle[:, :, :13].max() < -0.9 and middle[:, :, 17:].min() > 0.9
    torch.manual_seed(0)
    mirrored = [picture(tmp_path / "wide.png", 20, 20, fixed=False) for _ in range(8)]
    assert all(torch.equal(cut, middle) or torch.equal(cut, middle.flip(2)) for cut in mirrored)
    assert any(torch.equal(cut, middle.flip(2)) for cut in mirrored)
    cuts = [picture(tmp_path / "wide.png", 24, 20, fixed=False) for _ in range(20)]
    assert any(cut[0, 0, 0] > cut[0, 0, -1] for cut in cuts) and any(cut[0, 0, 0] < cut[0, 0, -1] for cut in cuts)


# --- features


def vgg_tensors(plan: list[int], width: int = 2) -> dict[str, Tensor]:
    """torchvision's names for a narrow VGG with ``plan`` convolutions a block."""
    random, flat, index, inputs = torch.Generator().manual_seed(0), dict[str, Tensor](), 0, 3
    for block, count in enumerate(plan):
        for _ in range(count):
            flat[f"features.{index}.weight"] = torch.randn(width + block, inputs, 3, 3, generator=random) / 3
            flat[f"features.{index}.bias"] = torch.randn(width + block, generator=random)
            index, inputs = index + 2, width + block
        index += 1
    return flat


def test_vgg_is_read_from_torchvisions_file(tmp_path: Path) -> None:
    flat = vgg_tensors([2, 2, 4, 4, 4])
    assert "features.34.weight" in flat and "features.36.weight" not in flat
    torch.save({**flat, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg19.pth")
    net = perceptual_features(tmp_path / "vgg19.pth", 3, 2)
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    x = ((pictures + 1) / 2 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
    for index in (0, 2, 5, 7, 10, 12):
        x = nn.functional.max_pool2d(x, 2) if index in (5, 10) else x
        x = nn.functional.conv2d(x, flat[f"features.{index}.weight"], flat[f"features.{index}.bias"], padding=1).relu()
    assert torch.allclose(net(pictures), x, atol=1e-5)
    assert VGG.from_tensors(flat, 5, 4)(pictures).shape == (2, 6, 2, 2)
    sixteen = vgg_tensors([2, 2, 3, 3, 3])
    assert VGG.from_tensors(sixteen, 4, 1)(pictures).shape == (2, 5, 4, 4)
    with pytest.raises(WeightsError, match="relu5_4"):
        VGG.from_tensors(sixteen, 5, 4)
    with pytest.raises(WeightsError, match="without batch normalisation"):
        VGG.from_tensors({"features.0.weight": torch.zeros(4, 3, 3, 3), "features.3.weight": torch.zeros(4)}, 1, 1)
    with pytest.raises(WeightsError, match="no VGG"):
        VGG.from_tensors({"stem.weight": torch.zeros(1)}, 1, 1)
    with pytest.raises(WeightsError, match="make no VGG"):
        VGG.from_tensors({"features.0.weight": torch.zeros(4, 3, 3, 3)}, 1, 1)


def test_our_own_features_are_frozen_and_see_a_blur(astronaut: Pixels) -> None:
    net = perceptual_features(None, 5, 4)
    assert isinstance(net, FaceFeatures)
    assert not net.training and not any(parameter.requires_grad for parameter in net.parameters())
    face = to_faces(astronaut[20:212, 120:312])
    assert net(face).shape == (1, 72, 24, 24)
    judge = AgeGender.from_tensors(manifest.load("age-gender").tensors).eval()
    assert torch.equal(net(face), judge.features(face) / 2)
    blurred = nn.functional.avg_pool2d(face, 5, 1, 2, count_include_pad=False)
    assert losses.perceptual(net(face), net(blurred)) > losses.content_mse(face, blurred)


# --- the losses by hand


def test_adversarial_losses_by_hand() -> None:
    real, fake = torch.tensor([[0.0], [2.0]]), torch.tensor([[-1.0], [1.0]])
    d = [1 / (1 + exp(-x)) for x in (0, 2, -1, 1)]
    wanted = -(log(d[0]) + log(d[1])) / 2 - (log(1 - d[2]) + log(1 - d[3])) / 2
    assert losses.minimax_discriminator(real, fake).item() == pytest.approx(wanted)
    assert losses.minimax_discriminator(real * 0, fake * 0).item() == pytest.approx(2 * log(2))
    assert losses.non_saturating(fake).item() == pytest.approx(-(log(d[2]) + log(d[3])) / 2)
    assert losses.least_squares_discriminator(real, fake).item() == pytest.approx(((1 + 1) / 2 + (1 + 1) / 2) / 2)
    assert losses.least_squares_generator(fake).item() == pytest.approx((4 + 0) / 2)
    assert losses.wasserstein_critic(real, fake).item() == pytest.approx(0 - 1)
    assert losses.wasserstein_generator(fake + 3).item() == pytest.approx(-3)


def test_pixel_losses_by_hand() -> None:
    a, b = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.5, -1.0]]]])
    for distance in (losses.reconstruction, losses.cycle_consistency, losses.identity_mapping):
        assert distance(a, b).item() == pytest.approx(1.25)
    for squared in (losses.content_mse, losses.content_vgg, losses.perceptual):
        assert squared(a, b).item() == pytest.approx((0.25 + 4) / 2)
    logits, labels = torch.tensor([[0.0, 2.0], [-1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    wanted = log(2) - log(1 - 1 / (1 + exp(-2))) - log(1 - 1 / (1 + exp(1))) - log(1 / (1 + exp(-1)))
    assert losses.domain_classification(logits, labels).item() == pytest.approx(wanted / 2)


def test_gradient_penalty_by_hand() -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4, 3, 5, 5).unbind(0)
    weight = torch.randn(2, 3, 5, 5, requires_grad=True)

    def linear(x: Tensor) -> Tensor:
        return (x[:, None] * weight).sum((2, 3, 4))  # two patches

    size = weight.sum(0).norm()
    penalty = losses.gradient_penalty(linear, real, fake)
    assert penalty.item() == pytest.approx(((size - 1) ** 2).item(), rel=1e-5)
    (slope,) = torch.autograd.grad(penalty, weight)
    wanted = 2 * (size - 1) * weight.sum(0) / size
    assert torch.allclose(slope, wanted.expand(2, -1, -1, -1), rtol=1e-4)

    seen: list[Tensor] = []

    def square(x: Tensor) -> Tensor:  # its slope is x itself
        seen.append(x)
        return x.square().sum((1, 2, 3)) / 2

    near, far = torch.ones(64, 1, 1, 1), torch.full((64, 1, 1, 1), 3.0)
    penalty = losses.gradient_penalty(square, near, far)
    assert seen[0].min() > 1 and seen[0].max() < 3 and seen[0].std() > 0.3
    assert penalty.item() == pytest.approx((seen[0] - 1).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(("n", "m", "whole"), [(50, 50, False), (40, 93, False), (93, 40, False), (300, 200, True)])
def test_histogram_matching(n: int, m: int, whole: bool) -> None:
    random = np.random.default_rng(n + m)
    source, reference = random.normal(0, 1, n).astype(np.float32), random.normal(2, 3, m).astype(np.float32)
    if whole:  # so that many values are the same
        source, reference = (source * 4).round(), (reference * 4).round()
    matched = losses.histogram_matching(torch.from_numpy(source), torch.from_numpy(reference)).numpy()
    assert matched == pytest.approx(match_histograms(source[:, None], reference[:, None])[:, 0], abs=1e-5)
    if n == m:
        assert (np.sort(matched) == np.sort(reference)).all()
        assert (matched.argsort() == source.argsort()).all()
    assert matched.max() == reference.max()


def test_the_makeup_loss_by_hand() -> None:
    made, worn = (
        torch.tensor([0.0, 0.2, 0.9, -1.0]).repeat(1, 3, 1, 1),
        torch.tensor([0.5, 0.1, -1, 1]).repeat(1, 3, 1, 1),
    )
    own, theirs = torch.tensor([[[True, True, False, False]]]), torch.tensor([[[True, True, False, False]]])
    loss = losses.makeup(made.requires_grad_(), worn, own, theirs)  # 0 -> 0.1, 0.2 -> 0.5
    assert loss.item() == pytest.approx((0.01 + 0.09) / 2)
    (slope,) = torch.autograd.grad(loss, made)
    assert torch.allclose(slope[0, 0], torch.tensor([[-0.1, -0.3, 0, 0]]) / 3)
    assert losses.makeup(made, worn, own, ~theirs & False).item() == 0
    twice = [torch.cat([part, part]) for part in (made, worn, own, theirs)]
    assert losses.makeup(twice[0], twice[1], twice[2], twice[3]).item() == pytest.approx(loss.item())
    matched = losses.histogram_matching(made[0, 0, own[0]], worn[0, 0, theirs[0]])
    assert torch.equal(matched, torch.tensor([0.1, 0.5]))
