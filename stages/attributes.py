"""Stage ``attributes``: hair colour, beard, gender and age."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.colour.beard import CUTS, grow, shaved
from ganchain.colour.dyes import DYES, GREY, Dye
from ganchain.colour.hair import dye, greyness
from ganchain.colour.makeup import colour
from ganchain.errors import OptionError, available
from ganchain.faces import zones
from ganchain.framing import BUST, HEAD, TIGHT
from ganchain.nets.portrait import SIDE, Features, Portrait
from ganchain.published.stargan import StarGANEditor
from ganchain.stage import Stage
from ganchain.tensors import resize, with_light_of

PORTRAIT = "attributes-portrait"
YEARS = 30.0  # that are added by a full step of age
FEWER = 24.0  # that are taken off by one: wrinkles hold on
GREYING = 0.8, 1.6  # most of the hair's colour that age changes; how much earlier at the temples than elsewhere
BEARD_GREYING = 0.6  # share of it in beards, through which skin is seen
SHAVED_BELOW = 0.06  # share of the face's width below the jaw that is shaved
FAINT = 0.08  # mattes below this are zero, so that nothing beside the hair changes by a single bit
# shares of the window: less is none (what shines on a bald head, a shadow over the lip), more than the second is some
SCARCE = {"hair": (0.007, 0.012), "beard": (0.003, 0.007)}
AROUND_LIPS = 0.05  # share of the face's width beyond the lips in which nothing of their mean change may fall
COLOURLESS = {"black", "grey", "white"}
AGES = {"keep": 0.0, "young": -YEARS, "old": YEARS}
DIRECTIONS = {"keep": 0.0, "female": -1.0, "male": 1.0}
BEARDS = {"keep": None, "female": None, "male": "stubble"}  # of a gender, where no beard is asked for


def _named(name: str) -> str:
    """Refuse what is neither the name of a dye nor a colour."""
    if name not in DYES:
        try:
            colour(name)
        except ValueError as error:
            known = available(name, ["keep", *DYES])
            raise ValueError(
                f'{name!r} is no colour of hair; {known}; or any other, as "#c04080" (in quotes)'
            ) from error
    return name


def _hair(asked: str | dict[str, str]) -> str | dict[str, str]:
    """Refuse what is neither a colour of hair, nor two of them, nor "keep"."""
    if isinstance(asked, dict):
        if asked.keys() != {"roots", "ends"}:
            raise ValueError("two colours are written as {roots: brown, ends: blond}")
        return {part: _named(name) for part, name in asked.items()}
    return asked if asked == "keep" else _named(asked)


DYE = {"type": "string", "description": "a name or a colour"}
TWO = {"type": "object", "properties": {"roots": DYE, "ends": DYE}, "required": ["roots", "ends"]}
HAIR = {
    "anyOf": [
        {"enum": ["keep", *DYES]},
        {"type": "string", "format": "colour"},
        {**TWO, "additionalProperties": False, "description": "two colours"},
    ]
}
Hair = Annotated[str | dict[str, str], AfterValidator(_hair), WithJsonSchema(HAIR)]


class Attributes(Stage):
    """Change hair colour, beard, gender and age; the person stays the same (the task of StarGAN, Choi et al. 2018).

    Networks find the hair, the points of the face, and the place of each pixel on the mean face. The edits themselves
    are arithmetic: dyes (ganchain.colour.hair), beards (ganchain.colour.beard), and the average effect of age and
    gender on faces (ganchain.nets.portrait). If no hair colour is asked for, the hair turns grey with age, from the
    temples, and grey hair brown when the face gets younger.

    Options:
        hair: keep, a name (black, brown, auburn, red, blond, platinum, grey, white, pink, blue, green, purple), any
            colour ("#c04080"), or two: {roots: brown, ends: blond}.
        beard: keep, none, stubble, short or full; by default what goes with the gender: male has stubble.
        gender: keep, female or male.
        age: keep, young, old, or how many years are added, -30 to 40.
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
        hair: Hair = "keep",
        beard: Literal["keep", "none", "stubble", "short", "full"] | None = None,
        gender: Literal["keep", "female", "male"] = "keep",
        age: Literal["keep", "young", "old"] | Annotated[float, Field(ge=-30, le=40, strict=True)] = "keep",
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
                asked = {"hair": hair, "beard": beard, "gender": gender, "age": age}
                self.delegate = StarGANEditor(loaded, asked, strength)
                return
        years = AGES[age] if isinstance(age, str) else age
        steps = years / (FEWER if years < 0 else YEARS)
        self.condition = (steps * strength, DIRECTIONS[gender] * strength)
        self.moves = any(self.condition)
        self._choose_dyes(hair, steps)
        cut = BEARDS[gender] if beard is None else None if beard == "keep" else beard
        self.cut = cut if strength > 0 else None
        if self.dyes:
            self.reads = ("hair",) if hair != "keep" else ("hair", "beard")
        if self.cut:
            self.reads = (*dict.fromkeys((*self.reads, "hair", "beard", "skin")),)
        if self.moves or self.cut:
            self.reads = ("points", *self.reads)
        if self.moves:
            self.weights = (weights or PORTRAIT,)
            self.portrait = Portrait.from_tensors(manifest.load(self.weights[0]).tensors)
        elif weights is not None and strength > 0:
            raise OptionError(f"{weights} would not be used; age and gender are kept", option="weights")

    def _choose_dyes(self, hair: str | dict[str, str], steps: float) -> None:
        """Choose the dye, its share, and that of the ends, for the hair asked for or else for the age."""
        names = [hair["roots"], hair["ends"]] if isinstance(hair, dict) else [hair]
        self.colours = ("hair",) if {*names} - COLOURLESS - {"keep"} else ()
        self.by_age = names == ["keep"]
        chosen = [DYES.get(name) or Dye.of(colour(name)) for name in names if name != "keep"]
        self.dye = chosen[0] if chosen else GREY if steps > 0 else DYES["brown"]
        self.ends = chosen[1] if len(chosen) > 1 else None
        self.only_grey = self.by_age and steps < 0
        self.share = self.strength * (min(1.0, abs(steps)) ** 1.5 * GREYING[0] if self.by_age else 1.0)
        self.dyes = self.share > 0

    def forward(self, faces: Tensor, **read: Tensor) -> Tensor:
        """Edit faces: (N, 3, S, S) float32 RGB -1..1 -> the same."""
        faces, read = self._edit_face(faces, read)
        if self.dyes:
            faces = self._dye_hair(faces, **read)
        return faces.clamp(-1, 1)

    def forward_grey(self, faces: Tensor, **read: Tensor) -> Tensor:
        """Edit faces of a grey photo: all but a colour of hair that was asked for by name changes the light alone."""
        edited, read = self._edit_face(faces, read)
        faces = with_light_of(faces, edited.clamp(-1, 1))
        if self.dyes:
            dyed = self._dye_hair(faces, **read).clamp(-1, 1)
            faces = dyed if self.colours else with_light_of(faces, dyed)
        return faces.clamp(-1, 1)

    def _edit_face(self, faces: Tensor, read: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Change age, gender and beard; the points of what is read move with the face."""
        if self.moves:
            faces, points = self._edit_portrait(faces, read["points"])
            read = {**read, "points": points}
        return self._cut_beard(faces, **read) if self.cut else faces, read

    def _edit_portrait(self, faces: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Change age and gender in the tight window inside the bust's, at the side of the network's frame."""
        side, tight = faces.shape[3], TIGHT.within(self.framing, faces.shape[3])
        unit, corner = tight.side / side, points.new_tensor((tight.x, tight.y)) / side
        inside = ((points + 1) / 2 - corner) / unit * 2 - 1
        window = resize(faces[tight.place], (SIDE, SIDE)).clamp(-1, 1)
        condition = faces.new_tensor(self.condition).expand(len(faces), -1)
        offsets = self.portrait.offsets(window)
        features = _features(inside) if self.condition[1] > 0 else None
        change = self.portrait.edit(window, offsets, condition, features) - window
        change = resize(change, (tight.side, tight.side))
        edited = faces.clone()
        edited[tight.place] += change * (1 - zones.mouth(points, side)[tight.place])
        moved = self.portrait.moved(inside, offsets, condition)
        return edited, ((moved + 1) / 2 * unit + corner) * 2 - 1

    def _cut_beard(
        self, faces: Tensor, *, points: Tensor, hair: Tensor, beard: Tensor, skin: Tensor, **_: Any
    ) -> Tensor:
        """Take the beard off, or grow one."""
        cut = CUTS.get(str(self.cut))
        zone = zones.beard(points, faces.shape[3], cut.below if cut else SHAVED_BELOW) * (skin + beard).clamp(max=1)
        if cut is None:
            unit = faces.shape[3] * TIGHT.side / self.framing.side / SIDE
            changed = shaved(faces, zone, beard, skin * (1 - zone) * (1 - beard), unit)
        else:
            changed = grow(faces, zone, zones.chin(points, faces.shape[3]), cut, hair)
        return faces + self.strength * (changed - faces)

    def _dye_hair(
        self, faces: Tensor, *, hair: Tensor, points: Tensor | None = None, beard: Tensor | None = None, **_: Any
    ) -> Tensor:
        """Dye hair, and with age a beard."""
        matte = hair
        share: Tensor | float = self.share
        if self.by_age and beard is not None and points is not None:
            grown = beard * enough(beard, "beard") * (1 - matte)
            if not self.only_grey:
                share = share * (1 + (GREYING[1] - 1) * zones.temples(points, faces.shape[3]))
                share = share.clamp(max=GREYING[0]) * (1 - (1 - BEARD_GREYING) * grown)
            matte = (matte + grown).clamp(max=1)
        matte = ((matte - FAINT) / (1 - FAINT)).clamp(min=0)
        if self.only_grey:
            share = share * greyness(faces, matte)
        return dye(faces, matte, self.dye, self.ends, share)


def _features(points: Tensor) -> Features:
    """Draw the features of a face from its points in the tight window."""
    opened = 1 - zones.mouth(points, SIDE)
    lips, near = (opened * zones.lips(points, SIDE, around) for around in (0.0, AROUND_LIPS))
    return Features(lips, near, zones.lids(points, SIDE), zones.lashes(points, SIDE))


def enough(matte: Tensor, part: str) -> Tensor:
    """Tell whether a head has hair, or a beard: 0 for almost none, 1 for some. (N, 1, H, W) -> (N, 1, 1, 1)."""
    area = (matte > 0.5).float().mean(dim=(1, 2, 3), keepdim=True)
    low, high = SCARCE[part]
    return ((area - low) / (high - low)).clamp(0, 1)
