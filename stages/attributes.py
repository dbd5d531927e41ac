"""Stage ``attributes``: hair colour, gender and age."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.colour.hair import DYES, GREY, dye, greyness, strands
from ganchain.errors import OptionError
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.portrait import SIDE, Portrait
from ganchain.nets.unet import UNet
from ganchain.published.stargan import StarGANEditor
from ganchain.stage import Stage
from ganchain.tensors import resize, with_light_of

HAIR, PORTRAIT = "attributes-hair", "attributes-portrait"
AGEING = {"keep": 0.0, "old": 0.8, "young": 0.8}  # share of the hair's colour that age changes
THICK = 13  # px of SIDE; the rim of a bald head is thinner than hair
SCARCE = (0.007, 0.016)  # shares of the window: thick hair on less than the first is none, on more than the second hair
COLOURED = {"blond": ("hair",), "brown": ("hair",)}  # black is no colour
DIRECTIONS = {"keep": 0.0, "young": -1.0, "old": 1.0, "female": -1.0, "male": 1.0}


class Attributes(Stage):
    """Change hair colour, gender and age; the person stays the same (the task of StarGAN, Choi et al. 2018).

    One network finds the hair, another the place of each pixel on the mean face. The edits themselves are arithmetic:
    dyes (ganchain.colour.hair), and the average effect of age and gender on faces (ganchain.nets.portrait). If no hair
    colour is asked for, the hair turns grey with ``age: old``, and grey hair brown with ``age: young``.

    Options:
        hair: keep, black, blond or brown.
        gender: keep, female or male.
        age: keep, young or old.
        weights: other weights: those of StarGAN do all the work, our own kinds replace the bundled file.
        strength: 0 changes nothing, 1 goes all the way.
    """

    side = 384
    framing = HEAD
    networks = ("stargan",)
    architectures: ClassVar = {"weights": ("unet", "portrait", "stargan")}
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
        self.strength = strength
        files = {"portrait": PORTRAIT, "unet": HAIR}
        if weights is not None:
            loaded = manifest.load(weights)
            registry.expect(loaded, Attributes)
            if loaded.architecture == "stargan":
                self.weights = (weights,)
                self.delegate = StarGANEditor(loaded, hair=hair, gender=gender, age=age, strength=strength)
                return
            files[loaded.architecture] = weights
        self.colours = COLOURED.get(hair, ())
        self.condition = (DIRECTIONS[age] * strength, DIRECTIONS[gender] * strength)
        self.share = strength * (1.0 if hair != "keep" else AGEING[age])
        self.dye = DYES[hair] if hair != "keep" else GREY if age == "old" else DYES["brown"]
        self.only_grey = hair == "keep" and age == "young"
        self.moves, self.dyes = any(self.condition), self.share > 0
        self.weights = tuple(files[kind] for kind, used in (("portrait", self.moves), ("unet", self.dyes)) if used)
        if weights is not None and strength > 0 and weights not in self.weights:
            raise OptionError(f"{weights} would not be used; what they serve is kept", option="weights")
        if self.moves:
            self.portrait = Portrait.from_tensors(manifest.load(files["portrait"]).tensors)
        if self.dyes:
            self.matte = UNet.from_tensors(manifest.load(files["unet"]).tensors, outputs=1)

    def forward(self, faces: Tensor) -> Tensor:
        """Edit faces: (N, 3, S, S) float32 RGB -1..1 -> the same."""
        if self.moves:
            faces = self._edit_portrait(faces)
        if self.dyes:
            faces = self._dye_hair(faces)
        return faces.clamp(-1, 1)

    def forward_grey(self, faces: Tensor) -> Tensor:
        """Edit faces of a grey photo: age and gender change the light alone; hair gets the colour asked for by name."""
        if self.moves:
            faces = with_light_of(faces, self._edit_portrait(faces).clamp(-1, 1))
        if self.dyes:
            dyed = self._dye_hair(faces).clamp(-1, 1)
            faces = dyed if self.colours else with_light_of(faces, dyed)
        return faces.clamp(-1, 1)

    def _edit_portrait(self, faces: Tensor) -> Tensor:
        """Change age and gender in the tight window inside the head's."""
        place = TIGHT.within(self.framing, faces.shape[3]).place
        window = faces[place]
        edited = faces.clone()
        condition = faces.new_tensor(self.condition).expand(len(faces), -1)
        edited[place] = self.portrait(window, condition)
        return edited

    def _dye_hair(self, faces: Tensor) -> Tensor:
        """Dye the hair that the network finds."""
        matte = clean_matte(torch.sigmoid(self.matte(resize(faces, (SIDE, SIDE)))))
        matte = resize(matte, (faces.shape[2], faces.shape[3])).clamp(0, 1) * strands(faces)
        share = self.share * greyness(faces, matte) if self.only_grey else self.share
        return faces + share * (dye(faces, matte, self.dye) - faces)


def clean_matte(matte: Tensor) -> Tensor:
    """Clean a matte (N, 1, H, W): values of 0.2..0.8 are stretched to 0..1, and bald heads get no hair."""
    clear = ((matte - 0.2) / 0.6).clamp(0, 1)
    eroded = -dilate(-clear)  # an opening takes away parts thinner than THICK
    area = dilate(eroded).mean(dim=(1, 2, 3), keepdim=True)
    low, high = SCARCE
    return clear * ((area - low) / (high - low)).clamp(0, 1)


def dilate(plane: Tensor) -> Tensor:
    """Take the maximum over windows of THICK px, rows and columns in turn: (N, 1, H, W) -> the same."""
    rows = F.max_pool2d(plane, (THICK, 1), 1, (THICK // 2, 0))
    return F.max_pool2d(rows, (1, THICK), 1, (0, THICK // 2))
