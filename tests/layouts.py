"""Weight files in the layouts that others published, written from narrow networks with weights by formula."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import torch
from torch import Tensor

from tests.bundles import with_training, write_bundle
from tests.formula import SHAPES, Tensors, fill_all

NARROW = 8  # channels of the published networks / channels here
Dict = dict[str, Tensor]


@cache
def narrow(model: str) -> Tensors:
    """A published checkpoint with an eighth of its channels. To be read only: all tests get the same arrays."""
    shapes = json.loads((SHAPES / f"{model}.json").read_text())
    thin = {k: [n // NARROW if n >= 32 and "noises" not in k else n for n in shape] for k, shape in shapes.items()}
    return fill_all(thin, model)


def state(model: str) -> Dict:
    return OrderedDict((key, torch.from_numpy(array)) for key, array in narrow(model).items())


def legacy(content: object, path: Path, *, cuda: bool = False) -> Path:
    """As torch 0.3 saved it; with ``cuda`` the storages carry the mark of the GPU they lay on."""
    torch.save(content, path, _use_new_zipfile_serialization=False)
    if cuda:
        binary = path.read_bytes()
        assert b"ctorch\nFloatStorage\n" in binary and b"X\x03\x00\x00\x00cpu" in binary
        binary = binary.replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n")
        path.write_bytes(binary.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    return path


@contextmanager
def foreign_class(name: str) -> Iterator[Any]:
    """A class that can be pickled under another code's name, ``package.module.Class``, and is gone afterwards."""
    module_name, _, class_name = name.rpartition(".")
    found = type(class_name, (), {"__module__": module_name})
    names = [module_name.rsplit(".", n)[0] for n in range(module_name.count(".") + 1)]
    for each in names:
        sys.modules[each] = ModuleType(each)
    setattr(sys.modules[module_name], class_name, found)
    try:
        yield found
    finally:
        for each in names:
            del sys.modules[each]


def stargan(folder: Path) -> list[Path]:
    generator = legacy(state("stargan_128"), folder / "200000-G.ckpt", cuda=True)
    return [generator, legacy(state("stargan_d_128"), folder / "200000-D.ckpt", cuda=True)]


def stargan_archive(folder: Path) -> list[Path]:
    with zipfile.ZipFile(folder / "celeba-128x128-5attrs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in stargan(folder):
            archive.write(path, f"celeba-128x128-5attrs/{path.name}")
    return [folder / "celeba-128x128-5attrs.zip"]


def stargan_nnabla(folder: Path, *, scope: bool = True) -> list[Path]:
    path = folder / "pretrained_params_on_celebA.h5"
    with h5py.File(path, "w") as file:
        for index, (key, array) in enumerate(narrow("stargan_nnabla").items()):
            if scope or key.startswith("gen/"):
                dataset = file.create_dataset(key if scope else key.removeprefix("gen/"), data=array)
                dataset.attrs["index"], dataset.attrs["need_grad"] = index, True
    return [path]


def beautygan(folder: Path) -> list[Path]:
    write_bundle(folder / "models" / "model", with_training(narrow("beautygan_tf1")))
    return [folder / "models"]


def beautygan_pytorch(folder: Path) -> list[Path]:
    snapshot = state("beautygan_pytorch")
    norms = [key.removesuffix(".bias") for key in snapshot if key.endswith(".bias")]
    for norm in norms:  # as older versions of torch kept them
        snapshot |= {f"{norm}.running_mean": torch.zeros(4), f"{norm}.running_var": torch.ones(4)}
    torch.save(snapshot, folder / "9_2500_G.pth")
    return [folder / "9_2500_G.pth"]


def srgan(folder: Path) -> list[Path]:
    with foreign_class("utils.config.Configuration") as configuration:
        conf = configuration()
        conf.args = argparse.Namespace(conf="srgan.json", seed=1)
        conf.conf = {"name": "srgan", "generator": {"type": "srresnet"}}
        return [legacy({"conf": conf, "runner": {"generator": state("srgan")}}, folder / "srgan.pth")]


def swapping_autoencoder(folder: Path) -> list[Path]:
    flat = state("webtoon_swapae")
    nets = {
        net: {k.removeprefix(f"{net}."): v for k, v in flat.items() if k.startswith(net)} for net in ("e_ema", "g_ema")
    }
    optimizer = {
        "state": {0: {"step": 2000, "exp_avg": torch.zeros(3)}},
        "param_groups": [{"lr": 0.002, "params": [0]}],
    }
    raw = {"e": {k: v + 1 for k, v in nets["e_ema"].items()}, "g": {k: v + 1 for k, v in nets["g_ema"].items()}}
    rest = {"d": {}, "cooccur": {}, "g_optim": optimizer, "d_optim": optimizer, "args": argparse.Namespace(batch=12)}
    torch.save({**raw, **nets, **rest}, folder / "002000.pt")
    return [folder / "002000.pt"]


def stylegan2(folder: Path) -> list[Path]:
    rest = {"g_optim": {}, "d_optim": {}, "args": argparse.Namespace(latent=64), "ada_aug_p": 0.3}
    torch.save({"g": {}, "d": {}, "g_ema": state("stylegan2_256"), **rest}, folder / "stylegan2-naverwebtoon-800k.pt")
    return [folder / "stylegan2-naverwebtoon-800k.pt"]


def animegan2(folder: Path) -> list[Path]:
    torch.save(state("animegan2"), folder / "celeba_distill.pt")
    return [folder / "celeba_distill.pt"]


# layout -> (writer, architecture)
LAYOUTS: dict[str, tuple[Callable[[Path], list[Path]], str]] = {
    "legacy pickles with cuda tags and running statistics": (stargan, "stargan"),
    "zip archive of legacy pickles": (stargan_archive, "stargan"),
    "h5 with gen/ and dis/": (stargan_nnabla, "stargan"),
    "TensorFlow bundle with optimizer slots": (beautygan, "beautygan-tf1"),
    "snapshot with running statistics": (beautygan_pytorch, "beautygan-pytorch"),
    "legacy pickle, nested, with foreign classes": (srgan, "srresnet"),
    "zip pickle, nested, with args and optimizers": (swapping_autoencoder, "swapping-autoencoder"),
    "zip pickle, g_ema among empty nets": (stylegan2, "stylegan2"),
    "bare zip pickle": (animegan2, "animegan2"),
}
