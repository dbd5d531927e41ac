"""Convolutions with several branches in training that are merged into one afterwards.

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
    """Branches added to a kernel (O, I, 3, 3); they begin by adding nothing."""

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


def add_branches(net: Net) -> Net:
    """Add branches to all 3 x 3 convolutions of ``net``, in place; returns ``net`` itself."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            parametrize.register_parametrization(module, "weight", Branches(*module.weight.shape[:2]), unsafe=True)
    return net


@torch.no_grad()
def merge_branches(net: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of the network without branches that gives the same pictures as ``net``."""
    state = {key: value for key, value in net.state_dict().items() if ".parametrizations." not in f".{key}"}
    kernels = {
        f"{name}.weight": module.weight.detach().clone()
        for name, module in net.named_modules()
        if parametrize.is_parametrized(module) and isinstance(module.weight, Tensor)
    }
    return state | kernels


def load(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load ``weights`` of the merged network into ``net``, whose branches must be new and add nothing.

    Raises:
        KeyError: the weights are another network's.
    """
    state = net.state_dict()
    keys = {key.replace("parametrizations.weight.original", "weight"): key for key in state}
    keys = {name: key for name, key in keys.items() if "parametrizations" not in name}
    if keys.keys() != weights.keys():
        raise KeyError(f"not the tensors of this network: {sorted(keys.keys() ^ weights.keys())}")
    net.load_state_dict(state | {key: weights[name] for name, key in keys.items()})
