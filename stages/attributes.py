"""The stage ``attributes``: hair colour, gender and age."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain import architectures, manifest
from ganchain.adapters.stargan import StarGANEditor
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.portrait import SIDE, Portrait
from ganchain.nets.unet import UNet
from ganchain.recolour import DYES, dye
from ganchain.stage import Stage
from ganchain.tensors import resize

HAIR, PORTRAIT = "attributes-hair", "attributes-portrait"
DIRECTIONS = {"keep": 0.0, "young": -1.0, "old": 1.0, "female": -1.0, "male": 1.0}


class Attributes(Stage):
    """Change hair colour, gender and age; the person stays the same (the task of StarGAN, Choi et al. 2018).

    One network finds the hair, another the place of each pixel on the mean face; the edits themselves are
    arithmetic: dyes (ganchain.recolour), and what age and gender do to faces on average (ganchain.nets.portrait).

    Options:
        hair: keep, black, blond or brown.
        gender: keep, female or male.
        age: keep, young or old.
        weights: other weights: those of StarGAN do all the work, our own kinds replace the bundled file.
        strength: 0 changes nothing, 1 goes all the way.
    """

    side = 384
    framing = HEAD

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
        self.hair, self.strength = hair, strength
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
        self.moves, self.dyes = any(self.condition), hair != "keep" and strength > 0
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
            faces = faces + self.strength * (self._dyed(faces) - faces)
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
        matte = torch.sigmoid(self.matte(resize(faces, (SIDE, SIDE))))
        return dye(faces, firm(resize(matte, (faces.shape[2], faces.shape[3]))), DYES[self.hair])


def firm(matte: Tensor) -> Tensor:
    """Doubt becomes none, near certainty certainty: 0.3..0.9 spread over 0..1."""
    return ((matte - 0.3) / 0.6).clamp(0, 1)
