"""Find, verify and load weights by key, bundled or imported, or by the path of a foreign file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationError, ValidationInfo, WithJsonSchema
from ruamel.yaml import YAML
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor

from ganchain.checkpoints import architectures, cache, foreign, tensorflow
from ganchain.checkpoints.catalogue import match, published
from ganchain.checkpoints.entries import Commercial, Entry
from ganchain.errors import WeightsError, shown, suggestion

Policy = Literal["any", "commercial"]


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights as a stage uses them.

    Attributes:
        ref: the key or path that was asked for.
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
    """Read the entries of the weights that come with ganchain, by key."""
    text = (resources.files("ganchain.weights") / "manifest.yaml").read_text(encoding="utf-8")
    try:
        return {key: Entry.model_validate(value) for key, value in (YAML(typ="safe").load(text) or {}).items()}
    except ValidationError as error:
        raise WeightsError(str(error), ref="weights/manifest.yaml") from error


def get(key: str) -> Entry | None:
    """Look up the entry ``key``, bundled or imported; None where there is none."""
    return bundled().get(key) or cache.get(key)


def entry(key: str) -> Entry:
    """Look up the entry ``key``, bundled or imported.

    Raises:
        WeightsError: there is none; the text says how to get it, or suggests a key.
    """
    if (weights_entry := get(key)) is None:
        raise WeightsError(_missing(key))
    return weights_entry


def entries() -> dict[str, Entry]:
    """Read all entries, by key. To look up a single one, ``get`` reads less."""
    return cache.entries() | bundled()


def all_keys() -> list[str]:
    """List the keys of all weights, bundled or imported, those with a broken entry included."""
    return [*bundled(), *cache.all_keys()]


def _missing(key: str, at: str = "") -> str:
    """Say why there are no weights ``key``, and how to get them."""
    if key in published():
        return f"the weights {key!r} are not here yet; get them by: ganchain weights fetch {key}"
    if key in cache.all_keys():
        return f"the entry of the weights {key!r} in {cache.folder()} is broken; import them again"
    near = suggestion(key, [*entries(), *published()])
    return f"no weights {shown(key)}, neither a key nor a file{at}; {near}ganchain weights list shows all"


def _is_text(ref: object) -> object:
    """Refuse references that YAML read as something else: 002000 without quotes is a number."""
    if not isinstance(ref, str | None) or ref == "":
        raise ValueError(f"{ref!r}: a key or a file's path is wanted; in quotes where it looks like a number")
    return ref


def _resolved(ref: str, info: ValidationInfo) -> str:
    """Keep a key as it is; make a path absolute, from the chain's folder where the context gives one."""
    if get(ref) is not None:
        return ref
    path = Path(ref)
    try:
        path = (info.context or {}).get("folder", Path()) / path.expanduser()
        exists = path.exists() or tensorflow.prefix(path) is not None
    except (OSError, RuntimeError, ValueError):  # a name no file can have, or nobody's home
        exists = False
    if not exists:
        raise ValueError(_missing(ref, f" ({path})" if str(path).isprintable() else ""))
    return str(path.resolve())


Ref = Annotated[
    str, BeforeValidator(_is_text), AfterValidator(_resolved), WithJsonSchema({"type": "string", "format": "weights"})
]


def load(ref: str) -> Weights:
    """Load the weights ``ref``: a key, after the SHA-256 was checked, or the absolute path of a foreign file.

    Raises:
        WeightsError: there are none, the file has another digest than its entry says, or its layout is unknown.
    """
    if get(ref) is None and Path(ref).is_absolute():
        architecture, content = architectures.recognise(foreign.read(Path(ref)))
        key = match(Path(ref))
        return Weights(ref, architecture, published()[key].side if key else None, content)
    weights_entry = entry(ref)
    if weights_entry.architecture not in architectures.ARCHITECTURES:
        raise WeightsError(f"{ref!r} is a {weights_entry.architecture}, no network: no stage takes it")
    return Weights(ref, weights_entry.architecture, weights_entry.side, tensors(ref))


def tensors(key: str) -> dict[str, Tensor]:
    """Load the state dict of the weights ``key``, float32 where it is no integer, after its SHA-256 was checked.

    Raises:
        WeightsError: the file is missing, or has another digest than its entry says.
    """
    return verified(key, _content(key), entry(key).sha256)


def _content(key: str) -> bytes:
    """Read the file of the weights ``key``."""
    folder = resources.files("ganchain.weights") if key in bundled() else cache.folder()
    file = folder / entry(key).file
    try:
        return file.read_bytes()
    except OSError as error:
        raise WeightsError(f"weights {key!r}: cannot read {file}: {error.strerror}; {_cure(key)}") from error


def verified(key: str, content: bytes, digest: str) -> dict[str, Tensor]:
    """Parse the safetensors file of the weights ``key`` after its SHA-256 was compared with ``digest``.

    Raises:
        WeightsError: it is another file.
    """
    _check(key, content, digest)
    try:
        return {name: value.float() if value.is_floating_point() else value for name, value in parse(content).items()}
    except SafetensorError as error:
        raise WeightsError(f"weights {key!r}: not a safetensors file: {error}") from error


def _check(key: str, content: bytes, digest: str) -> None:
    """Refuse a ``content`` that has another SHA-256 than ``digest``."""
    actual = sha256(content).hexdigest()
    if actual != digest:
        raise WeightsError(
            f"weights {key!r}: the file was changed or cut ({len(content)} bytes, SHA-256 {actual[:12]}…, expected "
            f"{digest[:12]}…); {_cure(key)}"
        )


def problem(key: str) -> str | None:
    """Check the weights ``key``: returns what is wrong with them, or None."""
    try:
        if entry(key).architecture in architectures.ARCHITECTURES:
            tensors(key)
        else:
            _check(key, _content(key), entry(key).sha256)
    except WeightsError as error:
        return str(error)
    return None


def _cure(key: str) -> str:
    """Say how to get a whole file again."""
    return "reinstall ganchain" if key in bundled() else "import or fetch the weights again"


def terms(ref: str) -> tuple[str, Commercial]:
    """Look up licence and commercial use of the weights ``ref``; of a foreign file by its digest."""
    if (weights_entry := get(ref)) is not None:
        return weights_entry.licence, weights_entry.commercial
    key = match(Path(ref))
    return (published()[key].licence, published()[key].commercial) if key else ("unknown", "unknown")


def permit(refs: Iterable[str], policy: Policy) -> None:
    """Refuse weights whose licence does not allow the use that ``policy`` names.

    Raises:
        WeightsError: names them.
    """
    if policy == "any":
        return
    refused = [
        f"{ref} (licence: {licence}; commercial use: {use})"
        for ref, (licence, use) in ((ref, terms(ref)) for ref in dict.fromkeys(refs))
        if use != "yes"
    ]
    if refused:
        cure = "choose other weights, or license policy 'any'"
        raise WeightsError(f"license policy 'commercial' refuses {', '.join(refused)}; {cure}")
