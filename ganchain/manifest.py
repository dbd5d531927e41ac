"""The weights: what there is, where it lies, whose it is, and that it is what it says."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ganchain.errors import WeightsError, available


class Origin(BaseModel):
    """Where a weight file comes from, well enough to make it again."""

    model_config = ConfigDict(extra="forbid")
    recipe: str
    options: dict[str, int | float | str | list[int]] = {}
    seed: int
    date: date
    data: list[str]


class Entry(BaseModel):
    """One weight file of ``manifest.yaml``."""

    model_config = ConfigDict(extra="forbid")
    architecture: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str
    origin: Origin
    figures: dict[str, float] = {}


@lru_cache(maxsize=1)
def entries() -> dict[str, Entry]:
    """All entries by key."""
    text = (_folder() / "manifest.yaml").read_text(encoding="utf-8")
    try:
        return {key: Entry.model_validate(value) for key, value in (YAML(typ="safe").load(text) or {}).items()}
    except ValidationError as error:
        raise WeightsError(f"weights/manifest.yaml: {error}") from error


def entry(key: str) -> Entry:
    """The entry ``key``; WeightsError names what is available."""
    if key not in entries():
        raise WeightsError(f"no weights {key!r}; {available(key, entries())}")
    return entries()[key]


def tensors(key: str) -> dict[str, Tensor]:
    """The state dict of the weights ``key``, as float32, after its SHA-256 was checked.

    Raises:
        WeightsError: the file is missing, or is not the one the manifest names.
    """
    described = entry(key)
    file = _folder() / described.file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {key!r}: cannot read {file}: {error.strerror}") from error
    return verified(key, content, described.sha256)


def verified(key: str, content: bytes, digest: str) -> dict[str, Tensor]:
    """Parse the safetensors file ``content`` if its SHA-256 is ``digest``."""
    found = sha256(content).hexdigest()
    if found != digest:
        raise WeightsError(
            f"weights {key!r}: the file was changed or cut ({len(content)} bytes, SHA-256 {found[:12]}…, "
            f"expected {digest[:12]}…); reinstall ganchain or restore the file"
        )
    try:
        return {name: tensor.float() for name, tensor in load(content).items()}
    except SafetensorError as error:
        raise WeightsError(f"weights {key!r}: not a safetensors file: {error}") from error


def _folder() -> Traversable:
    return resources.files("ganchain.weights")
