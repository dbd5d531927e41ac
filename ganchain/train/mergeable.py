"""Convolutions that are several while they train and one afterwards.

A 3 x 3 convolution is learned as the sum of a plain one, an expanding 1 x 1 followed by a 3 x 3, and 1 x 1 followed by
fixed edge filters (the edge-oriented block of ECBSR, Zhang et al. 2021). All of them are linear, so their kernels are
merged before the picture is convolved: a step costs what the merged network costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

EXPANSION = 2
EDGES = torch.tensor(
    [
        [[1, 0, -1], [2, 0, -2], [1, 0, -1]],  # Sobel, across
        [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],  # Sobel, down
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],  # Laplace
    ],
    dtype=torch.float32,
)
Net = TypeVar("Net", bound=nn.Module)


class Branches(nn.Module):
    """The kernel (O, I, 3, 3) plus what its branches add; they begin by adding nothing."""

    edges: Tensor

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        middle = EXPANSION * outputs
        self.first = nn.Parameter(torch.randn(middle, inputs) / inputs**0.5)
        self.second = nn.Parameter(torch.zeros(outputs, middle, 3, 3))
        self.points = nn.Parameter(torch.randn(len(EDGES), outputs, inputs) / inputs**0.5)
        self.gains = nn.Parameter(torch.zeros(len(EDGES), outputs))
        self.register_buffer("edges", EDGES, persistent=False)

    def forward(self, kernel: Tensor) -> Tensor:
        expanded = torch.einsum("omhw,mi->oihw", self.second, self.first)
        edged = torch.einsum("eo,eoi,ehw->oihw", self.gains, self.points, self.edges)
        return kernel + expanded + edged


def branched(net: Net) -> Net:
    """``net`` with branches on all its 3 x 3 convolutions, in place."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            parametrize.register_parametrization(module, "weight", Branches(*module.weight.shape[:2]), unsafe=True)
    return net


@torch.no_grad()
def merged(net: nn.Module) -> dict[str, Tensor]:
    """The state dict of ``net`` as it is without branches, giving the same pictures."""
    state = {key: value for key, value in net.state_dict().items() if ".parametrizations." not in f".{key}"}
    kernels = {
        f"{name}.weight": module.weight.detach().clone()
        for name, module in net.named_modules()
        if parametrize.is_parametrized(module) and isinstance(module.weight, Tensor)
    }
    return state | kernels


def load(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Begin from ``weights`` of the merged network; a KeyError where they are another's.

    The branches of ``net`` must be new, and add nothing.
    """
    state = net.state_dict()
    keys = {key.replace("parametrizations.weight.original", "weight"): key for key in state}
    keys = {name: key for name, key in keys.items() if "parametrizations" not in name}
    if keys.keys() != weights.keys():
        raise KeyError(f"not the tensors of this network: {sorted(keys.keys() ^ weights.keys())}")
    net.load_state_dict(state | {key: weights[name] for name, key in keys.items()})
