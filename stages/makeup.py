"""Stage ``makeup``: a named look, the look of a reference photo, or plain colours, painted on each face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, WithJsonSchema, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import architectures, manifest
from ganchain.colour.makeup import AMOUNTS, Look, colour, on_skin, paint, read_look, scale_amounts
from ganchain.errors import OptionError, refuse
from ganchain.faces.regions import regions
from ganchain.framing import TIGHT
from ganchain.published.beautygan import MakeupTransfer, Transfer
from ganchain.published.tensorflow_graph import TensorFlowGraph
from ganchain.stage import References, Stage
from ganchain.tensors import with_light_of

SIDE = 256  # of the training faces
COLOURED = {"lips": 3, "eyes": 7, "cheeks": 11}  # options that take a colour: the place of its amount in a look


def _checked(value: float | str) -> float | str:
    """Refuse text that is no colour, and an amount outside 0..1."""
    if isinstance(value, str):
        colour(value)
    elif not 0 <= value <= 1:
        raise ValueError("an amount is 0 to 1")
    return value


AMOUNT = {"type": "number", "minimum": 0, "maximum": 1}
Amount = Annotated[float, Field(ge=0, le=1)]
Region = Annotated[
    float | str, AfterValidator(_checked), WithJsonSchema({"anyOf": [AMOUNT, {"type": "string", "format": "colour"}]})
]

LOOKS = {
    "natural": Look(
        lips=colour("#b05c66"),
        lips_amount=0.5,
        lids=on_skin("#a87f68"),
        lids_amount=0.5,
        cheeks=on_skin("#de8f80"),
        cheeks_amount=0.35,
        liner=0.4,
        brows=0.2,
        evenness=0.4,
    ),
    "rose": Look(
        lips=colour("#c03a66"),
        lips_amount=0.75,
        lids=on_skin("#a8687a"),
        lids_amount=0.5,
        cheeks=on_skin("#df858c"),
        cheeks_amount=0.4,
        liner=0.5,
        brows=0.25,
        evenness=0.5,
    ),
    "coral": Look(
        lips=colour("#d8543f"),
        lips_amount=0.75,
        lids=on_skin("#b87c58"),
        lids_amount=0.55,
        cheeks=on_skin("#e48a6c"),
        cheeks_amount=0.4,
        liner=0.45,
        brows=0.25,
        evenness=0.5,
    ),
    "evening": Look(
        lips=colour("#9c1030"),
        lips_amount=0.9,
        lids=on_skin("#744a3c"),
        lids_amount=0.75,
        cheeks=on_skin("#d07c6c"),
        cheeks_amount=0.4,
        liner=0.8,
        brows=0.4,
        evenness=0.55,
    ),
    "smoky": Look(
        lips=colour("#a8646a"),
        lips_amount=0.7,
        lids=on_skin("#5a453a"),
        lids_amount=0.85,
        cheeks=on_skin("#cc8472"),
        cheeks_amount=0.35,
        liner=1.0,
        brows=0.45,
        evenness=0.55,
    ),
}


class Makeup(Stage):
    """Paint makeup on lips, lids, lash lines, brows and cheeks, and even the skin.

    They are drawn from the points of the face; the painter changes their colours in Lab, as a look says. The look of a
    reference photo is read in the same way: its lips as they are, its lids and cheeks relative to its skin, so
    that a look fits every skin colour (after BeautyGAN, Li et al. 2018, with moments for histograms).

    Options:
        reference: a photo whose makeup is transferred; instead of a look.
        look: natural (the default), rose, coral, evening or smoky.
        lips: how much of the look's lips, 0 to 1; or a colour instead, "#a02030" (in quotes) or a name such as crimson.
        eyes: the same for lids and lash lines.
        cheeks: the same for the cheeks.
        brows: how much of the look's brows, 0 to 1.
        skin: how much the skin is evened, 0 to 1 of the look's own amount.
        weights: those of BeautyGAN, which take all makeup from the reference.
        engine: torch; tensorflow runs the published graph itself (weights: the path of its model.meta).
        strength: 1 is the whole look, 0 none of it.
    """

    side = SIDE
    framing = TIGHT
    reads = ("points", "skin")
    keeps = ("cover", "glasses")
    networks = ("beautygan", "psgan")
    architectures: ClassVar = {"weights": ("beautygan-tf1", "beautygan-pytorch")}
    order = 10
    alternatives = (("reference", "look"),)
    variants = ("look",)
    reference_option = "reference"
    look: Tensor

    @validate_call
    def __init__(
        self,
        *,
        reference: Path | None = None,
        look: Literal["natural", "rose", "coral", "evening", "smoky"] | None = None,
        lips: Region | None = None,
        eyes: Region | None = None,
        cheeks: Region | None = None,
        brows: Amount | None = None,
        skin: Amount | None = None,
        weights: manifest.Ref | None = None,
        engine: Literal["torch", "tensorflow"] = "torch",
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        if reference and look:
            raise OptionError(f"{look!r} stands beside a reference; keep one of them", option="look")
        self.reference, self.strength = reference, strength
        self.lips, self.eyes, self.cheeks, self.brows, self.skin = lips, eyes, cheeks, brows, skin
        plain = {"lips": lips, "eyes": eyes, "cheeks": cheeks}
        self.colours = tuple(name for name, value in plain.items() if isinstance(value, str))
        if net := _load_transfer(weights, engine):
            self.weights = (str(weights),)
            refuse("they take all makeup from the reference", look=look, **plain, brows=brows, skin=skin)
            self.delegate = MakeupTransfer(net, reference=reference, strength=strength)
            return
        look_before_options = Look() if reference else LOOKS[look or "natural"]
        self.register_buffer("look", self._adjusted(look_before_options).tensor()[None], persistent=False)

    def prepare(self, references: References) -> None:
        """Read the look of the reference photo, where there is one."""
        if self.reference:
            person = references(self.reference)
            face = person.cut(self.framing, SIDE)
            maps = regions(**person.within(self.framing, face, self.reads))
            reference_look = Look.from_tensor(read_look(face, maps)[0])
            self.look = self._adjusted(reference_look).tensor()[None].to(self.look.device)

    def _adjusted(self, look: Look) -> Look:
        """Apply the options to ``look``.

        Amounts are scaled; a region with a colour of its own gets an amount that is strong enough to be seen.
        """
        lips, eyes, cheeks = (
            1.0 if isinstance(amount, str | None) else amount for amount in (self.lips, self.eyes, self.cheeks)
        )
        look = replace(
            look,
            lips_amount=look.lips_amount * lips,
            lids_amount=look.lids_amount * eyes,
            liner=look.liner * eyes,
            cheeks_amount=look.cheeks_amount * cheeks,
            brows=look.brows * (1.0 if self.brows is None else self.brows),
            evenness=look.evenness * (1.0 if self.skin is None else self.skin),
        )
        if isinstance(self.lips, str):
            look = replace(look, lips=colour(self.lips), lips_amount=max(look.lips_amount, 0.8))
        if isinstance(self.eyes, str):
            look = replace(look, lids=on_skin(self.eyes), lids_amount=max(look.lids_amount, 0.6))
        if isinstance(self.cheeks, str):
            look = replace(look, cheeks=on_skin(self.cheeks), cheeks_amount=max(look.cheeks_amount, 0.4))
        return look

    def forward(self, faces: Tensor, *, points: Tensor, skin: Tensor) -> Tensor:
        return paint(faces, regions(points, skin), self._looks(len(faces)))

    def forward_grey(self, faces: Tensor, *, points: Tensor, skin: Tensor) -> Tensor:
        """Paint the look's light, and its colours only where they were asked for by name."""
        maps, looks = regions(points, skin), self._looks(len(faces))
        named = looks.clone()
        named[:, [place for place in AMOUNTS if place not in {COLOURED[option] for option in self.colours}]] = 0
        return with_light_of(paint(faces, maps, named), paint(faces, maps, looks))

    def _looks(self, count: int) -> Tensor:
        """Repeat the look for ``count`` faces: (count, 15), its amounts scaled by the strength."""
        return scale_amounts(self.look, self.strength).expand(count, -1)


def _load_transfer(weights: str | None, engine: str) -> Transfer | None:
    """Load the network or engine that takes makeup from a reference face; None for our own painter."""
    if engine == "tensorflow":
        if weights is None or manifest.get(weights) is not None:
            raise OptionError(
                "tensorflow runs the published files themselves: weights: the path of model.meta", option="engine"
            )
        return TensorFlowGraph(Path(weights))
    if weights is None:
        return None
    loaded = manifest.load(weights)
    registry.expect(loaded, Makeup)
    return cast(Transfer, architectures.build(loaded.architecture, loaded.tensors))
