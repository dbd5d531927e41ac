"""Adapters: a published network sees what it was trained on, and a stage's options do to it what they say."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ganchain import framing
from ganchain.chains import registry
from ganchain.checkpoints.importing import import_files
from ganchain.errors import ChainError, WeightsError
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import TEMPLATE, Framing
from ganchain.nets.stylegan2 import StyleGAN2
from ganchain.pipeline import tiles
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import WholePhoto
from ganchain.tensors import Pixels, resize, to_faces, to_pixels
from tests import layouts
from tests.test_store import chain, pin

CELEBA, FFHQ, CHIP = Framing.eyes(0.511, 0.217), Framing.eyes(0.469, 0.246), Framing.chip(0.35)
FACES = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
same = partial(torch.testing.assert_close, rtol=0, atol=1e-5)


def given_to(net: nn.Module, answer: Any = None) -> list[tuple[Tensor, ...]]:
    """What ``net`` will be called with; with ``answer`` it does not run."""
    found: list[tuple[Tensor, ...]] = []
    net.register_forward_pre_hook(lambda _, given: found.append(given))
    net.forward = answer or net.forward
    return found


def make(name: str, key: str, **options: Any) -> Any:
    stage: Any = registry.stage(name)
    return stage(weights=key, **options).resolved().eval()


def window(pixels: Pixels, where: Framing, side: int) -> Tensor:
    return Aligner(where).chip(pixels, DlibDetector()(pixels)[0], side)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, astronaut: Pixels) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    Image.fromarray(astronaut[:, ::-1].copy()).save(folder / "reference.png")
    tiny = StyleGAN2(latent=8, channels=(8, 8, 8), depth=2).state_dict()  # pictures of 16 px
    torch.save({key: torch.ones_like(value) for key, value in tiny.items()}, folder / "tiny.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANCHAIN_CACHE", str(folder))
        for name in ("beautygan", "beautygan_pytorch", "srgan", "swapping_autoencoder", "stylegan2", "animegan2"):
            import_files(getattr(layouts, name)(folder), f"my-{name}")
        import_files(layouts.stargan(folder), "both")
        import_files(layouts.stargan(folder)[:1], "generator", side=256)
        import_files([folder / "tiny.pt"], "tiny")
    return folder


@pytest.fixture
def picture(imported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reference picture, beside all networks imported."""
    monkeypatch.setenv("GANCHAIN_CACHE", str(imported))
    return imported / "reference.png"


def test_where_the_eyes_lie() -> None:
    """Their middle and distance as shares of the side; FFHQ's by the template of facexlib (px of 512), dlib's chip."""
    ffhq = ((192.98 + 318.90) / 1024, (239.95 + 240.19) / 1024, (318.90 - 192.98) / 512)
    for name, wanted in {"CELEBA": (0.5, 0.511, 0.217), "FFHQ": ffhq, "CHIP": (0.494, 0.336, 0.309)}.items():
        where = getattr(framing, name)
        a, b = (TEMPLATE[:4].reshape(2, 2, 2).mean(axis=1) - (where.left, where.top)) / where.side
        assert (*(a + b) / 2, np.hypot(*(a - b))) == pytest.approx(wanted, abs=6e-4), name


PLAIN: dict[str, Any] = {"multiple": 1, "effect": "change", "whole_photo": WholePhoto()}
PLAIN |= {"scale": 1, "scope": "face"}
DRAWN = {"effect": "replace", "whole_photo": WholePhoto(512, tiles=False)}
SEEN: dict[str, tuple[str, dict[str, Any], Framing, int, dict[str, Any]]] = {  # weights and the part that sees a face
    "both generator": ("attributes", {"hair": "black"}, CELEBA, 128, {}),
    "both discriminator": ("attributes", {"hair": "black"}, CELEBA, 128, {}),
    "generator generator": ("attributes", {"hair": "black", "gender": "male", "age": "old"}, CELEBA, 256, {}),
    "my-beautygan encode_source": ("makeup", {"reference": True}, CHIP, 256, {}),
    "my-beautygan_pytorch Branch_0": ("makeup", {"reference": True}, CHIP, 256, {}),
    "my-animegan2 block_a": ("webtoon", {}, FFHQ, 512, DRAWN),
    "my-swapping_autoencoder encoder": ("webtoon", {"style": True}, FFHQ, 256, {"effect": "replace"}),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_network_sees_the_window_it_was_trained_on(picture: Path, astronaut: Pixels, case: str) -> None:
    (key, part), (name, options, where, side, contract) = case.split(), SEEN[case]
    stage = make(name, key, **{key: picture if value is True else value for key, value in options.items()})
    assert {key: getattr(stage, key) for key in PLAIN} == PLAIN | contract
    assert (stage.side, stage.weights) == (side, (key,))
    found = given_to(stage.net.get_submodule(part))
    Pipeline([stage])(astronaut)
    assert len(found) == 1 + ("style" in options)
    same(found[-1][0], window(astronaut, where, side), atol=0.01)


# logits of a black or blond man who is old, and of a young woman with other hair
LOGITS = torch.tensor([[2.0, 3.0, -1.0, 1.0, -2.0], [-1.0, -2.0, -3.0, -1.0, 4.0]])
LABELS = {  # hair, gender, age -> black, blond, brown, male, young
    ("black", "keep", "keep"): "10010 10001",
    ("blond", "female", "keep"): "01000 01001",
    ("brown", "keep", "old"): "00110 00100",
    ("keep", "male", "keep"): "01010 00011",
    ("keep", "female", "young"): "01001 00001",
    ("keep", "keep", "keep"): "",
}


@pytest.mark.parametrize("asked", LABELS)
def test_stargan_is_told_every_label(picture: Path, asked: tuple[str, str, str]) -> None:
    stage = make("attributes", "both", hair=asked[0], gender=asked[1], age=asked[2], strength=0.25)
    net, faces = stage.net, FACES[..., :128, :128]
    made = given_to(net.generator, lambda faces, _: 0.1 - faces)
    read = given_to(net.discriminator, lambda _: (torch.ones(2, 1, 2, 2), LOGITS))
    if not LABELS[asked]:
        assert torch.equal(stage(faces), faces) and not made + read
        return
    same(stage(faces), torch.lerp(faces, 0.1 - faces, 0.25))
    assert torch.equal(made[0][0], faces) and torch.equal(read[0][0], faces)
    assert ["".join(str(int(label)) for label in labels) for labels in made[0][1]] == LABELS[asked].split()


@pytest.mark.parametrize("case", ["beautygan encode_source encode_reference", "beautygan_pytorch Branch_0 Branch_1"])
def test_beautygan(picture: Path, astronaut: Pixels, case: str) -> None:
    key, mine, other = case.split()
    stage = make("makeup", f"my-{key}", reference=picture, strength=0.25)
    net = stage.net
    given, shown = given_to(net.get_submodule(mine)), given_to(net.get_submodule(other))
    Pipeline([stage])(astronaut)
    look = window(astronaut[:, ::-1].copy(), CHIP, 256)
    same(shown[0][0], look, atol=0.01)
    faces = torch.cat([given[0][0], look.flip(2)])  # outside the inference mode in which the reference was prepared
    made = torch.cat([net.transfer(face[None], look) for face in faces])
    same(stage(faces), torch.lerp(faces, made, 0.25), atol=1e-4)


@pytest.mark.parametrize(("key", "factor"), [("my-srgan", 4), ("upscale", 4), ("upscale", 2)])
def test_upscalers(picture: Path, astronaut: Pixels, key: str, factor: int) -> None:
    photo = astronaut[60:131, 170:263].copy()  # odd sides
    stage, foreign = make("upscale", key, factor=factor, strength=0.25), key != "upscale"
    scopes = stage.scope, make("upscale", key, scope="face").scope
    assert (*scopes, stage.scale, stage.effect, stage.side) == ("photo", "face", factor, "enlarge", None)
    net, faces = stage.net, to_faces(photo)
    given = given_to(net.requires_grad_(False))
    shown = np.asarray(Pipeline([stage])(photo).image)
    same(given[0][0], torch.from_numpy(photo.transpose(2, 0, 1) / np.float32(255))[None] if foreign else faces)
    plain = resize(faces, (71 * factor, 93 * factor))
    assert np.abs(shown - to_pixels(torch.lerp(plain, net(*given[0]), 0.25))[0].astype(int)).max() <= 1
    last = net.final_conv[-1] if foreign else net.heads[str(factor)]
    last.weight.zero_()
    colour = torch.tensor([-0.5, 0.0, 0.5])
    last.bias.copy_(colour.repeat_interleave(len(last.bias) // 3))
    below = plain * 0 if foreign else F.interpolate(faces, scale_factor=float(factor), mode="bicubic")
    same(stage(faces), torch.lerp(plain, below + colour[:, None, None], 0.25))


@pytest.mark.slow
def test_animegan(picture: Path, astronaut: Pixels, landscape: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole photos in one piece; faces at the side of the imported entry."""
    wide = np.pad(astronaut, ((0, 0), (0, 388), (0, 0)), "edge")  # its face asks for twice the size
    for photo, shape in ((wide, (1, 3, 874, 1536)), (landscape, (1, 3, 300, 400))):
        stage = make("webtoon", "my-animegan2", scope="photo")
        assert {key: getattr(stage, key) for key in PLAIN} == PLAIN | DRAWN | {"scope": "photo"}
        given = given_to(stage.net, torch.neg)
        shown = np.asarray(Pipeline([stage])(photo).image)
        assert [tuple(faces.shape) for (faces,) in given] == [shape] and tiles.MAX_UNTILED == 1536
        assert np.abs(255 - shown.astype(int) - photo).mean() < 3
    path, faces = picture.parent / "celeba_distill.pt", to_faces(landscape)
    pin(monkeypatch, "animegan2-celeba-distill", path)
    for key in (import_files([path])[0], str(path)):
        stage = make("webtoon", key, strength=0.25)
        assert stage.side == stage.whole_photo.side == 256
    same(stage(faces), torch.lerp(faces, stage.net(faces), 0.25))


@pytest.mark.parametrize("keep", [0, 3, 8, None])
@pytest.mark.slow
def test_the_coarse_blocks_keep_the_photo_s_texture(picture: Path, tmp_path: Path, keep: int | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (128, 600, 3) if keep else (600, 128, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "style.png")
    stage = make("webtoon", "my-swapping_autoencoder", style=tmp_path / "style.png", keep=keep, strength=0.25)
    with torch.inference_mode():
        stage.prepare(None)
    middle, net = to_faces(pixels[-364:, -364:][:128, :128]), stage.net
    net.generator.to_rgb[0].weight.mul_(9)  # beyond -1..1
    square = F.interpolate(middle, (256, 256), mode="bilinear", align_corners=True)
    (structure, own), style = net.encode(FACES), net.encode(square)[1]
    drawn = net.decode(structure, ([own] * (5 if keep is None else keep) + [style] * 8)[:8]).clamp(-1, 1)
    same(stage(FACES), torch.lerp(FACES, drawn, 0.25))


@pytest.mark.slow
def test_made_styles(picture: Path) -> None:
    def texture(seed: int, **options: float) -> Tensor:
        stage = make("webtoon", "my-swapping_autoencoder", style_weights="my-stylegan2", seed=seed, **options)
        stage.prepare(None)
        return stage.texture

    assert torch.equal(texture(1, truncation=0), texture(2, truncation=0))
    assert torch.equal(texture(1), texture(1, truncation=0.7)) and not torch.equal(texture(1), texture(2))
    assert not torch.equal(texture(1), texture(1, truncation=1))
    stage = make("webtoon", "my-swapping_autoencoder", style_weights="tiny")
    given = given_to(stage.net.encoder)
    stage.prepare(None)
    assert given[0][0].shape == (1, 3, 256, 256) and stage.weights == ("my-swapping_autoencoder", "tiny")
    with pytest.raises(WeightsError, match=r"refuses my-swapping_autoencoder .*, tiny "):
        Pipeline([stage], license_policy="commercial")


def test_spandrel_s_options(tmp_path: Path, astronaut: Pixels) -> None:
    from tests.test_spandrel import compact, expected

    net, photo = compact(2), astronaut[:221, 90:361].copy()  # odd sides
    torch.save({"params": net.state_dict()}, tmp_path / "net.pth")
    import_files([tmp_path / "net.pth"], "mine")
    shown = np.asarray(chain(tmp_path, "upscale: {weights: mine, factor: 2, strength: 0.25}")(photo).image)
    faces = to_faces(photo)
    wanted = torch.lerp(resize(faces, (442, 542)), expected(net, faces), 0.25)
    assert np.abs(shown - to_pixels(wanted)[0].astype(int)).max() <= 1
    pipeline = chain(tmp_path, "upscale: {weights: mine, scope: face}")
    assert (pipeline.stages[0].scope, np.asarray(pipeline(photo).image).shape) == ("face", photo.shape)
    with pytest.raises(ChainError, match="factor: these weights enlarge 2 times, not 4"):
        chain(tmp_path, "upscale: {weights: mine, factor: 4}")


@pytest.mark.slow
def test_face_restoration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: Pixels) -> None:
    """A narrow GFPGAN, which takes contiguous tensors only, in a chain."""
    from tests.test_spandrel import _import_spandrel, architecture

    _import_spandrel()
    module, narrow = import_module("spandrel.architectures.GFPGAN"), {"narrow": 1 / 16, "num_style_feat": 16}
    whole = module.GFPGAN
    monkeypatch.setattr(module, "GFPGAN", lambda **sizes: whole(**sizes | narrow))
    net = architecture("GFPGAN", out_size=512)
    torch.save({"params_ema": net.state_dict()}, tmp_path / "gfpgan.pth")
    pipeline = chain(tmp_path, "upscale: {weights: gfpgan.pth, strength: 0.25}")
    stage: Any = pipeline.stages[0]
    assert {key: getattr(stage, key) for key in PLAIN} == PLAIN and stage.side == 512
    given = given_to(stage.net.net)
    assert np.asarray(pipeline(astronaut).image).shape == astronaut.shape
    face = window(astronaut, FFHQ, 512)
    same(given[0][0], face, atol=0.01)
    made = net(face.contiguous(), return_rgb=False, randomize_noise=False)[0].clamp(-1, 1)
    same(stage(face), torch.lerp(face, made, 0.25), atol=1e-4)
