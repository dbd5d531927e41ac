"""Stage ``makeup``: a named look, the look of a reference photo, or plain colours, painted on each face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, WithJsonSchema, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import architectures, manifest
from ganchain.colour.makeup import Look, colour, on_skin, paint
from ganchain.errors import OptionError, refuse
from ganchain.faces.regions import PLAIN, regions
from ganchain.framing import TIGHT
from ganchain.looks.files import LookRef, load
from ganchain.looks.transfer import Reference
from ganchain.published.beautygan import MakeupTransfer, Transfer
from ganchain.published.tensorflow_graph import TensorFlowGraph
from ganchain.stage import References, Stage
from ganchain.tensors import with_light_of

LARGEST = 512  # px: faces are painted at their own resolution, but at this side at most
COLOURED = {"lips": "lips_amount", "eyes": "lids_amount", "cheeks": "cheeks_amount"}  # options that take a colour


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


class Makeup(Stage):
    """Paint makeup on lips, lids, lash lines, brows and cheeks, and even the skin.

    They are drawn from the points of the face; the painter changes their colours in Lab, as a look says. Of a reference
    photo the whole makeup is taken: the reference and the face are laid onto a common map, and what the reference wears
    beyond bare skin is put onto the face at the same places, relative to its skin.

    Options:
        reference: a photo whose makeup is transferred; instead of a look.
        look: the name of a bundled look (natural by default; `ganchain looks` draws them all), or a look's YAML file.
        lips: how much of the look's lips, 0 to 1; or a colour instead, "#a02030" (in quotes) or a name such as crimson.
        eyes: the same for lids and lash lines.
        cheeks: the same for the cheeks, and of a reference for all skin that is not around the eyes.
        brows: how much of the look's brows, 0 to 1.
        skin: how much the skin is evened, 0 to 1 of the look's own amount.
        weights: those of BeautyGAN, which take all makeup from the reference.
        engine: torch; tensorflow runs the published graph itself (weights: the path of its model.meta).
        strength: 1 is the whole look, 0 none of it.
    """

    side = None
    largest = LARGEST
    framing = TIGHT
    reads = ("points", "skin")
    keeps = ("cover", "glasses")
    networks = ("beautygan", "psgan")
    architectures: ClassVar = {"weights": ("beautygan-tf1", "beautygan-pytorch")}
    order = 10
    alternatives = (("reference", "look"),)
    variants = ("look",)
    reference_option = "reference"
    worn: Reference | None = None

    @validate_call
    def __init__(
        self,
        *,
        reference: Path | None = None,
        look: LookRef | None = None,
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
            raise OptionError(f"{str(look)!r} stands beside a reference; keep one of them", option="look")
        self.reference, self.strength = reference, strength
        self.lips, self.eyes, self.cheeks, self.brows, self.skin = lips, eyes, cheeks, brows, skin
        plain = {"lips": lips, "eyes": eyes, "cheeks": cheeks}
        self.colours = tuple(name for name, value in plain.items() if isinstance(value, str))
        if net := _load_transfer(weights, engine):
            self.weights = (str(weights),)
            refuse("they take all makeup from the reference", look=look, **plain, brows=brows, skin=skin)
            self.delegate = MakeupTransfer(net, reference=reference, strength=strength)
            return
        painted, self.shape = (Look(), PLAIN) if reference else load(look or "natural")
        self.look = self._adjusted(painted)

    def prepare(self, references: References) -> None:
        """Read the makeup of the reference photo, where there is one."""
        if self.reference:
            self.take(Reference.read(references(self.reference)))

    def take(self, worn: Reference) -> None:
        """Wear the makeup of a reference that was read."""
        self.worn, self.look = worn, self._adjusted(worn.look)

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
            look = replace(look, lips=colour(self.lips), adapted=0.0, lips_amount=max(look.lips_amount, 0.8))
        if isinstance(self.eyes, str):
            look = replace(look, lids=on_skin(self.eyes), lids_amount=max(look.lids_amount, 0.6))
        if isinstance(self.cheeks, str):
            look = replace(look, cheeks=on_skin(self.cheeks), cheeks_amount=max(look.cheeks_amount, 0.4))
        return look

    def forward(self, faces: Tensor, *, points: Tensor, skin: Tensor) -> Tensor:
        maps, laid = self._maps(points, skin), None
        if self.worn:
            eyes, rest = (
                0.0 if isinstance(amount, str) else self.strength * (1.0 if amount is None else amount)
                for amount in (self.eyes, self.cheeks)
            )
            laid = self.worn.lay(faces, points, maps, eyes, rest)
            laid = laid._replace(lips=None) if isinstance(self.lips, str) else laid
        return paint(faces, maps, self.look.scaled(self.strength), laid)

    def forward_grey(self, faces: Tensor, *, points: Tensor, skin: Tensor) -> Tensor:
        """Paint the look's light, and its colours only where they were asked for by name."""
        named = frozenset(COLOURED[option] for option in self.colours)
        coloured = paint(faces, self._maps(points, skin), self.look.scaled(self.strength, named))
        return with_light_of(coloured, self(faces, points=points, skin=skin))

    def _maps(self, points: Tensor, skin: Tensor) -> Tensor:
        """Draw the regions that the look paints."""
        look = self.look
        return regions(points, skin, self.shape, bool(look.cheeks_amount or look.contour or look.highlight))


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
