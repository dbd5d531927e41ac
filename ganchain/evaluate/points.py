"""Figures of the points on the test split: distances to the teacher, groups of people, what is no face."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ganchain.train.datasets.labels import Labelled
from ganchain.train.datasets.points import SCALE, SHIFT, TURN, Item, framed
from ganchain.train.passes import errors, follows, means

BATCH = 32
SMALLEST = 10  # faces that make a group
ASTRAY = {"upside down": (180.0, 1.0, 0.0), "too near": (0.0, 3.0, 0.0), "beside": (0.0, 1.0, 1.2)}  # as in ``_read``
Read = tuple[Tensor, Tensor, Tensor]  # points read and true (N, 478, 2), and logits (N,)


def figures(network: nn.Module, data: Path, limit: int | None = None) -> dict[str, float]:
    """Measure the network on the test faces (framed tight) and heads; distances in per cent of the iris distance.

    "turned": by up to 25 degrees, scaled by 0.85 to 1.15 and shifted. "group": the largest excess over the mean of a
    group by age or race. "called": by the sign of the logit.
    """
    faces = Labelled(data, "test")
    faces.items = faces.items[:limit]
    seen = default_collate([faces[index] for index in range(len(faces))])
    tight = seen.places[:, 0] == seen.places[0, 0]
    straight = _read(network, seen, *_draws(len(faces), 0.0))
    turned = _read(network, seen, *_draws(len(faces), 1.0))
    distances = errors(*straight[:2])
    answer = {"faces": float(len(faces))}
    for name, read, rows in (("", straight, tight), ("turned: ", turned, tight), ("heads: ", straight, ~tight)):
        if bool(rows.any()):
            answer |= {name + key: value for key, value in _of(read, rows).items()}
    answer |= _groups(distances.mean(dim=1)[tight], [sample.labels for sample, _, _ in faces.items])
    for name, (angle, size, shift) in ASTRAY.items():
        zeros = torch.zeros(len(faces))
        logits = _read(network, seen, zeros + angle, zeros + size, torch.stack([zeros + shift, zeros], dim=1))[2]
        answer[f"{name}: called a face"] = float((logits > 0).float().mean())
    return answer


def _of(read: Read, rows: Tensor) -> dict[str, float]:
    """Measure the faces of ``rows``."""
    points, true, logits = (part[rows] for part in read)
    follow = {f"{name} correlation": value for name, value in follows(points, true).items()} if len(points) > 2 else {}
    return means(errors(points, true)) | follow | {"called no face": float((logits < 0).float().mean())}


def _groups(distances: Tensor, labels: list[dict[str, str]]) -> dict[str, float]:
    """Measure by how much the worst group lies above the mean; nothing where no group is large enough."""
    groups = defaultdict(list)
    for distance, row in zip(distances.tolist(), labels, strict=False):
        for column in ("age", "race"):
            if row.get(column):
                groups[column, row[column].lower().replace("_", " ")].append(distance)
    averages = [sum(group) / len(group) for group in groups.values() if len(group) >= SMALLEST]
    return {"worst group above the mean": max(averages) - float(distances.mean())} if averages else {}


def _draws(count: int, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """Draw turns, scales and shifts of the window, always the same; ``share`` 0 leaves faces as they are."""
    draws = (torch.rand(count, 4, generator=torch.Generator().manual_seed(7)) * 2 - 1) * share
    return draws[:, 0] * TURN, 1 + draws[:, 1] * SCALE, draws[:, 2:] * SHIFT * 2 * 1.5 / 1.8


def _read(network: nn.Module, seen: Item, turns: Tensor, scales: Tensor, shifts: Tensor) -> Read:
    """Read the points of faces that are cut turned (degrees), scaled and shifted ((N, 2) in half windows)."""
    parts = []
    for rows in torch.split(torch.arange(len(turns)), BATCH):
        cut = framed(seen.at(rows), turns[rows], scales[rows], shifts[rows])
        answer = network(cut.faces)
        parts.append((answer[:, :-1].unflatten(1, (-1, 2)), cut.points, answer[:, -1]))
    points, true, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    return points, true, logits
