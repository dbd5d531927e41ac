"""The stage ``attributes``: hair colour, gender and age."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ganchain import manifest
from ganchain.framing import HEAD, TIGHT, Framing
from ganchain.nets.unet import UNet, with_condition
from ganchain.recolour import DYES, dye
from ganchain.stage import Stage
from ganchain.tensors import resize

SIDE = 256  # of the networks
FLOW, RESIDUAL = 4.0, 0.25  # one unit of the network's answer: px of SIDE, change in -1..1
RIM = 16  # px of SIDE over which an edit fades in from the window's edge
HAIR, PORTRAIT = "attributes-hair", "attributes-portrait"
DIRECTIONS = {"keep": 0.0, "young": -1.0, "old": 1.0, "female": -1.0, "male": 1.0}


class Attributes(Stage):
    """Change hair colour, gender and age; the person stays the same.

    Hair is found by a matte network and dyed by arithmetic (ganchain.recolour). Age and gender move a face along
    the difference of group averages (prototypes, Rowland & Perrett 1995), learnt as a flow and a residual.

    Options:
        hair: keep, black, blond or brown.
        gender: keep, female or male.
        age: keep, young or old.
        strength: 0 changes nothing, 1 goes all the way.
    """

    side: ClassVar[int | None] = 384
    framing: ClassVar[Framing] = HEAD

    def __init__(
        self,
        *,
        hair: Literal["keep", "black", "blond", "brown"] = "keep",
        gender: Literal["keep", "female", "male"] = "keep",
        age: Literal["keep", "young", "old"] = "keep",
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.hair, self.strength = hair, strength
        self.condition = (DIRECTIONS[age] * strength, DIRECTIONS[gender] * strength)
        wanted = [(PORTRAIT, any(self.condition)), (HAIR, hair != "keep" and strength > 0)]
        self.weights = tuple(key for key, needed in wanted if needed)
        if PORTRAIT in self.weights:
            self.portrait = UNet.from_tensors(manifest.tensors(PORTRAIT), outputs=5)
        if HAIR in self.weights:
            self.matte = UNet.from_tensors(manifest.tensors(HAIR), outputs=1)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, S, S) float32 RGB -1..1 -> the same."""
        if PORTRAIT in self.weights:
            faces = self._moved(faces)
        if HAIR in self.weights:
            faces = faces + self.strength * (self._dyed(faces) - faces)
        return faces.clamp(-1, 1)

    def _moved(self, faces: Tensor) -> Tensor:
        x, y, side = TIGHT.within(self.framing, faces.shape[3])
        window = faces[:, :, y : y + side, x : x + side]
        condition = faces.new_tensor(self.condition).expand(len(faces), -1)
        answer = self.portrait(with_condition(resize(window, (SIDE, SIDE)), condition))
        edited = faces.clone()
        edited[:, :, y : y + side, x : x + side] = moved(window, answer)
        return edited

    def _dyed(self, faces: Tensor) -> Tensor:
        small = resize(faces, (SIDE, SIDE))
        matte = resize(torch.sigmoid(self.matte(small)), (faces.shape[2], faces.shape[3]))
        return dye(faces, firm(matte), DYES[self.hair])


def moved(faces: Tensor, answer: Tensor) -> Tensor:
    """Apply the portrait network's answer: faces (N, 3, S, S) -1..1, answer (N, 5, SIDE, SIDE) -> (N, 3, S, S).

    The first two channels are the flow (where each pixel comes from, in FLOW px of SIDE to the right and down),
    the others what is added (in RESIDUAL); both fade to nothing at the window's rim.
    """
    side = faces.shape[3]
    fade = rim(side, faces.device)
    maps = resize(answer.float(), (side, side)) * fade
    axis = (torch.arange(side, device=faces.device) * 2 + 1) / side - 1
    identity = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    grid = identity + maps[:, :2].permute(0, 2, 3, 1) * (2 * FLOW / SIDE)
    picked = F.grid_sample(faces.float(), grid, mode="bicubic", padding_mode="border", align_corners=False)
    return torch.where(fade > 0, picked + maps[:, 2:] * RESIDUAL, faces)


def rim(side: int, device: torch.device) -> Tensor:
    """A window that is 0 on the outermost pixels and 1 from RIM px (of SIDE) inwards: (side, side)."""
    place = torch.arange(side, device=device, dtype=torch.float32)
    depth = torch.minimum(place, side - 1 - place) / (RIM * side / SIDE)
    fade = depth.clamp(0, 1).square() * (3 - 2 * depth.clamp(0, 1))
    return fade[:, None] * fade[None]


def firm(matte: Tensor) -> Tensor:
    """Doubt becomes none, near certainty certainty: 0.2..0.9 spread over 0..1."""
    return ((matte - 0.2) / 0.7).clamp(0, 1)
