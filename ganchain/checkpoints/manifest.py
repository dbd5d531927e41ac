"""The weights: what there is, where it lies, whose it is, and that it is what it says."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from ruamel.yaml import YAML
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor

from ganchain.checkpoints import architectures, foreign, tensorflow
from ganchain.checkpoints.catalogue import Commercial, Sha256, match, published
from ganchain.errors import WeightsError, suggestion

Policy = Literal["any", "commercial"]


class Origin(BaseModel):
    """How a bundled file was trained, well enough to make it again."""

    model_config = ConfigDict(extra="forbid")
    recipe: str
    options: dict[str, int | float | str | list[int]] = {}
    seed: int
    date: date
    data: list[str]


class Source(BaseModel):
    """The foreign files that an imported entry was made of: name -> SHA-256."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, Sha256]
    page: str | None = None
    date: date


class Entry(BaseModel):
    """One weight file: of ``manifest.yaml``, or imported into the user's cache."""

    model_config = ConfigDict(extra="forbid")
    architecture: str
    file: str
    sha256: Sha256
    licence: str
    note: str = ""
    commercial: Commercial
    side: int | None = None
    origin: Origin | Source
    figures: dict[str, float] = {}


@dataclass(frozen=True)
class Weights:
    """Weights as a stage uses them.

    Attributes:
        ref: the key or path they were asked for by.
        architecture: a key of ``architectures.ARCHITECTURES``.
        side: the side in px they were trained at, where the tensors cannot tell.
        tensors: float32, by the network's own names.
    """

    ref: str
    architecture: str
    side: int | None
    tensors: dict[str, Tensor]


@lru_cache(maxsize=1)
def bundled() -> dict[str, Entry]:
    """The weights that come along, by key."""
    text = (resources.files("ganchain.weights") / "manifest.yaml").read_text(encoding="utf-8")
    try:
        return {key: Entry.model_validate(value) for key, value in (YAML(typ="safe").load(text) or {}).items()}
    except ValidationError as error:
        raise WeightsError(f"weights/manifest.yaml: {error}") from error


def cache() -> Path:
    """The user's folder of imported weights: ``$GANCHAIN_CACHE``, or the system's place for caches."""
    return Path(os.environ.get("GANCHAIN_CACHE") or platformdirs.user_cache_path("ganchain")) / "weights"


def imported() -> dict[str, Entry]:
    """The weights in the user's cache, by key."""
    found = {}
    for path in sorted(cache().glob("*.json")):
        with suppress(OSError, ValueError):  # one broken entry must not cost the others; `verify` names it
            entry = Entry.model_validate_json(path.read_text(encoding="utf-8"))
            if entry.file == Path(entry.file).name and entry.architecture in architectures.ARCHITECTURES:
                found[path.stem] = entry
    return found


def entries() -> dict[str, Entry]:
    """All weights that are here, by key."""
    return imported() | bundled()


def entry(key: str) -> Entry:
    """The entry ``key``; WeightsError says what there is, or how to get it."""
    if key not in entries():
        raise WeightsError(_missing(key))
    return entries()[key]


def _missing(key: str, at: str = "") -> str:
    if key in published():
        return f"the weights {key!r} are not here yet; get them by: ganchain weights fetch {key}"
    if (cache() / f"{key}.json").exists():
        return f"the entry of the weights {key!r} in {cache()} is broken; import them again"
    near = suggestion(key, [*entries(), *published()])
    return f"no weights {key!r}, neither a key nor a file{at}; {near}ganchain weights list shows all"


def _written(ref: object) -> object:
    """YAML reads 002000 as a number and nothing as None."""
    if not isinstance(ref, str | None) or ref == "":
        raise ValueError(f"{ref!r}: a key or a file's path is wanted; in quotes where it looks like a number")
    return ref


def _resolved(ref: str, info: ValidationInfo) -> str:
    """A key as it is; a path made absolute, from the chain's folder where the context gives one."""
    if ref in entries():
        return ref
    path = Path(ref)
    try:
        path = (info.context or {}).get("folder", Path()) / path.expanduser()
        found = path.exists() or tensorflow.prefix(path) is not None
    except (OSError, RuntimeError):  # a name no file can have, or nobody's home
        found = False
    if not found:
        raise ValueError(_missing(ref, f" ({path})"))
    return str(path.resolve())


Ref = Annotated[
    str, BeforeValidator(_written), AfterValidator(_resolved), WithJsonSchema({"type": "string", "format": "weights"})
]


def load(ref: str) -> Weights:
    """The weights ``ref``: a key, after the SHA-256 was checked, or the path of a foreign file.

    Raises:
        WeightsError: there are none, the file is not the one the manifest names, or it is of no known layout.
    """
    if ref not in entries() and Path(ref).is_absolute():
        architecture, found = architectures.recognise(foreign.read(Path(ref)))
        known = match(Path(ref))
        return Weights(ref, architecture, published()[known].side if known else None, found)
    described = entry(ref)
    return Weights(ref, described.architecture, described.side, tensors(ref))


def tensors(key: str) -> dict[str, Tensor]:
    """The state dict of the weights ``key``, float32 where it is no integer, after its SHA-256 was checked.

    Raises:
        WeightsError: the file is missing, or is not the one the manifest names.
    """
    return verified(key, content(key), entry(key).sha256)


def content(key: str) -> bytes:
    """The bytes of the weights ``key``, not checked."""
    folder = resources.files("ganchain.weights") if key in bundled() else cache()
    file = folder / entry(key).file
    try:
        return file.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {key!r}: cannot read {file}: {error.strerror}; {_cure(key)}") from error


def verified(key: str, found: bytes, digest: str) -> dict[str, Tensor]:
    """Parse the safetensors file ``found`` if its SHA-256 is ``digest``."""
    if sha256(found).hexdigest() != digest:
        raise WeightsError(
            f"weights {key!r}: the file was changed or cut ({len(found)} bytes, SHA-256 "
            f"{sha256(found).hexdigest()[:12]}…, expected {digest[:12]}…); {_cure(key)}"
        )
    try:
        return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in parse(found).items()}
    except SafetensorError as error:
        raise WeightsError(f"weights {key!r}: not a safetensors file: {error}") from error


def _cure(key: str) -> str:
    return "reinstall ganchain" if key in bundled() else "import or fetch the weights again"


def terms(ref: str) -> tuple[str, Commercial]:
    """Licence and commercial use of the weights ``ref``; of a foreign file, by its digest."""
    if ref in entries():
        return entries()[ref].licence, entries()[ref].commercial
    known = match(Path(ref))
    return (published()[known].licence, published()[known].commercial) if known else ("unknown", "unknown")


def permit(refs: Iterable[str], policy: Policy) -> None:
    """Refuse weights whose licence does not allow what ``policy`` wants, naming them."""
    if policy == "any":
        return
    found = {ref: terms(ref) for ref in refs}
    refused = [
        f"{ref} (licence: {licence}; commercial use: {use})" for ref, (licence, use) in found.items() if use != "yes"
    ]
    if refused:
        cure = "choose other weights, or license policy 'any'"
        raise WeightsError(f"license policy 'commercial' refuses {', '.join(refused)}; {cure}")
