"""Upscale: the picture two or four times as large, with the detail a plain enlargement lacks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain import manifest
from ganchain.nets.upscaler import Upscaler
from ganchain.stage import Stage
from ganchain.tensors import resize


class Upscale(Stage):
    """Enlarge the photo two or four times, sharper than bicubic interpolation.

    Super-resolution in the line of SRGAN (Ledig et al. 2017), with a compact network of our own. With
    ``scope: face`` only the face pictures grow (``output: {write: faces}``); in the whole photo, which keeps
    its size then, nothing but the added sharpness shows.

    Options:
        factor: output side / input side.
        scope: photo enlarges the whole photo, face only the pictures of the faces.
        strength: 1 is the network's picture, 0 plain bicubic enlargement.
    """

    side = None
    enlarges = True
    weights = ("upscale",)

    @validate_call
    def __init__(
        self,
        *,
        factor: Literal[2, 4] = 4,
        scope: Literal["photo", "face"] = "photo",
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.scale, self.scope, self.strength = factor, scope, strength
        self.net = Upscaler.from_tensors(manifest.tensors("upscale"))

    def forward(self, faces: Tensor) -> Tensor:
        plain = resize(faces, (faces.shape[2] * self.scale, faces.shape[3] * self.scale))
        if self.strength == 0:
            return plain
        return torch.lerp(plain, self.net(faces, self.scale), self.strength)
