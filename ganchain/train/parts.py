"""Recipe of the parts: mattes of hair, beard, skin, glasses and covers, on heads dressed anew in every step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.faces.parts import BASE, PARTS
from ganchain.nets.parts import PartsNet, folded, shares
from ganchain.train.datasets.parts import Batch, Heads, Labelled, textures
from ganchain.train.dressing import dressed, plain
from ganchain.train.recipe import Recipe

COLOURS = ((1, 0.1, 0.1), (0.1, 0.2, 1), (0.15, 0.8, 0.2), (0, 0, 0), (1, 1, 0), (1, 0, 1))  # of PARTS, to look at


class Parts(Recipe):
    """Train the mattes of a head's parts on ``data``/wide256, photos_cc0 and the teachers' labels beside them."""

    key = "parts"
    columns = 2
    betas = (0.9, 0.999)
    clip = 5.0
    average = 0.9985
    decay = 1e-3

    def __init__(self, data: Path, steps: int = 3200, batch: int = 64, rate: float = 2.5e-3) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.textures = textures(data)
        self.networks: dict[str, nn.Module] = {"net": PartsNet(normed=True)}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return labelled heads; see ``Labelled``."""
        return Labelled(self.data, split)

    def losses(self, player: str, batch: Heads) -> Mapping[str, Tensor]:
        """Dress the heads, and compute the loss of their mattes."""
        with torch.autocast(batch.pixels.device.type, enabled=False):
            given = dressed(batch, self._textures(batch))
        return terms(self.networks["net"](given.pixels), given)

    def figures(self, batch: Heads) -> Mapping[str, float]:
        """Measure overlaps with the labels, of heads as they are; what lies over faces is for ``ganchain evaluate``."""
        given, _ = plain(batch, self._textures(batch))
        mattes = shares(self.networks["net"](given.pixels * 2 - 1).float())
        known = given.known[:, :1]
        hair, skin = (
            float(overlap(mattes[:, [k]], given.target[:, [k]], known).mean()) for k in (0, PARTS.index("skin"))
        )
        covered = 100 * float((mattes[:, PARTS.index("cover")] > 0.5).float().mean())
        return {"score": hair + skin, "hair": hair, "skin": skin, "cover on heads as they are, %": covered}

    def sample(self, batch: Heads) -> Tensor:
        """Draw rows of a dressed head and its coloured mattes."""
        given = dressed(Heads(*(column[:6] for column in batch)), self._textures(batch))
        mattes = shares(self.networks["net"](given.pixels).float())
        return torch.stack([given.pixels, coloured(given.pixels, mattes)], dim=1).flatten(0, 1)

    def _textures(self, batch: Heads) -> Tensor:
        return self.textures.to(batch.pixels.device).float() / 255

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from exported weights; they have no batch normalisation any more."""
        self.networks["net"] = PartsNet.from_tensors(weights)

    def exported(self, net: nn.Module) -> Mapping[str, Tensor]:
        """Return the tensors with each batch normalisation made part of a convolution."""
        return {key: value for key, value in folded(net.state_dict()).items() if value.is_floating_point()}


def coloured(faces: Tensor, mattes: Tensor) -> Tensor:
    """Lay mattes (N, 6, S, S) 0..1 over faces (N, 3, S, S) -1..1.

    Hair is red, beard blue, skin green, glasses yellow, cover magenta.
    """
    colours = mattes.new_tensor(COLOURS)[:, :, None, None] * 2 - 1
    over = torch.as_tensor(sum(mattes[:, [k]] * colours[k] for k in range(len(BASE))))
    for k in range(len(BASE), len(PARTS)):
        over = torch.lerp(over, colours[k].expand_as(faces), mattes[:, [k]])
    return 0.4 * faces + 0.6 * over


def terms(logits: Tensor, batch: Batch) -> Mapping[str, Tensor]:
    """Compute the weighted terms of the loss of (N, 6, S, S) logits; scalars.

    Cross-entropy with soft targets, soft Dice per part, L1 of the mattes' finite differences, and on faces with real
    glasses, whose place is not known: somewhere about the eyes there must be some.
    """
    logits = logits.float()
    base, over = logits[:, : len(BASE)], logits[:, len(BASE) :]
    want, know = batch.target, batch.known
    entropy = -(want[:, : len(BASE)] * F.log_softmax(base, dim=1)).sum(dim=1, keepdim=True)
    rare = F.binary_cross_entropy_with_logits(over, want[:, len(BASE) :], reduction="none")
    mattes = shares(logits)
    each = know[:, [0] * len(BASE) + [1, 2]]
    both = (mattes * want * each).sum(dim=(0, 2, 3))
    sizes = ((mattes * mattes + want * want) * each).sum(dim=(0, 2, 3))
    border = sum(
        ((mattes.diff(dim=d) - want.diff(dim=d)).abs() * each.narrow(d, 1, each.shape[d] - 1)).mean() for d in (2, 3)
    )
    lens = mattes[:, len(BASE) : len(BASE) + 1] * batch.frames
    area = batch.frames.flatten(1).sum(dim=1)
    best = lens.flatten(1).topk(500, dim=1).values  # of some 10,000 about the eyes
    seen = torch.where(batch.thin, best[:, :250].mean(dim=1), best.mean(dim=1))
    worn = (area > 3000).float()
    return {
        "base": (entropy * know[:, :1]).mean(),
        "glasses": 3 * (rare[:, :1] * know[:, 1:2]).mean(),
        "cover": 1.5 * (rare[:, 1:] * know[:, 2:]).mean(),
        "dice": 0.25 * (1 - (2 * both + 20) / (sizes + 20)).sum() / len(PARTS) * 4,
        "border": 3.0 * torch.as_tensor(border),
        "worn": -0.05 * (torch.log(seen.clamp(1e-4, 1)) * worn).sum() / len(worn) * 4,
    }


def overlap(mattes: Tensor, want: Tensor, known: Tensor | None = None, hard: bool = True) -> Tensor:
    """Measure the intersection over union of each of N mattes (N, 1, S, S), where known: (N,)."""
    if hard:
        mattes, want = (mattes > 0.5).float(), (want > 0.5).float()
    known = torch.ones_like(mattes) if known is None else (known > 0.5).float()
    both = (torch.minimum(mattes, want) * known).sum(dim=(1, 2, 3))
    either = (torch.maximum(mattes, want) * known).sum(dim=(1, 2, 3))
    return both / either.clamp(min=1)
