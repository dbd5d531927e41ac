"""Stage ``attributes``: hair colour, gender and age."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.colour.hair import DYES, GREY, dye, greyness
from ganchain.errors import OptionError
from ganchain.framing import BUST, HEAD, TIGHT
from ganchain.nets.portrait import SIDE, Portrait
from ganchain.published.stargan import StarGANEditor
from ganchain.stage import Stage
from ganchain.tensors import resize, with_light_of

PORTRAIT = "attributes-portrait"
AGEING = {"keep": 0.0, "old": 0.8, "young": 0.8}  # share of the hair's colour that age changes
FAINT = 0.08  # mattes below this are zero, so that nothing beside the hair changes by a single bit
SCARCE = (0.003, 0.007)  # shares of the window: hair on less than the first is none, on more than the second hair
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

    side = None
    framing = BUST
    shown = HEAD
    keeps = ("cover", "glasses")
    networks = ("stargan",)
    architectures: ClassVar = {"weights": ("portrait", "stargan")}
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
        if weights is not None:
            loaded = manifest.load(weights)
            registry.expect(loaded, Attributes)
            if loaded.architecture == "stargan":
                self.weights = (weights,)
                self.delegate = StarGANEditor(loaded, hair=hair, gender=gender, age=age, strength=strength)
                return
        self.colours = COLOURED.get(hair, ())
        self.condition = (DIRECTIONS[age] * strength, DIRECTIONS[gender] * strength)
        self.share = strength * (1.0 if hair != "keep" else AGEING[age])
        self.dye = DYES[hair] if hair != "keep" else GREY if age == "old" else DYES["brown"]
        self.only_grey = hair == "keep" and age == "young"
        self.moves, self.dyes = any(self.condition), self.share > 0
        if self.dyes:
            self.reads = ("hair",) if hair != "keep" else ("hair", "beard")
        if self.moves:
            self.weights = (weights or PORTRAIT,)
            self.portrait = Portrait.from_tensors(manifest.load(self.weights[0]).tensors)
        elif weights is not None and strength > 0:
            raise OptionError(f"{weights} would not be used; age and gender are kept", option="weights")

    def forward(self, faces: Tensor, *, hair: Tensor | None = None, beard: Tensor | None = None) -> Tensor:
        """Edit faces: (N, 3, S, S) float32 RGB -1..1 -> the same."""
        if self.moves:
            faces = self._edit_portrait(faces)
        if hair is not None:
            faces = self._dye_hair(faces, hair, beard)
        return faces.clamp(-1, 1)

    def forward_grey(self, faces: Tensor, *, hair: Tensor | None = None, beard: Tensor | None = None) -> Tensor:
        """Edit faces of a grey photo: age and gender change the light alone; hair gets the colour asked for by name."""
        if self.moves:
            faces = with_light_of(faces, self._edit_portrait(faces).clamp(-1, 1))
        if hair is not None:
            dyed = self._dye_hair(faces, hair, beard).clamp(-1, 1)
            faces = dyed if self.colours else with_light_of(faces, dyed)
        return faces.clamp(-1, 1)

    def _edit_portrait(self, faces: Tensor) -> Tensor:
        """Change age and gender in the tight window inside the head's, at the side of the network's frame."""
        place = TIGHT.within(self.framing, faces.shape[3]).place
        window = resize(faces[place], (SIDE, SIDE)).clamp(-1, 1)
        condition = faces.new_tensor(self.condition).expand(len(faces), -1)
        change = self.portrait(window, condition) - window
        edited = faces.clone()
        edited[place] += resize(change, (faces[place].shape[2], faces[place].shape[3]))
        return edited

    def _dye_hair(self, faces: Tensor, hair: Tensor, beard: Tensor | None) -> Tensor:
        """Dye hair, and a beard where its matte is given."""
        matte = hair * enough(hair)
        matte = matte if beard is None else (matte + beard).clamp(max=1)
        matte = ((matte - FAINT) / (1 - FAINT)).clamp(min=0)
        share = self.share * greyness(faces, matte) if self.only_grey else self.share
        return faces + share * (dye(faces, matte, self.dye) - faces)


def enough(matte: Tensor) -> Tensor:
    """Tell whether a head has hair: 0 where it has almost none, 1 where it has some. (N, 1, H, W) -> (N, 1, 1, 1)."""
    area = (matte > 0.5).float().mean(dim=(1, 2, 3), keepdim=True)
    low, high = SCARCE
    return ((area - low) / (high - low)).clamp(0, 1)
