"""The networks against what the original networks returned for the same weights by formula and the same inputs.

Always against fingerprints (``goldens/fingerprints.json``: the originals' own values at a few places); against the
whole outputs where their folder is: $GANCHAIN_GOLDEN, or shared/golden beside the checkout. ``pytest -rP`` prints the
errors. (The original of beautygan_tf1 is TensorFlow running a graph rebuilt from the published node names.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self
from zlib import crc32

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.faces.dlib_models import dlib
from ganchain.nets.animegan2 import AnimeGAN2
from ganchain.nets.beautygan import BeautyGAN, GeneratorBranch
from ganchain.nets.srgan import SRResNet
from ganchain.nets.stargan import StarGAN
from ganchain.nets.stylegan2 import StyleGAN2
from ganchain.nets.swapping_autoencoder import SwappingAutoEncoder
from tests.formula import digest, noise, published

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("GANCHAIN_GOLDEN", HERE.parent.parent / "shared" / "golden"))
DIGESTS: dict[str, str] = json.loads((HERE / "goldens" / "digests.json").read_text())
FINGERPRINTS: dict[str, dict[str, Any]] = json.loads((HERE / "goldens" / "fingerprints.json").read_text())["outputs"]

# largest absolute error of a value, several times the originals' own rounding; 1e-4 for all others
TOLERANCES = {
    "stargan_d_128": 1e-5,
    "stargan_nnabla fake": 1e-3,  # nnabla's; fake_ref64 is the same in double precision
    "stargan_nnabla D_src": 1e-5,
    "stargan_nnabla D_cls": 1e-5,
    "srgan": 2e-5,
    "webtoon_swapae": 5e-5,
    "animegan2": 2e-5,
}
# black, blond, brown hair, male, young; wanted of a young woman with brown hair: each colour, the other sex, old
LABELS = torch.tensor([[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 1, 1, 1], [0, 0, 1, 0, 0]]).float()

Values = dict[str, Tensor]


class Network(Protocol):
    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None: ...
    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self: ...


def tensors(network: type[Network], *models: str) -> Values:
    """What the network takes from the published files of these models, rebuilt."""
    taken: Values = {}
    for model in models:
        arrays = published(model)
        assert digest(arrays) == DIGESTS[model]
        found = network.recognise({key: torch.from_numpy(array) for key, array in arrays.items()})
        assert found is not None
        taken |= found
    return taken


@cache
def face(side: int) -> Tensor:
    """The astronaut as dlib's chip, (1, 3, side, side) in 0..255."""
    corners = (255, 104), (238, 105), (195, 101), (212, 103), (224, 135)  # of the eyes, and the nose's base
    shape = dlib.full_object_detection(dlib.rectangle(175, 76, 265, 166), [dlib.point(*corner) for corner in corners])
    chip = dlib.get_face_chip(np.asarray(skimage.data.astronaut()), shape, size=side, padding=0.35)
    assert crc32(chip.tobytes()) == {128: 0xB25188F1, 256: 0xC97C0508}[side], "this dlib cuts other chips"
    return torch.from_numpy(chip).permute(2, 0, 1)[None]


def unit(pixels: Tensor) -> Tensor:
    """0..255 to -1..1."""
    return pixels.float() / 127.5 - 1


def reference() -> Tensor:
    """The face mirrored, shifted and tinted, (1, 3, 256, 256) in 0..255."""
    gain, offset = torch.tensor([[1.15, 0.85, 1], [10, -5, 5]], dtype=torch.float64).view(2, 3, 1, 1)
    return (face(256).flip(-1).roll(8, -1) * gain + offset).clip(0, 255).byte()


def normal(*keys: str) -> Tensor:
    return torch.from_numpy(np.stack([noise(key, 512) for key in keys])).float()


def stargan(side: int) -> Values:
    net = StarGAN.from_tensors(tensors(StarGAN, "stargan_128"))
    return {"fake": net.generator(unit(face(side)).expand(5, -1, -1, -1), LABELS)}


def stargan_d_128() -> Values:
    net = StarGAN.from_tensors(tensors(StarGAN, "stargan_128", "stargan_d_128"))
    assert net.discriminator is not None and net.side == 128
    faces = unit(face(128))
    src, cls = net.discriminator(torch.cat([faces, faces.flip(-1)]))
    return {"src": src, "cls": cls}


def stargan_nnabla() -> Values:
    net = StarGAN.from_tensors(tensors(StarGAN, "stargan_nnabla"))
    assert net.discriminator is not None and net.side == 128
    faces = unit(face(128))
    src, cls = net.discriminator(faces)
    fake = net.generator(faces.expand(5, -1, -1, -1), LABELS)
    return {"fake": fake, "fake_ref64": fake, "D_src": src, "D_cls": cls[:, :, None, None]}


def beautygan_tf1() -> Values:
    net = BeautyGAN.from_tensors(tensors(BeautyGAN, "beautygan_tf1"))
    xs, ys = net.both(unit(face(256)), unit(reference()))
    return {"xs": xs.permute(0, 2, 3, 1), "ys": ys.permute(0, 2, 3, 1)}


def beautygan_pytorch() -> Values:
    net = GeneratorBranch.from_tensors(tensors(GeneratorBranch, "beautygan_pytorch"))
    first, second = net(unit(face(256)), unit(reference()))
    return {"fake_A": first, "fake_B": second}


def srgan() -> Values:
    net = SRResNet.from_tensors(tensors(SRResNet, "srgan"))
    small = face(128).float() / 255
    return {"y": net(small), "y_odd": net(small[..., 40:89, 30:97])}


def stylegan2_256() -> Values:
    net = StyleGAN2.from_tensors(tensors(StyleGAN2, "stylegan2_256"))
    w = net.style(normal("z0", "z1"))
    silence = [torch.zeros_like(own) for own in net.noises.buffers()]
    quiet = net(w, silence)
    mixed = torch.cat([w[:1].expand(4, -1), w[1:].expand(10, -1)])[None]
    truncated = net.truncated(w, normal("w_mean") / 2, 0.7)
    return {
        "w": w,
        "img": net(w),
        "img_zero_noise": quiet,
        "img0_zero_noise": quiet[:1],
        "trunc07": net(truncated),
        "wplus_img": net(mixed),
    }


def webtoon_swapae() -> Values:
    net = SwappingAutoEncoder.from_tensors(tensors(SwappingAutoEncoder, "webtoon_swapae"))
    structure, texture = net.encode(unit(torch.cat([face(256), reference()])))
    photo, style = texture[:1], texture[1:]
    return {
        "structure": structure,
        "texture": texture,
        "recon": net.decode(structure, [texture] * net.blocks),
        "swap3": net.decode(structure[:1], [photo] * 3 + [style] * 5),
        "swap5": net.swap(unit(face(256)), unit(reference()), keep=5),
    }


def animegan2() -> Values:
    taken = tensors(AnimeGAN2, "animegan2")
    aligned, unaligned = AnimeGAN2.from_tensors(taken), AnimeGAN2.from_tensors(taken, align_corners=False)
    photo = unit(face(256))
    return {
        "align_true": aligned(photo),
        "align_true_odd": aligned(photo[..., 60:161, 70:193]),
        "align_false": unaligned(photo),
    }


CASES: dict[str, Callable[[], Values]] = {
    "stargan_128": lambda: stargan(128),
    "stargan_256": lambda: stargan(256),
    "stargan_d_128": stargan_d_128,
    "stargan_nnabla": stargan_nnabla,
    "beautygan_tf1": beautygan_tf1,
    "beautygan_pytorch": beautygan_pytorch,
    "srgan": srgan,
    "stylegan2_256": stylegan2_256,
    "webtoon_swapae": webtoon_swapae,
    "animegan2": animegan2,
}


@cache
def outputs(name: str) -> dict[str, NDArray[np.float32]]:
    with torch.inference_mode():
        return {output: values.numpy() for output, values in CASES[name]().items()}


def tolerance(name: str, output: str) -> float:
    return TOLERANCES.get(f"{name} {output}", TOLERANCES.get(name, 1e-4))


def thinned(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Every ``step``-th pixel of both axes of the picture."""
    if step == 1:
        return values
    return values[:, ::step, ::step] if values.shape[-1] == 3 else values[..., ::step, ::step]


def compare(name: str, output: str, values: NDArray[np.float32], expected: NDArray[Any]) -> None:
    """Each value within the tolerance of the output; prints the largest error."""
    assert values.shape == expected.shape
    allowed = tolerance(name, output)
    error = np.abs(values - expected).max()
    print(f"{name} {output}: {error:.1e} at {expected.size} places, allowed {allowed:.0e}")
    assert error <= allowed


def check_fingerprint(name: str, output: str, values: NDArray[np.float32]) -> None:
    """The values at the kept places, and the statistics of the whole, as the original's."""
    fingerprint = FINGERPRINTS[f"{name} {output}"]
    chosen = thinned(values, fingerprint["step"]).flat[fingerprint["places"]]
    compare(name, output, chosen, np.array(fingerprint["values"]))
    if expected := fingerprint["statistics"]:
        statistics = values.mean(dtype=np.float64), values.std(dtype=np.float64), values.min(), values.max()
        # rounding cancels out in the mean and the deviation, a wrong epsilon does not
        allowed = tolerance(name, output) * np.array([0.1, 0.1, 1, 1])
        assert (np.abs(np.subtract(statistics, expected)) <= allowed).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_fingerprints(name: str) -> None:
    assert {key.split()[1] for key in FINGERPRINTS if key.split()[0] == name} == outputs(name).keys()
    for output, values in outputs(name).items():
        check_fingerprint(name, output, values)


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of goldens is not there ($GANCHAIN_GOLDEN)")
@pytest.mark.parametrize("name", CASES)
def test_whole_outputs(name: str) -> None:
    with np.load(FOLDER / f"{name}.npz") as golden:
        for array in golden:
            kind, _, output = array.partition("_")
            if kind in ("out", "sub"):
                compare(name, output, thinned(outputs(name)[output], 3 if kind == "sub" else 1), golden[array])
