"""Looks in YAML: those of users, and those in ``configs/looks``, read with line numbers."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ganchain.chains.document import Document, validated
from ganchain.colour.laid import ADAPTED
from ganchain.colour.makeup import Look, colour, on_skin
from ganchain.errors import available, shown
from ganchain.faces.regions import Shape

EXPECTED = 'a look is a mapping, as in\nlips: {colour: "#b05c66", amount: 0.5}'
SUFFIXES = (".yaml", ".yml")


def _is_colour(text: str) -> str:
    colour(text)
    return text


Amount = Annotated[float, Field(ge=0, le=1)]
Colour = Annotated[str, AfterValidator(_is_colour)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lips(_Settings):
    """Lipstick; ``gradient``: paler at the rim, ``outline``: darker there."""

    colour: Colour = "#b05c66"
    amount: Amount
    gradient: Amount = 0.0
    outline: Amount = 0.0


class Lids(_Settings):
    """Eye shadow, and where it is (``ganchain.faces.regions.Shape``)."""

    colour: Colour = "#a87f68"
    amount: Amount
    height: Amount = 0.45
    depth: Amount = 0.0
    under: Amount = 0.0


class Liner(_Settings):
    """Liner along the lashes, and how far it goes on as a wing."""

    amount: Amount
    wing: Amount = 0.0


class Blush(_Settings):
    """Blush, and where it is on the cheek."""

    colour: Colour = "#de8f80"
    amount: Amount
    place: Literal["high", "middle", "low"] = "middle"


class LookFile(_Settings):
    """Look as its file says it; colours of lids and blush are meant for skin of a middle tone."""

    lips: Lips = Lips(amount=0)
    lids: Lids = Lids(amount=0)
    liner: Liner = Liner(amount=0)
    blush: Blush = Blush(amount=0)
    brows: Amount = 0.0
    contour: Amount = 0.0
    highlight: Amount = 0.0
    skin: Amount = 0.0


class Painted(NamedTuple):
    """Look with the places at which it is painted."""

    look: Look
    shape: Shape


def bundled() -> list[str]:
    """List the names of the looks in ``configs/looks``."""
    folder = resources.files("ganchain.configs") / "looks"
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def load(look: str | Path) -> Painted:
    """Read and check a look, by the name of a bundled one or by the path of its file.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    if look in bundled():
        return _load(Path(str(resources.files("ganchain.configs") / "looks" / f"{look}.yaml")))
    return _read(Path(look))


@lru_cache(maxsize=32)
def _load(path: Path) -> Painted:
    return _read(path)


def _read(path: Path) -> Painted:
    document = Document.read(path, EXPECTED)
    return _painted(validated(LookFile, document.data, document.place))


def _painted(file: LookFile) -> Painted:
    lips, lids, liner, blush = file.lips, file.lids, file.liner, file.blush
    look = Look(
        lips=colour(lips.colour),
        adapted=ADAPTED,
        lips_amount=lips.amount,
        gradient=lips.gradient,
        outline=lips.outline,
        lids=on_skin(lids.colour),
        lids_amount=lids.amount,
        cheeks=on_skin(blush.colour),
        cheeks_amount=blush.amount,
        liner=liner.amount,
        brows=file.brows,
        contour=file.contour,
        highlight=file.highlight,
        evenness=file.skin,
    )
    return Painted(look, Shape(lids.height, lids.depth, lids.under, liner.wing, blush.place))


def _named(value: object) -> object:
    """Keep the name of a bundled look; take a YAML file's path for a path, and refuse all else."""
    if isinstance(value, str) and value not in (names := bundled()):
        if not value.lower().endswith(SUFFIXES):
            raise ValueError(f"{shown(value)} is none of these; {available(value, names)}, or a YAML file's path")
        return Path(value)
    return value


LookRef = Annotated[
    str | Path,
    BeforeValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": bundled()}, {"type": "string", "format": "path"}]}),
]
