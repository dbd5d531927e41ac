"""Networks that spandrel knows, in the place of the bundled upscaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from ganchain.checkpoints import architectures
from ganchain.errors import OptionError
from ganchain.framing import FFHQ
from ganchain.nets.spandrel import SpandrelModel
from ganchain.stage import Scope, Stage
from ganchain.tensors import resize

FACE_SIDE = 512  # px; all published face restoration networks


class Spandrel(Stage):
    """Do the work of the stage ``upscale`` with weights that spandrel knows.

    Super-resolution and restoration work on the faces or the photo, by ``scope``. Face restoration works on faces:
    aligned as FFHQ, at 512 px, its change added at the photo's own resolution.

    Args:
        tensors: the weights.
        factor: the enlargement that was asked for; None for the network's own.
        scope: "photo" or "face"; None for what the network is made for.
        strength: 1 is the network's picture, 0 plain bicubic enlargement.

    Raises:
        OptionError: the network enlarges by another factor.
        WeightsError: spandrel cannot use these weights.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        factor: int | None = None,
        scope: Scope | None = None,
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        self.net = cast(SpandrelModel, architectures.build("spandrel", tensors))
        self.scale, self.scope, self.strength = self.net.scale, scope or "photo", strength
        if factor not in (None, self.scale):
            ability = f"enlarge {self.scale} times, not {factor}" if self.scale > 1 else "do not enlarge"
            raise OptionError(f"these weights {ability}", option="factor")
        size = self.net.descriptor.size_requirements
        self.side = None
        self.multiple = size.multiple_of
        self.effect = "enlarge" if self.scale > 1 else "change"
        if self.net.purpose == "FaceSR":
            if scope == "photo":
                raise OptionError("'photo' is not served by these weights: they restore faces", option="scope")
            self.scope, self.side, self.framing = "face", size.minimum or FACE_SIDE, FFHQ

    def forward(self, faces: Tensor) -> Tensor:
        """Enlarge or restore: (N, 3, H, W) -> (N, 3, H * scale, W * scale), both -1..1."""
        plain = resize(faces, (faces.shape[2] * self.scale, faces.shape[3] * self.scale))
        if self.strength == 0:
            return plain
        return torch.lerp(plain, self.net(faces), self.strength)
