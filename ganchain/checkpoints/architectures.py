"""Networks by name: their weights are recognised by the names of the tensors, and the networks built from them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor, nn

from ganchain.errors import WeightsError
from ganchain.faces.proposals import ProposalNet
from ganchain.nets.age_gender import AgeGender
from ganchain.nets.animegan2 import AnimeGAN2
from ganchain.nets.beautygan import BeautyGAN, GeneratorBranch
from ganchain.nets.parts import PartsNet
from ganchain.nets.points import Points
from ganchain.nets.portrait import Portrait
from ganchain.nets.restorer import Restorer
from ganchain.nets.spandrel import SpandrelModel
from ganchain.nets.srgan import SRResNet
from ganchain.nets.stargan import StarGAN
from ganchain.nets.stylegan2 import StyleGAN2
from ganchain.nets.swapping_autoencoder import SwappingAutoEncoder
from ganchain.nets.unet import UNet
from ganchain.nets.upscaler import Upscaler


class Network(Protocol):
    """A network's class, which recognises its own tensors and builds the network from them."""

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Pick this network's tensors out of ``flat``, under its own names; None when the file is of another kind."""
        ...

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Build the network with these weights; sizes are read from the tensors."""
        ...


# the last one asks another library, which knows a hundred networks more
ARCHITECTURES: dict[str, type[Network]] = {
    "unet": UNet,
    "portrait": Portrait,
    "upscaler": Upscaler,
    "restorer": Restorer,
    "age-gender": AgeGender,
    "points": Points,
    "parts": PartsNet,
    "proposals": ProposalNet,
    "stargan": StarGAN,
    "beautygan-tf1": BeautyGAN,
    "beautygan-pytorch": GeneratorBranch,
    "swapping-autoencoder": SwappingAutoEncoder,
    "stylegan2": StyleGAN2,
    "animegan2": AnimeGAN2,
    "srresnet": SRResNet,
    "spandrel": SpandrelModel,
}


def recognise(files: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, dict[str, Tensor]]:
    """Recognise the network in ``files`` (name -> tensors): its architecture, and its tensors by its own names.

    Several files may hold one network's parts (StarGAN's generator and discriminator).

    Raises:
        WeightsError: a file is of no known layout, or two are of different networks.
    """
    recognised: dict[str, str] = {}
    merged: dict[str, Tensor] = {}
    for file, flat in files.items():
        for name, network in ARCHITECTURES.items():
            tensors = network.recognise(flat)
            if tensors:
                if twice := merged.keys() & tensors.keys():
                    raise WeightsError(f"{min(twice)} stands in another of these files already", ref=file)
                recognised[file] = name
                merged |= tensors
                break
        else:
            keys = ", ".join(sorted(flat)[:4]) or "none"
            known = ", ".join(ARCHITECTURES)
            hint = "" if find_spec("spandrel") else "; more are known with pip install 'ganchain[spandrel]'"
            raise WeightsError(f"no known layout: {len(flat)} tensors ({keys} …); known: {known}{hint}", ref=file)
    if len(set(recognised.values())) != 1:
        parts = ", ".join(f"{file}: {name}" for file, name in recognised.items()) or "no file"
        raise WeightsError(f"these are not the parts of one network: {parts}")
    for key, tensor in merged.items():
        if not bool(tensor.isfinite().all()):
            raise WeightsError(f"{key} holds numbers that are not finite", ref=", ".join(files))
    # copies, since files may hold views of one storage
    copies = {key: (value.float() if value.is_floating_point() else value).clone() for key, value in merged.items()}
    return next(iter(recognised.values())), copies


def build(architecture: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network ``architecture`` with the weights ``tensors``, to be used, not trained.

    Raises:
        WeightsError: tensors are missing, too many, or of shapes that do not go together.
    """
    network = ARCHITECTURES[architecture]
    try:
        if network is not SpandrelModel:  # first without memory: what does not fit shall not be allocated
            with torch.device("meta"):
                network.from_tensors({key: tensor.to("meta") for key, tensor in tensors.items()})
        return network.from_tensors(tensors).eval().requires_grad_(False)
    except (RuntimeError, KeyError, ValueError, IndexError, StopIteration) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"the tensors make no {architecture} network: {reason}") from error
