"""Recipes of the papers themselves, for those with data and a GPU; ``gan`` is the page to begin with.

Each file is one paper: its data, networks, losses and schedule, with the paper's numbers as defaults. Pictures are
(N, 3, H, W) in -1..1 throughout.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ganchain.tensors import resize, to_faces
from ganchain.train.data import randbelow, read
from ganchain.train.recipe import Recipe


class Paper(Recipe):
    """Recipe optimised as in these papers: Adam with DCGAN's betas (Radford et al. 2016), no clipping, no averaging."""

    betas = (0.5, 0.999)
    clip = None
    average = 0.0

    def schedule(self, step: int) -> float:
        """Keep the rate constant."""
        return 1.0


def half_then_linear(step: int, steps: int) -> float:
    """Keep the rate constant for half of the steps, then lower it linearly to zero (CycleGAN, StarGAN)."""
    return min(1.0, 2 - 2 * step / steps)


def picture(path: Path, load: int, side: int, fixed: bool) -> Tensor:
    """Cut a window out of a file reduced so that its shorter side is ``load`` px -> (3, side, side), -1..1.

    ``fixed``: from the middle, and never mirrored. Otherwise at random, if ``load`` leaves room, and half of them
    mirrored.
    """
    photo = to_faces(read(path))
    factor = load / min(photo.shape[2:])
    height, width = (max(side, round(length * factor)) for length in photo.shape[2:])
    small = resize(photo, (height, width)).clamp(-1, 1)[0]
    down, right = height - side, width - side
    top, left = (down // 2, right // 2) if fixed or load == side else (randbelow(down + 1), randbelow(right + 1))
    window = small[:, top : top + side, left : left + side]
    return window if fixed or torch.rand(()) < 0.5 else window.flip(2)
