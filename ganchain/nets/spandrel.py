"""Networks for super-resolution, restoration and face restoration that the package spandrel knows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor, nn

from ganchain.errors import WeightsError

WRAPPERS = ("params_ema", "params-ema", "params", "model_state_dict", "state_dict", "model", "net")
PREFIXES = ("module.", "netG.")

# operators whose shape functions torchvision registers on import even where its compiled part did not load
OPERATORS = ("nms", "qnms")


class SpandrelModel(nn.Module):
    """Network built by spandrel. (N, 3, H, W) -1..1 -> (N, 3, H * scale, W * scale) -1..1, H and W of any size.

    spandrel reads the architecture and its sizes from the tensors, and pads sizes that a network cannot take. The same
    picture always gives the same answer: networks that draw noise (AuraSR) draw it from one seed, GFPGAN uses the
    noise stored in its file.

    Args:
        descriptor: the result of ``spandrel.ModelLoader``.
    """

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.net: nn.Module = descriptor.model.eval().requires_grad_(False)
        self.purpose: str = descriptor.purpose
        self.scale: int = descriptor.scale

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the tensors of a network that spandrel knows, under spandrel's keys.

        None if there is none, or without spandrel.
        """
        try:
            _import_spandrel()
        except WeightsError:
            return None
        for tensors in _unwrapped(flat):
            layers = [int(part) for key in tensors for part in key.split(".") if part.isdecimal()]
            if max(layers, default=0) > len(tensors):  # a forged number: spandrel would build that many layers
                continue
            try:
                _load(tensors)
            except Exception:  # spandrel goes by a few keys: another network that has them fails anywhere in loading
                continue
            return tensors
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network with these weights.

        Raises:
            WeightsError: spandrel is missing, does not know the network, or the network does not turn RGB into RGB.
        """
        spandrel = _import_spandrel()
        try:
            descriptor = _load(tensors)
        except spandrel.UnsupportedModelError as error:
            raise WeightsError(f"no network that spandrel {spandrel.__version__} knows") from error
        name, purpose = descriptor.architecture.name, descriptor.purpose
        if not isinstance(descriptor, spandrel.ImageModelDescriptor):
            raise WeightsError(f"{name} ({purpose}) needs a mask besides the picture; ganchain has none to give")
        channels = (descriptor.input_channels, descriptor.output_channels)
        if channels != (3, 3):
            raise WeightsError(f"{name} ({purpose}) has {channels[0]} channels in and {channels[1]} out, not RGB")
        return cls(descriptor)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [self._single(picture.contiguous()) for picture in torch.split(x, 1)]
        )  # one at a time, as spandrel wants

    def _single(self, x: Tensor) -> Tensor:
        """Run one picture (1, 3, H, W) -1..1."""
        picture: Tensor
        if self.descriptor.architecture.id == "GFPGAN":
            # spandrel passes GFPGAN 0..1 and clamps its answer to that, but GFPGAN is trained on -1..1, in and out
            picture = self.net(x, return_rgb=False, randomize_noise=False)[0]
            return picture.clamp(-1, 1)
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            torch.manual_seed(0)
            picture = self.descriptor((x + 1) / 2)
            return picture * 2 - 1


def _load(tensors: Mapping[str, Tensor]) -> Any:
    """Load spandrel's descriptor of the network, from a copy: some of its loaders rename and delete keys."""
    return _import_spandrel().ModelLoader(device="cpu").load_from_state_dict(dict(tensors))


def _unwrapped(flat: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the state dicts that ``flat`` may hold, float32.

    The first is ``flat`` itself: keys of the first ESRGAN begin with "model.", one of the wrappers.
    """
    for wrapper in ("", *(f"{name}." for name in WRAPPERS)):
        tensors = {key.removeprefix(wrapper): tensor for key, tensor in flat.items() if key.startswith(wrapper)}
        for prefix in PREFIXES:
            if all(key.startswith(prefix) for key in tensors):
                tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        if tensors:
            yield {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}


def _import_spandrel() -> ModuleType:
    """Import the module spandrel when it is first needed.

    spandrel imports torchvision (for LaMa and RestoreFormer: one rotation, one normalisation, both plain Python).
    torchvision's wheels for Linux on PyPI are built for CUDA and cannot load their compiled part beside a torch for
    the CPU; the import then stops at the shape functions of operators that nothing has declared. Once those are
    declared, without an implementation, the Python part can be imported; torchvision.ops still says that it lacks its
    operators.

    Raises:
        WeightsError: spandrel or torchvision is missing or cannot be imported.
    """
    try:
        try:
            import_module("torchvision")
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            for name in OPERATORS:
                if not hasattr(torch.ops.torchvision, name):
                    schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                    torch.library.define(f"torchvision::{name}", schema)
            for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "spandrel")]:
                del sys.modules[name]  # half-imported
            import_module("torchvision")
        return import_module("spandrel")
    except ModuleNotFoundError as error:
        raise WeightsError("these weights need the package spandrel: pip install 'ganchain[spandrel]'") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise WeightsError(f"spandrel cannot be imported: {error}") from error
