"""The stage ``attributes``: hair colour, gender and age."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.checkpoints import architectures, manifest
from ganchain.colour.hair import DYES, GREY, dye, greyness, strands
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.portrait import SIDE, Portrait
from ganchain.nets.unet import UNet
from ganchain.published.stargan import StarGANEditor
from ganchain.stage import Stage
from ganchain.tensors import resize

HAIR, PORTRAIT = "attributes-hair", "attributes-portrait"
AGEING = {"keep": 0.0, "old": 0.8, "young": 0.8}  # share of the hair's colour that age changes
THICK = 13  # px of SIDE; the rim of a bald head is thinner than hair
SCARCE = (0.007, 0.016)  # thick hair on so little of the window is no hair at all; on so much it is hair
DIRECTIONS = {"keep": 0.0, "young": -1.0, "old": 1.0, "female": -1.0, "male": 1.0}


class Attributes(Stage):
    """Change hair colour, gender and age; the person stays the same (the task of StarGAN, Choi et al. 2018).

    One network finds the hair, another the place of each pixel on the mean face; the edits themselves are
    arithmetic: dyes (ganchain.colour.hair), and what age and gender do to faces on average (ganchain.nets.portrait).
    Where no hair colour is asked for, hair turns grey with age, and the grey hair of the young brown.

    Options:
        hair: keep, black, blond or brown.
        gender: keep, female or male.
        age: keep, young or old.
        weights: other weights: those of StarGAN do all the work, our own kinds replace the bundled file.
        strength: 0 changes nothing, 1 goes all the way.
    """

    side = 384
    framing = HEAD
    order = 20
    plain = ("gender", "age")

    @validate_call
    def __init__(
        self,
        *,
        hair: Literal["keep", "black", "blond", "brown"] = "keep",
        gender: Literal["keep", "female", "male"] = "keep",
        age: Literal["keep", "young", "old"] = "keep",
        weights: manifest.Ref | None = None,
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        files = {"portrait": PORTRAIT, "unet": HAIR}
        if weights is not None:
            given = manifest.load(weights)
            architectures.expect(weights, given.architecture, "attributes")
            if given.architecture == "stargan":
                self.weights = (weights,)
                self.hand_over(StarGANEditor(given, hair=hair, gender=gender, age=age, strength=strength))
                return
            files[given.architecture] = weights
        self.condition = (DIRECTIONS[age] * strength, DIRECTIONS[gender] * strength)
        self.share = strength * (1.0 if hair != "keep" else AGEING[age])
        self.dye = DYES[hair] if hair != "keep" else GREY if age == "old" else DYES["brown"]
        self.only_grey = hair == "keep" and age == "young"
        self.moves, self.dyes = any(self.condition), self.share > 0
        self.weights = tuple(files[kind] for kind, used in (("portrait", self.moves), ("unet", self.dyes)) if used)
        if weights is not None and strength > 0 and weights not in self.weights:
            raise ValueError(f"weights: {weights} would not be used; what they serve is kept")
        if self.moves:
            self.portrait = Portrait.from_tensors(manifest.load(files["portrait"]).tensors)
        if self.dyes:
            self.matte = UNet.from_tensors(manifest.load(files["unet"]).tensors, outputs=1)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, S, S) float32 RGB -1..1 -> the same."""
        if self.worker:
            return self.worker.forward(faces)
        if self.moves:
            faces = self._moved(faces)
        if self.dyes:
            faces = self._dyed(faces)
        return faces.clamp(-1, 1)

    def _moved(self, faces: Tensor) -> Tensor:
        """Age and gender, in the tight window inside the head's."""
        x, y, side = TIGHT.within(self.framing, faces.shape[3])
        window = faces[:, :, y : y + side, x : x + side]
        edited = faces.clone()
        condition = faces.new_tensor(self.condition).expand(len(faces), -1)
        edited[:, :, y : y + side, x : x + side] = self.portrait(window, condition)
        return edited

    def _dyed(self, faces: Tensor) -> Tensor:
        matte = firm(torch.sigmoid(self.matte(resize(faces, (SIDE, SIDE)))))
        matte = resize(matte, (faces.shape[2], faces.shape[3])).clamp(0, 1) * strands(faces)
        share = self.share * greyness(faces, matte) if self.only_grey else self.share
        return faces + share * (dye(faces, matte, self.dye) - faces)


def firm(matte: Tensor) -> Tensor:
    """Doubt becomes none, near certainty certainty: 0.2..0.8 spread over 0..1; bald heads have none. (N, 1, H, W)."""
    clear = ((matte - 0.2) / 0.6).clamp(0, 1)
    thin = -largest(-clear)  # an opening takes away what is thinner than THICK
    area = largest(thin).mean(dim=(1, 2, 3), keepdim=True)
    low, high = SCARCE
    return clear * ((area - low) / (high - low)).clamp(0, 1)


def largest(plane: Tensor) -> Tensor:
    """The maximum over windows of THICK px, rows and columns in turn. (N, 1, H, W) -> the same."""
    rows = F.max_pool2d(plane, (THICK, 1), 1, (THICK // 2, 0))
    return F.max_pool2d(rows, (1, THICK), 1, (0, THICK // 2))
