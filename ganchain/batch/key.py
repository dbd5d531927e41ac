"""What an output depends on, as one SHA-256: the same key, the same output."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ganchain import manifest, tf_bundle
from ganchain._version import VERSION
from ganchain.batch.journal import combined, digest
from ganchain.config import Chain

JSON = TypeAdapter(Any)


def chain_key(chain: Chain, weights: Iterable[str], template: str) -> str:
    """The key of a chain with all its defaults, the content of its files and weights, names and version.

    Args:
        weights: of all its stages, as ``Stage.weights`` names them.
        template: of the outputs' names.
    """
    stages = [
        [spec.name, f"{spec.cls.__module__}.{spec.cls.__qualname__}", _by_content(spec.options)]
        for spec in chain.stages
    ]
    described = {
        "stages": stages,
        "faces": chain.faces,
        "output": chain.output.model_dump(),
        "weights": [_weights(ref) for ref in weights],
        "template": template,
        "version": VERSION,
    }
    return combined([json.dumps(described, sort_keys=True)])


def photo_key(sha256: str, chain: str) -> str:
    """The key of the photo with content ``sha256`` in the chain with key ``chain``."""
    return combined([sha256, chain])


def _by_content(value: Any) -> Any:
    """Options as JSON, files as the digest of what is in them."""
    if isinstance(value, Path):
        return f"file {digest(value)}"
    if isinstance(value, dict):
        return {str(key): _by_content(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(one) for one in value]
    if isinstance(value, str) and Path(value).is_absolute() and Path(value).exists():
        return _weights(value)
    return JSON.dump_python(value, mode="json", fallback=repr)


def _weights(ref: str) -> str:
    """The digest of the weights ``ref``: of the manifest's file, or of the foreign files at that path."""
    if ref in manifest.entries():
        return manifest.entry(ref).sha256
    path = Path(ref)
    if (bundle := tf_bundle.prefix(path)) is not None:
        return combined(digest(file) for file in sorted(bundle.parent.glob(f"{bundle.name}.*")))
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return combined(digest(file) for file in files)
