"""Recipe of the points: the mean of a teacher's readings is learnt on faces that are varied on the device itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.nets.points import Points as PointsNet
from ganchain.nets.points import folded
from ganchain.train.datasets.labels import Labelled
from ganchain.train.datasets.points import Item, Seen, framed, vary
from ganchain.train.passes import begin, errors, means, passes
from ganchain.train.recipe import Recipe

# widths, depths, channels of the flattened map and rank of each pass
SIZES: Mapping[str, tuple[tuple[int, ...], tuple[int, ...], int, int]] = {
    "place": ((16, 24, 48), (0, 1, 1), 8, 24),
    "look": ((16, 40, 72, 112), (0, 1, 1, 1), 24, 64),
    "eye": ((16, 32, 56), (0, 2, 1), 12, 40),
    "mouth": ((16, 32, 56), (0, 1, 1), 12, 40),
}
START = 1500  # faces that the mean face is made of


class Points(Recipe):
    """Train the 478 points on ``data``/faces256 and wide256 and the teacher's labels beside them."""

    key = "points"
    betas = (0.9, 0.98)
    clip = 3.0
    average = 0.9995
    decay = 0.03

    def __init__(self, data: Path, steps: int = 3400, batch: int = 384, rate: float = 2.5e-3) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.own = 0.0  # share of windows that the network's own earlier passes place
        network = PointsNet(SIZES, norm=True)
        faces = Labelled(data, "train").items[:START]
        if faces:
            begin(network, torch.stack([points for _, points, _ in faces]))
        self.networks: dict[str, nn.Module] = {"net": network}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return faces with points; see ``Labelled``."""
        return Labelled(self.data, split)

    def schedule(self, step: int) -> float:
        """Return the factor of ``rate``; also let the network place its own windows after a twentieth of the run."""
        self.own = 0.0 if step < 0.05 * self.steps else 0.5
        return super().schedule(step)

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        """Compute the losses of the three passes, in full precision but for the convolutions on a GPU."""
        network = self.networks["net"]
        assert isinstance(network, PointsNet)
        with torch.autocast(batch.points.device.type, enabled=False):
            return passes(network, vary(batch), self.own)

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Measure mean distances in per cent of the iris distance, of faces as the aligner cuts them."""
        seen, read = self._read(batch)
        distances = means(errors(read, seen.points))
        return {"score": -distances["mean"], **distances}

    def sample(self, batch: Item) -> Tensor:
        """Draw rows of face, points read, and the teacher's."""
        seen, read = self._read(batch)
        faces = seen.faces[:6]
        rows = [faces, dotted(faces, read[:6]), dotted(faces, seen.points[:6])]
        return torch.stack(rows, dim=1).flatten(0, 1)

    def _read(self, batch: Item) -> tuple[Seen, Tensor]:
        """Cut faces upright, and read their points (N, 478, 2)."""
        still = torch.zeros(len(batch.points), device=batch.points.device)
        seen = framed(batch, still, still + 1, torch.stack([still, still], dim=1))
        return seen, self.networks["net"](seen.faces)[:, :-1].unflatten(1, (-1, 2))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from exported weights; they have no batch normalisation any more."""
        self.networks["net"] = PointsNet.from_tensors(weights)

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        """Return the tensors with each batch normalisation made part of a convolution."""
        return folded(net)


def dotted(faces: Tensor, points: Tensor) -> Tensor:
    """Draw points (N, K, 2), in -1..1 of the picture, as green dots on faces (N, 3, S, S) -1..1."""
    side = faces.shape[-1]
    places = ((points + 1) * side / 2 - 0.5).round().long().clamp(0, side - 1)
    dots = faces.new_zeros(len(faces), side * side)
    dots.scatter_(1, places[..., 1] * side + places[..., 0], 1.0)
    dots = F.max_pool2d(dots.view(-1, 1, side, side), 2, 1)
    colour = faces.new_tensor([-1.0, 1.0, -0.4])[:, None, None]
    return torch.lerp(faces, colour.expand_as(faces), F.pad(dots, (0, 1, 0, 1)))
