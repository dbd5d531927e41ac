"""StarGAN (Choi et al. 2018): one generator for several facial attributes, and the discriminator that tells them.

Three layouts are known: the authors' PyTorch files (one a network), Sony's nnabla file (both networks) and our own
state dict. The authors' files carry running statistics, but their generator only ever ran with each picture's own ones
(with the stored ones it returns noise), so they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from itertools import chain, pairwise
from typing import Self

import torch
from torch import Tensor, nn

from ganchain.errors import WeightsError

PUBLISHED = r"(main\.\d+(\.main\.\d+)?|conv[12])\.(weight|bias)"
NNABLA = r"(.+?)(?:_conv|_inst_norm)?/(conv|deconv|instance_normalization)/(W|b|gamma|beta)"
RESIDUALS = r"main\.\d+\.main\.0\.weight"

halving = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1, bias=False)
doubling = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1, bias=False)


def plain(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Build a convolution without bias that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def normalised(conv: nn.Conv2d | nn.ConvTranspose2d, eps: float = 1e-5) -> list[nn.Module]:
    """Follow ``conv`` by instance normalisation and ReLU."""
    return [conv, nn.InstanceNorm2d(conv.out_channels, eps, affine=True), nn.ReLU()]


class Residual(nn.Module):
    """Two normalised 3 x 3 convolutions, ReLU between them and none after the sum. (N, C, H, W) -> the same."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        first, second = (normalised(plain(width, width, 3), eps) for _ in range(2))
        self.main = nn.Sequential(*first, *second[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


def count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Count the keys that match ``pattern`` in full."""
    return sum(re.fullmatch(pattern, key) is not None for key in tensors)


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose keys begin with ``prefix``, without it."""
    return {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _shapes(tensors: Mapping[str, Tensor], *keys: str) -> list[tuple[int, ...]]:
    """Return the shape of each key's tensor, () where it is missing."""
    return [tuple(tensors[key].shape) if key in tensors else () for key in keys]


def _published(flat: Mapping[str, Tensor], convs: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename tensors to the authors' names; ``convs`` maps nnabla's blocks to the modules of their convolutions."""
    tensors: dict[str, Tensor] = {}
    for key, tensor in flat.items():
        nnabla = re.fullmatch(NNABLA, key)
        if nnabla and nnabla[1] in convs:
            parent, _, index = convs[nnabla[1]].rpartition(".")
            if nnabla[2] == "instance_normalization":  # follows its convolution; (1, C, 1, 1) there
                index, tensor = str(int(index) + 1), tensor.flatten()
            key = f"{parent}.{index}".lstrip(".") + (".weight" if nnabla[3] in ("W", "gamma") else ".bias")
        if re.fullmatch(PUBLISHED, key):
            tensors[key] = tensor.float()
    return tensors


class Generator(nn.Module):
    """Generator that edits labels of faces.

    Faces (N, 3, S, S) -1..1 and wanted labels (N, L) of 0 and 1 -> faces (N, 3, S, S) -1..1; 4 divides S.
    """

    accelerable = ("forward",)

    def __init__(self, labels: int = 5, width: int = 64, repeats: int = 6) -> None:
        super().__init__()
        self.labels = labels
        self.main = nn.Sequential(
            *normalised(plain(3 + labels, width, 7)),
            *normalised(halving(width, width * 2)),
            *normalised(halving(width * 2, width * 4)),
            *(Residual(width * 4) for _ in range(repeats)),
            *normalised(doubling(width * 4, width * 2)),
            *normalised(doubling(width * 2, width)),
            plain(width, 3, 7),
            nn.Tanh(),
        )

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the generator's tensors under the authors' names, else None."""
        repeats = count(flat, r"bottleneck_\d+/1st/conv/W") or count(flat, RESIDUALS)
        places = {"init": 0, "downsample_0": 3, "downsample_1": 6}
        places |= {"upsample_0": 9 + repeats, "upsample_1": 12 + repeats, "last": 15 + repeats}
        convs = {block: f"main.{place}" for block, place in places.items()}
        for i in range(repeats):
            convs |= {f"bottleneck_{i}/1st": f"main.{9 + i}.main.0", f"bottleneck_{i}/2nd": f"main.{9 + i}.main.3"}
        tensors = _published(flat, convs)
        match _shapes(tensors, "main.0.weight", f"{convs['last']}.weight"):
            case (_, inputs, 7, 7), (3, _, 7, 7) if inputs > 3:
                return tensors
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the generator from its state dict ``tensors``; sizes are read from the shapes."""
        width, inputs = tensors["main.0.weight"].shape[:2]
        net = cls(inputs - 3, width, count(tensors, RESIDUALS))
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, faces: Tensor, labels: Tensor) -> Tensor:
        planes = labels[:, :, None, None].expand(-1, -1, *faces.shape[2:])
        return self.main(torch.cat([faces, planes], dim=1))


class Discriminator(nn.Module):
    """Discriminator and classifier of faces.

    Faces (N, 3, side, side) -1..1 -> realness (N, 1, h, w) of patches and the labels' logits (N, L).
    """

    accelerable = ("forward",)

    def __init__(self, side: int = 128, labels: int = 5, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        self.side, self.labels = side, labels
        widths = [3, *(width << level for level in range(depth))]
        layers = ((halving(a, b, bias=True), nn.LeakyReLU(0.01)) for a, b in pairwise(widths))
        self.main = nn.Sequential(*chain.from_iterable(layers))
        self.conv1 = plain(widths[-1], 1, 3)
        self.conv2 = nn.Conv2d(widths[-1], labels, side >> depth, bias=False)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the discriminator's tensors under the authors' names, else None."""
        convs = {"init": "main.0", "last_1x1": "conv1", "last_cls": "conv2"}
        convs |= {f"downsample_{i}": f"main.{2 * i}" for i in range(1, 1 + count(flat, r"downsample_\d+/conv/W"))}
        tensors = _published(flat, convs)
        match _shapes(tensors, "main.0.weight", "conv1.weight", "conv2.weight"):
            case (_, 3, 4, 4), (1, _, 3, 3), (_, _, _, _):
                return tensors
        return None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the discriminator from its state dict ``tensors``; sizes are read from the shapes."""
        width, depth = len(tensors["main.0.weight"]), count(tensors, r"main\.\d+\.weight")
        labels, _, kernel, _ = tensors["conv2.weight"].shape
        net = cls(kernel << depth, labels, width, depth)
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        features = self.main(faces)
        return self.conv1(features), self.conv2(features).flatten(1)


class StarGAN(nn.Module):
    """Generator and, where there is one, discriminator.

    The labels of the published files are black hair, blond hair, brown hair, male, young; at most one of the first
    three is set.
    """

    def __init__(self, generator: Generator, discriminator: Discriminator | None = None) -> None:
        super().__init__()
        if discriminator is not None and discriminator.labels != generator.labels:
            numbers = f"{discriminator.labels} labels in the discriminator, {generator.labels} in the generator"
            raise WeightsError(f"StarGAN: {numbers}; the two files are not of one training")
        self.generator, self.discriminator = generator, discriminator

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the tensors of generator and discriminator, as far as ``flat`` has them, or None."""
        flat = {key.removeprefix("module."): tensor for key, tensor in flat.items()}
        tensors: dict[str, Tensor] = {}
        for name, scope, part in (("generator", "gen/", Generator), ("discriminator", "dis/", Discriminator)):
            recognised = (part.recognise(select(flat, prefix)) for prefix in (f"{name}.", scope, ""))
            part_tensors = next(filter(None, recognised), {})
            tensors |= {f"{name}.{key}": tensor for key, tensor in part_tensors.items()}
        return tensors or None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Build the networks from their state dict ``tensors``; the discriminator may be missing."""
        discriminator = select(tensors, "discriminator.")
        if not select(tensors, "generator."):
            raise WeightsError("this is StarGAN's discriminator alone; its generator is needed along with it")
        return cls(
            Generator.from_tensors(select(tensors, "generator.")),
            Discriminator.from_tensors(discriminator) if discriminator else None,
        )

    @property
    def labels(self) -> int:
        return self.generator.labels

    @property
    def side(self) -> int | None:
        """The side in px of the training faces; None without the discriminator, which alone tells it."""
        return None if self.discriminator is None else self.discriminator.side
