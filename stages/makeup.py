"""Makeup: a named look, the look of a reference photo, or plain colours, painted on each face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, cast

import torch
from pydantic import AfterValidator, Field, WithJsonSchema, validate_call
from torch import Tensor

from ganchain.checkpoints import architectures, manifest
from ganchain.colour.makeup import REGIONS, Look, colour, on_skin, paint, read_look, scaled, soft_maps
from ganchain.framing import TIGHT
from ganchain.nets.unet import UNet
from ganchain.published.beautygan import MakeupTransfer, Transfer
from ganchain.published.tensorflow_graph import TensorFlowGraph
from ganchain.stage import Align, Stage, refuse

SIDE = 256  # of the training faces


def _checked(given: float | str) -> float | str:
    if isinstance(given, str):
        colour(given)
    elif not 0 <= given <= 1:
        raise ValueError("an amount is 0 to 1")
    return given


AMOUNT = {"type": "number", "minimum": 0, "maximum": 1}
Amount = Annotated[float, Field(ge=0, le=1)]
Region = Annotated[
    float | str, AfterValidator(_checked), WithJsonSchema({"anyOf": [AMOUNT, {"type": "string", "format": "colour"}]})
]

LOOKS = {
    "natural": Look(colour("#b05c66"), 0.5, on_skin("#a87f68"), 0.5, on_skin("#de8f80"), 0.35, 0.4, 0.2, 0.4),
    "rose": Look(colour("#c03a66"), 0.75, on_skin("#a8687a"), 0.5, on_skin("#df858c"), 0.4, 0.5, 0.25, 0.5),
    "coral": Look(colour("#d8543f"), 0.75, on_skin("#b87c58"), 0.55, on_skin("#e48a6c"), 0.4, 0.45, 0.25, 0.5),
    "evening": Look(colour("#9c1030"), 0.9, on_skin("#744a3c"), 0.75, on_skin("#d07c6c"), 0.4, 0.8, 0.4, 0.55),
    "smoky": Look(colour("#a8646a"), 0.7, on_skin("#5a453a"), 0.85, on_skin("#cc8472"), 0.35, 1.0, 0.45, 0.55),
}  # lips, lids, cheeks: colour and amount; liner, brows, evenness


class Makeup(Stage):
    """Paint makeup on lips, lids, lash lines, brows and cheeks, and even the skin.

    A network reads the regions off the face; the painter changes their colours in Lab, as a look says. A
    reference photo is read by the same network: its lips as they are, its lids and cheeks against its skin,
    so that a look fits every skin colour (after BeautyGAN, Li et al. 2018, with moments for histograms).

    Options:
        reference: a photo whose makeup is transferred; instead of a look.
        look: natural (when nothing is given), rose, coral, evening or smoky.
        lips: how much of the look's lips, 0 to 1; or a colour instead, "#a02030" (in quotes) or a name such as crimson.
        eyes: the same for lids and lash lines.
        cheeks: the same for the cheeks.
        brows: how much of the look's brows, 0 to 1.
        skin: how much the skin is evened, 0 to 1 of what the look asks.
        weights: other weights than the bundled ones; BeautyGAN's take all makeup from the reference.
        engine: torch; tensorflow runs the published graph itself (weights: the path of its model.meta).
        strength: 1 is the whole look, 0 none of it.
    """

    side = SIDE
    framing = TIGHT
    order = 10
    alternatives = (("reference", "look"),)
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
        weights: manifest.Ref = "makeup",
        engine: Literal["torch", "tensorflow"] = "torch",
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        if reference and look:
            raise ValueError(f"look: {look!r} stands beside a reference; keep one of them")
        self.reference, self.strength = reference, strength
        self.lips, self.eyes, self.cheeks, self.brows, self.skin = lips, eyes, cheeks, brows, skin
        self.weights = (weights,)
        if net := _transfer(weights, engine):
            regions = {"lips": lips, "eyes": eyes, "cheeks": cheeks, "brows": brows, "skin": skin}
            refuse("they take all makeup from the reference", look=look, **regions)
            self.hand_over(MakeupTransfer(net, reference=reference, strength=strength))
            return
        self.net = UNet.from_tensors(manifest.load(weights).tensors, outputs=len(REGIONS))
        named = Look() if reference else LOOKS[look or "natural"]
        self.register_buffer("look", self._asked(named).tensor()[None], persistent=False)

    def prepare(self, align: Align) -> None:
        """Read the look of the reference photo, where there is one."""
        if self.worker:
            self.worker.prepare(align)
        elif self.reference:
            face = align(self.reference, self.framing, SIDE).to(self.look.device)
            with torch.no_grad():
                read = Look.from_tensor(read_look(face, self.regions(face))[0])
            self.look = self._asked(read).tensor()[None].to(face.device)

    def _asked(self, look: Look) -> Look:
        """``look`` in the amounts that were asked for, and in the colours, strong enough to be seen."""
        lips, eyes, cheeks = (
            1.0 if isinstance(one, str | None) else one for one in (self.lips, self.eyes, self.cheeks)
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

    def regions(self, faces: Tensor) -> Tensor:
        """(N, 3, 256, 256) -1..1 -> (N, 6, 256, 256) soft maps 0..1, in the order of ``REGIONS``."""
        return soft_maps(self.net(faces))

    def forward(self, faces: Tensor) -> Tensor:
        if self.worker:
            return self.worker.forward(faces)
        looks = scaled(self.look, self.strength).expand(len(faces), -1)
        return paint(faces, self.regions(faces), looks)


def _transfer(weights: str, engine: str) -> Transfer | None:
    """The network or engine that takes makeup from a reference face; None for weights of our own painter."""
    if engine == "tensorflow":
        if weights in manifest.entries():
            raise ValueError("engine: tensorflow runs the published files themselves: weights: the path of model.meta")
        return TensorFlowGraph(Path(weights))
    given = manifest.load(weights)
    architectures.expect(weights, given.architecture, "makeup")
    if given.architecture == "unet":
        return None
    return cast(Transfer, architectures.build(given.architecture, given.tensors))
