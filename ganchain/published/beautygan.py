"""BeautyGAN in the place of the bundled painter, for the makeup of a reference photo."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ganchain.errors import OptionError
from ganchain.framing import CHIP
from ganchain.stage import References, Stage


class Transfer(Protocol):
    """Network, or foreign engine that runs one, that takes makeup from a reference face."""

    def transfer(self, source: Tensor, reference: Tensor) -> Tensor:
        """Give each source the makeup of its reference.

        (N, 3, 256, 256) and (N or 1, 3, 256, 256), both -1..1 -> (N, 3, 256, 256) -1..1.
        """
        ...


class MakeupTransfer(Stage):
    """Give faces the makeup of a reference face (Li et al. 2018)."""

    side = 256
    framing = CHIP
    reference: Tensor

    def __init__(self, net: Transfer, *, reference: Path | None, strength: float) -> None:
        super().__init__()
        if reference is None:
            raise OptionError("these weights take the makeup from a photo: give its path", option="reference")
        self.net = net  # a submodule where it is one
        self.path, self.strength = reference, strength
        self.register_buffer("reference", torch.empty(0), persistent=False)

    def prepare(self, references: References) -> None:
        """Read the reference face."""
        self.reference = references(self.path).cut(self.framing, 256)

    def forward(self, faces: Tensor) -> Tensor:
        references = self.reference.to(faces.device).expand(len(faces), -1, -1, -1)
        return torch.lerp(faces, self.net.transfer(faces, references), self.strength)
