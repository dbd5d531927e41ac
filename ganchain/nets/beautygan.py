"""BeautyGAN (Li et al. 2018): puts the makeup of a reference face on a source face, and the other way round.

Two networks have this name: the TensorFlow 1 generator whose weights are widely copied on the web (``BeautyGAN``), and
the one of the authors' later PyTorch code (``GeneratorBranch``). Neither loads the other's weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from ganchain.nets.stargan import RESIDUALS, Residual, count, doubling, halving, normalised, plain

EPS = 1e-6  # of TensorFlow's contrib.layers.instance_norm


def _encoder(width: int) -> nn.Sequential:
    """Build an encoder: (N, 3, H, W) -> (N, 4 * width, H / 4, W / 4); 4 divides H and W."""
    layers = normalised(plain(3, width, 7), EPS)
    for inputs in (width, width * 2):
        # TensorFlow's SAME padding of a stride of 2 over an even side: nothing before, one pixel after
        half = nn.Conv2d(inputs, inputs * 2, 3, stride=2, bias=False)
        layers += [nn.ZeroPad2d((0, 1, 0, 1)), *normalised(half, EPS)]
    return nn.Sequential(*layers)


def _decoder(width: int) -> nn.Sequential:
    """Build a decoder: (N, 8 * width, H / 4, W / 4) -> (N, 3, H, W) -1..1."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((width * 8, width * 2), (width * 2, width)):
        layers += [nn.Upsample(scale_factor=2, mode="nearest"), *normalised(plain(inputs, outputs, 3), EPS)]
    return nn.Sequential(*layers, plain(width, 3, 7), nn.Tanh())


class BeautyGAN(nn.Module):
    """TensorFlow 1 generator. Faces (N, 3, 256, 256) -1..1 -> the same.

    Strides, padding, eps and the order of the branches are not in the published names; they are inferred from the
    graph's nodes and TensorFlow's defaults.
    """

    accelerable = ("transfer",)

    def __init__(self, width: int = 32, repeats: int = 6) -> None:
        super().__init__()
        # in the order in which TensorFlow made, and so numbered, the layers
        self.encode_source = _encoder(width)
        self.encode_reference = _encoder(width)
        self.body = nn.Sequential(*(Residual(width * 8, EPS) for _ in range(repeats)))
        self.decode_source = _decoder(width)
        self.decode_reference = _decoder(width)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the generator's tensors from ``flat``, or None if it has none.

        Kernels of a TensorFlow checkpoint, (h, w, in, out), are turned to (out, in, h, w); optimiser slots and
        discriminators are left out.
        """
        flat = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        outer_keys = "encode_source.0.weight", "decode_reference.8.weight"
        if all(key in flat for key in outer_keys):
            pattern = r"(encode|decode)_(source|reference)\..+|body\..+"
            return {key: tensor.float() for key, tensor in flat.items() if re.fullmatch(pattern, key)}
        variables = dict(cls._variables((count(flat, r"generator/conv2d(_\d+)?/kernel") - 12) // 2))
        if any(variables[key] not in flat for key in outer_keys) or "generator/InstanceNorm/gamma" not in flat:
            return None
        tensors = {key: flat[variable].float() for key, variable in variables.items() if variable in flat}
        return {key: t.permute(3, 2, 0, 1).contiguous() if t.ndim == 4 else t for key, t in tensors.items()}

    @classmethod
    def _variables(cls, repeats: int) -> Iterator[tuple[str, str]]:
        """Yield the key and TensorFlow's variable name of every tensor."""
        with torch.device("meta"):
            net = cls(1, repeats)
        convs = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
        norms = [name for name, module in net.named_modules() if isinstance(module, nn.InstanceNorm2d)]
        for i, name in enumerate(convs):
            yield f"{name}.weight", f"generator/conv2d{f'_{i}' * (i > 0)}/kernel"
        for i, name in enumerate(norms):
            yield f"{name}.weight", f"generator/InstanceNorm{f'_{i}' * (i > 0)}/gamma"
            yield f"{name}.bias", f"generator/InstanceNorm{f'_{i}' * (i > 0)}/beta"

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        net = cls(len(tensors["encode_source.0.weight"]), count(tensors, r"body\.\d+\.main\.0\.weight"))
        net.load_state_dict(dict(tensors))
        return net

    def _mix(self, source: Tensor, reference: Tensor) -> Tensor:
        """Encode both faces and mix them: two (N, 3, H, W) -> features (N, 8 * width, H / 4, W / 4)."""
        return self.body(torch.cat([self.encode_source(source), self.encode_reference(reference)], dim=1))

    def transfer(self, source: Tensor, reference: Tensor) -> Tensor:
        """Give the source the reference's makeup (the published graph's generator/xs)."""
        return self.decode_source(self._mix(source, reference))

    def both(self, source: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Return the source in the reference's makeup and the reference in the source's (generator/xs and /ys)."""
        mixed = self._mix(source, reference)
        return self.decode_source(mixed), self.decode_reference(mixed)

    def forward(self, source: Tensor, reference: Tensor) -> Tensor:
        return self.transfer(source, reference)


class GeneratorBranch(nn.Module):
    """PyTorch generator of the authors. Faces (N, 3, 256, 256) -1..1 -> the same; modules are named as published."""

    accelerable = ("transfer",)

    def __init__(self, width: int = 64, repeats: int = 6) -> None:
        super().__init__()

        def encoder() -> nn.Sequential:
            return nn.Sequential(*normalised(plain(3, width, 7)), *normalised(halving(width, width * 2)))

        def decoder() -> nn.Sequential:
            layers = [layer for _ in range(2) for layer in normalised(plain(width, width, 3))]
            return nn.Sequential(*layers, plain(width, 3, 7), nn.Tanh())

        self.Branch_0, self.Branch_1 = encoder(), encoder()
        self.main = nn.Sequential(
            *normalised(halving(width * 4, width * 4)),
            *(Residual(width * 4) for _ in range(repeats)),
            *normalised(doubling(width * 4, width * 2)),
            *normalised(doubling(width * 2, width)),
        )
        self.branch_1, self.branch_2 = decoder(), decoder()

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the network's tensors from ``flat``, or None; running statistics of old snapshots are left out."""
        flat = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        if not {"Branch_0.0.weight", "main.0.weight", "branch_2.6.weight"} <= flat.keys():
            return None
        pattern = r"(Branch_[01]|main|branch_[12])\..+\.(weight|bias)"
        return {key: tensor.float() for key, tensor in flat.items() if re.fullmatch(pattern, key)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the network from its state dict ``tensors``; sizes are read from the shapes."""
        net = cls(len(tensors["Branch_0.0.weight"]), count(tensors, RESIDUALS))
        net.load_state_dict(dict(tensors))
        return net

    def _mix(self, source: Tensor, reference: Tensor) -> Tensor:
        """Encode both faces and mix them: two (N, 3, H, W) -> features."""
        return self.main(torch.cat([self.Branch_0(source), self.Branch_1(reference)], dim=1))

    def transfer(self, source: Tensor, reference: Tensor) -> Tensor:
        """Give the source the reference's makeup."""
        return self.branch_1(self._mix(source, reference))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first face in the second's makeup (fake_A) and the second in the first's (fake_B)."""
        mixed = self._mix(x, y)
        return self.branch_1(mixed), self.branch_2(mixed)
