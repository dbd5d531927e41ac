"""Proposals: where faces may be, by a small network of our own that has learnt what dlib's detector finds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn

from ganchain.errors import WeightsError
from ganchain.tensors import HALF_RANGE, Pixels

BUNDLED = "proposals.safetensors"
BUNDLED_SHA256 = "e153e1dc049672bea202175a355ff7472c3e06809791f6b44dcb1a7b4fad3535"  # as in weights/manifest.yaml
STRIDE = 8  # px of what the network sees in one cell of its answer
SIZE, REACH = 26.0, 16.0  # px: sizes are answered relative to the first, places to the second
LEAST = -1.8  # logit from which a cell proposes a face
LEAST_SIZE = 54.0  # px; smaller faces are no longer found by dlib
SMALLEST = 16  # px, shorter side of the last picture that the network sees
GAP = 16  # px between the pictures on the sheet


class Proposal(NamedTuple):
    """Place where a face may be: the middle of its box and its side, in px, and a logit of how likely that is."""

    x: float
    y: float
    size: float
    logit: float


class ProposalNet(nn.Module):
    """Network that proposes faces of 18 to 37 px; for larger ones it is given smaller pictures.

    Args:
        widths: channels of the three convolutions of stride 2.
        depth: blocks of a depthwise and a pointwise convolution that follow.
        norm: whether batch normalisation follows each convolution (in training; ``nets.points.folded`` takes it away).

    Shapes: (N, 1, H, W) luma -1..1 -> (N, 4, H / STRIDE, W / STRIDE), both rounded up: of each cell the logit of a
    face's middle being near, its x and y from the cell's middle in ``REACH``, the logarithm of its size in ``SIZE``.
    """

    def __init__(self, widths: tuple[int, int, int] = (8, 16, 64), depth: int = 5, norm: bool = False) -> None:
        super().__init__()
        width, blocks = widths[-1], range(depth)
        pairs = zip((1, *widths), widths, strict=False)
        self.down = nn.ModuleList(_convolution(inputs, outputs, 3, norm, stride=2) for inputs, outputs in pairs)
        self.depthwise = nn.ModuleList(_convolution(width, width, 3, norm, groups=width) for _ in blocks)
        self.pointwise = nn.ModuleList(_convolution(width, width, 1, norm) for _ in blocks)
        self.head = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.head.bias[:1], -4.0)  # type: ignore[index]  # faces are rare

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is such a network's own state dict, else None."""
        return dict(flat) if {"down.2.0.weight", "depthwise.0.0.weight", "head.bias"} <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> ProposalNet:
        """Build the network whose (folded) state dict ``tensors`` is; sizes are read from the shapes."""
        first, second, third = (tensors[f"down.{level}.0.bias"].numel() for level in range(3))
        net = cls((first, second, third), sum(key.startswith("pointwise.") for key in tensors) // 2)
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, luma: Tensor) -> Tensor:
        for down in self.down:
            luma = F.relu(down(luma))
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            luma = F.relu(luma + pointwise(depthwise(luma)))
        answer: Tensor = self.head(luma)
        return answer


def _convolution(inputs: int, outputs: int, size: int, norm: bool, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Build a convolution, followed by batch normalisation where it is wanted."""
    plain = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=not norm)
    return nn.Sequential(plain, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(plain)


@lru_cache(maxsize=1)
def _bundled() -> ProposalNet:
    """Load the bundled network, once a process."""
    file = resources.files("ganchain.weights") / BUNDLED
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}; reinstall ganchain", ref=BUNDLED) from error
    if (digest := sha256(content).hexdigest()) != BUNDLED_SHA256:
        reason = f"the file was changed or cut (SHA-256 {digest[:12]}…, expected {BUNDLED_SHA256[:12]}…)"
        raise WeightsError(f"{reason}; reinstall ganchain", ref=BUNDLED)
    net = ProposalNet.from_tensors({name: value.float() for name, value in load(content).items()})
    return net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def propose(pixels: Pixels, net: ProposalNet | None = None, least: float = LEAST) -> list[Proposal]:
    """Propose faces of 73 px and more in (H, W, 3) uint8 RGB, the likeliest first."""
    net = net or _bundled()
    sheet, places = _sheet(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8))
    with torch.inference_mode():
        answer = net(torch.from_numpy(sheet)[None, None].float() / HALF_RANGE - 1)[0]
        peaks = (answer[0] >= least) & (answer[0] == F.max_pool2d(answer[:1], 3, 1, 1)[0])
    rows, columns = np.nonzero(peaks.numpy())
    cells = answer.double().numpy()[:, rows, columns]
    proposals = []
    for row, column, (logit, x, y, size) in zip(rows.tolist(), columns.tolist(), cells.T.tolist(), strict=True):
        middle = np.array([column + 0.5, row + 0.5]) * STRIDE
        for left, top, width, height in places:
            corner, scale = (left, top), np.array([pixels.shape[1] / width, pixels.shape[0] / height])
            if (middle > corner).all() and (middle < np.array([left + width, top + height]) + STRIDE / 2).all():
                place = (middle + REACH * np.array([x, y]) - corner) * scale - 0.5
                side = SIZE * float(np.exp(size) * scale.mean())
                proposals.append(Proposal(float(place[0]), float(place[1]), side, logit))
    return sorted((proposal for proposal in proposals if proposal.size > LEAST_SIZE), key=lambda face: -face.logit)


def _sheet(luma: Pixels) -> tuple[Pixels, list[tuple[int, int, int, int]]]:
    """Lay a picture, reduced four, eight ... times, onto one sheet, so that the network runs once.

    Returns:
        The sheet (H, W) uint8, and left, top, width and height of each picture on it.
    """
    pictures = [_halved(_halved(luma))]
    while min(pictures[-1].shape) // 2 >= SMALLEST:
        pictures.append(_halved(pictures[-1]))
    beside = pictures[0].shape[1] + GAP
    beside += -beside % STRIDE
    places, top = [(0, 0, *pictures[0].shape[::-1])], 0
    for picture in pictures[1:]:
        places.append((beside, top, *picture.shape[::-1]))
        top += picture.shape[0] + GAP
        top += -top % STRIDE
    size = (max(place[1] + place[3] for place in places), max(place[0] + place[2] for place in places))
    sheet = np.full(size, round(HALF_RANGE), np.uint8)
    for picture, (left, top, width, height) in zip(pictures, places, strict=True):
        sheet[top : top + height, left : left + width] = picture
    return sheet, places


def _halved(luma: Pixels) -> Pixels:
    """Reduce a picture to means over squares of 2 px, the last ones of one or three."""
    size = (max(1, luma.shape[1] // 2), max(1, luma.shape[0] // 2))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
