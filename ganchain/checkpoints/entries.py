"""Entries of weight files: file, digest, network, licence and origin."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Commercial = Literal["yes", "no", "unknown"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Sha1 = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class Origin(BaseModel):
    """Training of a bundled file, in enough detail to repeat it."""

    model_config = ConfigDict(extra="forbid")
    recipe: str
    options: dict[str, int | float | str | list[int]] = {}
    seed: int
    date: date
    data: list[str]


class Source(BaseModel):
    """Foreign files that an imported entry was made of: name -> SHA-256."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, Sha256]
    page: str | None = None
    date: date


class Entry(BaseModel):
    """One weight file: of ``manifest.yaml``, or imported into the user's cache.

    Attributes:
        architecture: a key of ``architectures.ARCHITECTURES``; or "shape-predictor", which is no network.
        stage: the stage that the weights were trained for, where several take their architecture.
        file: its name, in the folder of the entry.
        commercial: whether the licence allows commercial use.
        side: the side in px of the training faces, where the tensors cannot tell.
        figures: held-out figures, as on its card.
    """

    model_config = ConfigDict(extra="forbid")
    architecture: str
    stage: str | None = None
    file: str
    sha256: Sha256
    licence: str
    note: str = ""
    commercial: Commercial
    side: int | None = None
    origin: Origin | Source
    figures: dict[str, float] = {}
