"""Super-resolution and face restoration through spandrel, on small networks with made-up weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.checkpoints import foreign
from ganchain.checkpoints.importing import import_files
from ganchain.errors import WeightsError
from ganchain.nets import spandrel as network
from ganchain.nets.spandrel import SpandrelModel, _import_spandrel
from ganchain.nets.upscaler import Upscaler
from ganchain.photos.photo import Photo
from ganchain.pipeline import apply
from ganchain.published.spandrel import FFHQ, Spandrel
from ganchain.stages.upscale import Upscale
from ganchain.tensors import Pixels, resize, to_faces

ANCHORS = Path(__file__).parents[2] / "shared" / "anchors"

if find_spec("spandrel") is None:
    pytest.skip("needs ganchain[spandrel]", allow_module_level=True)


def architecture(name: str, gain: float = 0.5, **sizes: Any) -> nn.Module:
    """A network of spandrel's with small weights that are the same on every machine."""
    _import_spandrel()
    net: nn.Module = getattr(import_module(f"spandrel.architectures.{name}"), name)(**sizes)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.copy_(gain / parameter[0].numel() ** 0.5 * noise)
        else:
            parameter.add_(0.02 * noise)
    return net.eval()


def compact(upscale: int, channels: int = 3) -> nn.Module:
    sizes = {"num_in_ch": channels, "num_out_ch": channels}
    return architecture("Compact", num_feat=8, num_conv=2, upscale=upscale, **sizes)


def esrgan(**sizes: Any) -> nn.Module:
    net = architecture("ESRGAN", gain=1.5, num_filters=32, num_blocks=2, plus=False, **sizes)
    list(net.parameters())[-1].fill_(0.5)
    return net


def restoreformer() -> nn.Module:
    sizes: dict[str, Any] = {"n_embed": 8, "embed_dim": 32, "z_channels": 32, "ch": 32, "num_res_blocks": 1}
    return architecture("RestoreFormer", ch_mult=(1,) * 6, **sizes)


def published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An ESRGAN's state dict under the keys of Real-ESRGAN's published files, x4."""
    names = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}
    found = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[1] != "1":
            key = f"{names[parts[1]]}.{parts[-1]}"
        elif parts[4].startswith("RDB"):
            key = f"body.{parts[3]}.{parts[4].lower()}.{parts[5]}.{parts[-1]}"
        else:
            key = f"conv_body.{parts[-1]}"
        found[key] = tensor
    return found


def imported(tree: Mapping[str, Any], folder: Path, **how: Any) -> dict[str, Tensor]:
    """``tree`` saved as a torch file, read and recognised."""
    torch.save(tree, folder / "net.pth", **how)
    (flat,) = foreign.read(folder / "net.pth").values()
    tensors = SpandrelModel.recognise(flat)
    assert tensors is not None
    return tensors


def expected(net: nn.Module, faces: Tensor) -> Tensor:
    """The architecture's own answer, brought to -1..1."""
    answer: Tensor = net((faces + 1) / 2)
    return answer.clamp(0, 1) * 2 - 1


@pytest.fixture
def faces(astronaut: Pixels) -> Tensor:
    """(1, 3, 37, 53): an odd crop of a face, contiguous as the networks get it."""
    return to_faces(astronaut[60:208:4, 170:382:4].copy()).contiguous()


@pytest.mark.parametrize(
    ("net", "wrap", "scale"),
    [
        (lambda: esrgan(scale=4), lambda state: {"params_ema": published(state), "params": {}}, 4),
        (lambda: esrgan(scale=4), lambda state: state, 4),
        (lambda: esrgan(scale=4), lambda state: {"state_dict": state}, 4),
        (lambda: compact(4), lambda state: {"params": state}, 4),
        (lambda: compact(2), lambda state: {"model": {f"module.{key}": value for key, value in state.items()}}, 2),
        (lambda: compact(1), lambda state: {"params": state, "iter": 7}, 1),
    ],
    ids=["published x4plus", "first ESRGAN", "in a state_dict", "general-x4v3", "DataParallel", "restoration"],
)
@pytest.mark.slow
def test_answers_as_the_architecture(
    net: Callable[[], nn.Module],
    wrap: Callable[[Mapping[str, Tensor]], Mapping[str, Any]],
    scale: int,
    faces: Tensor,
    tmp_path: Path,
) -> None:
    original = net()
    tensors = imported(wrap(original.state_dict()), tmp_path)
    again = SpandrelModel.recognise(tensors)
    assert again is not None and list(again) == list(tensors)
    stage = Spandrel(tensors, scope="face")
    wanted = expected(original, faces)
    assert (stage(faces) - wanted).abs().max() <= 1e-6
    assert wanted.shape[2:] == (37 * scale, 53 * scale) and wanted.std() > 0.1
    assert (stage.scale, stage.effect, stage.side, stage.scope) == (
        scale,
        "enlarge" if scale > 1 else "change",
        None,
        "face",
    )


def test_wrappers_are_taken_in_the_order_of_the_field(tmp_path: Path) -> None:
    average, last = compact(2).state_dict(), compact(4).state_dict()
    tensors = imported({"params": last, "params_ema": average}, tmp_path, _use_new_zipfile_serialization=False)
    assert SpandrelModel.from_tensors(tensors).scale == 2


def test_half_precision_is_stored_as_float32() -> None:
    tensors = SpandrelModel.recognise({key: value.half() for key, value in compact(2).state_dict().items()})
    assert tensors is not None and {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_sizes_a_network_cannot_take_are_padded_and_cropped(faces: Tensor) -> None:
    net = esrgan(in_nc=12, scale=4, shuffle_factor=2)  # as RealESRGAN_x2plus
    stage = Spandrel(net.state_dict())
    assert (stage.scale, stage.multiple) == (2, 4)
    assert stage(faces).shape == (1, 3, 74, 106)
    padded = F.pad((faces + 1) / 2, (0, 3, 0, 3), "reflect")
    assert torch.equal(stage(faces), net(padded)[..., :74, :106].clamp(0, 1) * 2 - 1)
    assert stage(faces[..., :1, :2]).shape == (1, 3, 2, 4)


def test_places_and_channels_are_kept(faces: Tensor) -> None:
    state = {key: value * (not key.startswith("body.6")) for key, value in compact(2).state_dict().items()}
    out = Spandrel(state)(faces)
    bicubic = resize(faces, (74, 106))
    error = (out - bicubic).abs().mean()
    assert (out - F.interpolate(faces, scale_factor=2.0)).abs().max() < 1e-6
    others = [out.flip(1), out.flip(2), out.flip(3), out.roll(4, 2), out.roll(4, 3)]
    assert all((other - bicubic).abs().mean() > 1.5 * error for other in others)
    state["body.6.bias"][:4] += 0.1  # the four pixels that red becomes
    red = (Spandrel(state)(faces.clamp(max=0.5)) - Spandrel(state)(faces.clamp(max=0.5)).flip(1)).mean((0, 2, 3))
    assert red[0] > 0.1 and red[2] < -0.1


def test_strength_mixes_with_bicubic_enlargement(faces: Tensor) -> None:
    state = compact(2).state_dict()
    plain, full = Spandrel(state, strength=0.0)(faces), Spandrel(state)(faces)
    assert torch.equal(plain, resize(faces, (74, 106)))
    assert torch.allclose(Spandrel(state, strength=0.25)(faces), 0.75 * plain + 0.25 * full, atol=1e-6)


def test_factor_must_be_the_network_s() -> None:
    assert Spandrel(compact(2).state_dict(), factor=2).scale == 2
    with pytest.raises(ValueError, match="factor: these weights enlarge 2 times, not 4"):
        Spandrel(compact(2).state_dict(), factor=4)
    with pytest.raises(ValueError, match="factor: these weights do not enlarge"):
        Spandrel(compact(1).state_dict(), factor=4)


@pytest.mark.parametrize(("upscale", "side"), [(2, 600), (1, 300)])
def test_whole_photos(upscale: int, side: int, landscape: Pixels) -> None:
    net = compact(upscale)
    photo = Photo(landscape[:, 50:350].copy(), None)
    edited, _ = apply.to_photo(Spandrel(net.state_dict()), photo, [], torch.device("cpu"), photo.pixels)
    assert edited.pixels.shape == (side, side, 3)
    wanted = expected(net, to_faces(photo.pixels))
    assert (to_faces(edited.pixels) - wanted).abs().max() < 0.02


def test_face_restoration_works_on_aligned_faces_only() -> None:
    net = restoreformer()
    with pytest.raises(ValueError, match="scope: 'photo' is not served"):
        Spandrel(net.state_dict(), scope="photo")
    stage = Spandrel(net.state_dict())
    assert (stage.scope, stage.side, stage.scale, stage.effect) == ("face", 512, 1, "change")
    assert stage.framing == FFHQ
    faces = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = torch.cat(
        [net((one + 1) / 2 * 2 - 1)[0] for one in torch.split(faces, 1)]
    )  # rounded as in spandrel's 0..1
    assert (stage(faces) - wanted.clamp(-1, 1)).abs().max() <= 1e-6
    assert torch.equal(stage(faces)[1:], stage(faces[1:]))


def test_gfpgan_runs_in_its_own_range_and_the_same_each_time() -> None:
    spandrel = _import_spandrel()
    net = architecture("GFPGAN", out_size=32, num_style_feat=16, num_mlp=1, narrow=0.0625)
    for key, parameter in net.named_parameters():
        if key.endswith("conv1.weight") or (key.count("style_conv") and parameter.numel() == 1):
            parameter.add_(0.5)  # strengths of the noise
    kind = import_module("spandrel.architectures.GFPGAN").GFPGANArch()
    about: dict[str, Any] = {"supports_half": False, "supports_bfloat16": True, "input_channels": 3}
    descriptor = spandrel.ImageModelDescriptor(
        net, net.state_dict(), kind, "FaceSR", [], scale=1, output_channels=3, **about
    )
    faces = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    out = SpandrelModel(descriptor)(faces)
    assert torch.equal(out, SpandrelModel(descriptor)(faces))
    assert torch.equal(out, net(faces, randomize_noise=False)[0].clamp(-1, 1)) and out.min() < -0.1
    assert not torch.equal(net(faces)[0], net(faces)[0])


def test_noise_is_drawn_from_one_seed_and_no_one_else_s() -> None:
    model = SpandrelModel.from_tensors(compact(1).state_dict())
    model.descriptor._call_fn = lambda net, image: torch.rand_like(image)
    pictures = torch.zeros(2, 3, 8, 8)
    state = torch.random.get_rng_state()
    first = model(pictures)
    assert torch.equal(first, model(pictures)) and torch.equal(first[0], first[1])
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.slow
def test_what_is_no_picture_network_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"Compact \(SR\) has 1 channels in and 1 out"):
        SpandrelModel.from_tensors(compact(2, channels=1).state_dict())
    lama = architecture("LaMa", in_nc=4).state_dict()
    with pytest.raises(WeightsError, match=r"LaMa \(Inpainting\) needs a mask"):
        SpandrelModel.from_tensors(lama)


def test_unknown_networks_are_not_claimed() -> None:
    unknown = {"weight": torch.zeros(3, 3), "bias": torch.zeros(3)}
    assert SpandrelModel.recognise(unknown) is None
    assert SpandrelModel.recognise({}) is None
    assert SpandrelModel.recognise(Upscaler().state_dict()) is None  # has two keys by which spandrel tells Compact
    with pytest.raises(WeightsError, match="no network that spandrel"):
        SpandrelModel.from_tensors(unknown)


def test_without_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    state = compact(2).state_dict()
    monkeypatch.setitem(sys.modules, "spandrel", None)
    assert SpandrelModel.recognise(state) is None
    with pytest.raises(WeightsError, match=r"pip install 'ganchain\[spandrel\]'"):
        Spandrel(state)


def test_with_a_torchvision_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise RuntimeError("compiled with different CUDA major versions")

    monkeypatch.setattr(network, "import_module", fails)
    with pytest.raises(WeightsError, match="spandrel cannot be imported: compiled with different CUDA"):
        Spandrel({})


@pytest.mark.slow
def test_import_after_a_failed_import() -> None:
    code = (
        "try:\n    import spandrel\nexcept RuntimeError as error:\n    print(error)\n"
        "from ganchain.nets.spandrel import _import_spandrel\n"
        "assert _import_spandrel() is _import_spandrel()\n"
        "import spandrel, torchvision\nprint(spandrel is _import_spandrel(), torchvision.ops is not None)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True True\n")


@pytest.mark.parametrize("name", ["realesrgan-general-x4v3", "realesrgan-animevideov3-x4"])
def test_real_checkpoints_run_under_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landscape: Pixels, name: str
) -> None:
    file = ANCHORS / f"{name.replace('realesrgan', 'realesr')}.pth"  # brought back from ncnn: no published file
    if not file.exists():
        pytest.skip(f"needs {file.name} in shared/anchors beside the checkout")
    monkeypatch.setenv("GANCHAIN_CACHE", str(tmp_path))
    import_files([file], name)
    stage = Upscale(weights=name, scope="photo")
    assert stage.weights == (name,) and stage.resolved().scale == 4
    photo = Photo(landscape[60:140, 60:160].copy(), None)
    edited, _ = apply.to_photo(stage.resolved().eval(), photo, [], torch.device("cpu"), photo.pixels)
    assert edited.pixels.shape == (320, 400, 3)
    again = resize(to_faces(edited.pixels), (80, 100))
    assert (again - to_faces(photo.pixels)).abs().mean() < 0.08  # the same picture
