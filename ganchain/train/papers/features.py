"""Features of frozen networks: feature maps for perceptual losses, and the regions of makeup.

VGG's weights were trained on ImageNet and are not ours to ship; name torchvision's file, for instance
vgg19-dcbb9e9d.pth. Without it, a small network of our own stands in, the judge of ``ganchain evaluate``. It was
trained to tell age and gender of aligned faces, and knows nothing else: it is no VGG, is weakest away from faces, and
results with it are not the papers' results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.checkpoints import architectures, foreign, manifest
from ganchain.errors import WeightsError
from ganchain.faces.mesh import WINDOW
from ganchain.faces.regions import regions
from ganchain.framing import TIGHT
from ganchain.nets.age_gender import AgeGender
from ganchain.nets.points import SIDE
from ganchain.tensors import resize

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in 0..1


class VGG(nn.Module):
    """VGG without batch normalisation (Simonyan & Zisserman 2015), up to one of its activations.

    Pictures (N, 3, H, W) in -1..1 -> (N, C, H / 2**(block - 1), W / 2**(block - 1)), the ``conv``-th convolution
    (after its ReLU) of the ``block``-th block: SRGAN's phi_5,4 is block 5, conv 4.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, blocks: list[list[tuple[int, int]]]) -> None:
        """Build the layers from inputs and outputs of every convolution; a pooling stands between two ``blocks``."""
        super().__init__()
        layers: list[nn.Module] = []
        for block in blocks:
            layers += [nn.MaxPool2d(2)] if layers else []
            for inputs, outputs in block:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    @classmethod
    def from_tensors(cls, flat: Mapping[str, Tensor], block: int, conv: int) -> Self:
        """Build the network from torchvision's names ``features.N.weight``; any VGG without normalisation will do.

        Raises:
            WeightsError: ``flat`` holds no such network, or none with that layer.
        """
        kernels = {int(key.split(".")[1]): t for key, t in flat.items() if re.fullmatch(r"features\.\d+\.weight", key)}
        blocks: list[list[tuple[int, int]]] = []
        expected = -1  # index of the block's next convolution; one further begins another block
        for index, kernel in sorted(kernels.items()):
            if kernel.shape[2:] != (3, 3) or index - expected not in (0, 1):
                raise WeightsError(f"features.{index} is no layer of a VGG without batch normalisation")
            if index != expected:
                blocks.append([])
            blocks[-1].append((kernel.shape[1], kernel.shape[0]))
            expected = index + 2
        if len(blocks) < block or len(blocks[block - 1]) < conv:
            raise WeightsError(f"no VGG with a layer relu{block}_{conv}; torchvision's vgg19-dcbb9e9d.pth has one")
        net = cls([*blocks[: block - 1], blocks[block - 1][:conv]])
        try:
            net.load_state_dict({key: flat[key] for key in net.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"the tensors make no VGG: {error}") from error
        return net

    def forward(self, pictures: Tensor) -> Tensor:
        return self.features(((pictures + 1) / 2 - self.mean) / self.deviation)


class FaceFeatures(nn.Module):
    """Features halfway through the judge of age and gender.

    (N, 3, H, W) -1..1 -> (N, C, H / 8, W / 8); 8 divides H and W. They are halved, so that squared errors are as large
    as the pixels' own; a blur costs four times as much as noise.
    """

    def __init__(self, judge: AgeGender) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, pictures: Tensor) -> Tensor:
        return self.judge.features(pictures) / 2


class Regions(nn.Module):
    """Regions of makeup, drawn from the points that our own network reads.

    Faces (N, 3, S, S) -1..1 as ``ganchain align`` cuts them -> (N, 6, S, S) 0..1 in the order of
    ``colour.makeup.REGIONS``; all inside the face's outline but eyes, brows and mouth is skin. Where
    it sees no face there are none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.points = architectures.build("points", manifest.load("points").tensors)

    def forward(self, faces: Tensor) -> Tensor:
        side = faces.shape[-1]
        rim = round(side * (WINDOW.side / TIGHT.side - 1) / 2)  # the points are read from a wider window
        windows = F.pad(faces.float(), (rim, rim, rim, rim), mode="reflect")
        answer = self.points(resize(windows, (SIDE, SIDE)).clamp(-1, 1))
        points = answer[:, :-1].unflatten(1, (-1, 2)) * (windows.shape[-1] / side)
        sure = (answer[:, -1] > 0).float()[:, None, None, None]
        return sure * regions(points, torch.ones_like(faces[:, :1], dtype=torch.float32))


def perceptual_features(vgg: Path | None, block: int, conv: int) -> nn.Module:
    """Load VGG's activation relu``block``_``conv`` from the file ``vgg``, or ``FaceFeatures`` without one; frozen.

    Raises:
        WeightsError: the file cannot be read, or is no VGG with that layer.
    """
    if vgg is None:
        net: nn.Module = FaceFeatures(AgeGender.from_tensors(manifest.load("age-gender").tensors))
    else:
        flat = {key: tensor for tensors in foreign.read(vgg).values() for key, tensor in tensors.items()}
        net = VGG.from_tensors(flat, block, conv)
    return net.eval().requires_grad_(False)
