"""Digests of chains: one SHA-256 of everything an output depends on, so that equal digests mean equal outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ganchain import files
from ganchain._version import VERSION
from ganchain.chains import registry
from ganchain.chains.chain import Chain, StageSpec
from ganchain.checkpoints import manifest, tensorflow

LANDMARKS, PROPOSALS = "landmarks", "proposals"  # keys of the weights by which every face is found and aligned
_KNOWN = ("ganchain", "torch", "builtins")  # packages whose code is no plug-in's
_OURS = ("attributes", "makeup", "restore", "upscale", "webtoon")  # files of ``ganchain.stages``; users add others
_JSON = TypeAdapter(Any)


def chain_hash(chain: Chain, weights: Iterable[str]) -> str:
    """Compute the SHA-256 of a chain with all its defaults, its files' and weights' content, and the code's versions.

    Args:
        weights: the weights of all its stages, as in ``Stage.weights``.
    """
    stages = [
        [spec.name, f"{spec.cls.__module__}.{spec.cls.__qualname__}", _by_content(spec.options), *_code(spec)]
        for spec in chain.stages
    ]
    described = {
        "stages": stages,
        "faces": chain.faces,
        "output": chain.output.model_dump(exclude=None if chain.output.label else {"label"}),
        "weights": [_weights(ref) for ref in weights],
        "landmarks": manifest.entry(LANDMARKS).sha256,
        "proposals": manifest.entry(PROPOSALS).sha256,
        "version": VERSION,
    }
    return files.sha256_of_texts(json.dumps(described, sort_keys=True))


def chain_key(chain: Chain, weights: Iterable[str], template: str, engine: str | Mapping[str, str]) -> str:
    """Compute the key of a chain in a batch from its hash, the ``template`` of the outputs' names and the ``engine``.

    The engine is the one that was asked for: what "auto" chooses stands in the record.
    """
    asked = engine if isinstance(engine, str) else json.dumps(dict(engine), sort_keys=True)
    return files.sha256_of_texts(chain_hash(chain, weights), template, asked)


def photo_key(photo: str, chain: str) -> str:
    """Compute the key of an output from the SHA-256 of its ``photo`` and the key of its ``chain``."""
    return files.sha256_of_texts(photo, chain)


def _code(spec: StageSpec) -> list[str]:
    """Describe the code of a stage that is not ours, by distribution and sources; of ours, VERSION says enough."""
    foreign = sorted({base.__module__ for base in spec.cls.__mro__ if not _is_ours(base.__module__)})
    sources = [file for module in foreign for file in _sources(module) if file.is_file()]
    return [registry.distribution(spec.name), *map(files.sha256, sources)] if foreign else []


def _is_ours(module: str) -> bool:
    """Say whether a change of the module comes with a version of ganchain or of torch, or with Python's."""
    package, _, name = module.rpartition(".")
    return name in _OURS if package == registry.PACKAGE else module.partition(".")[0] in _KNOWN


def _sources(module: str) -> list[Path]:
    """List the Python files of the outermost package of ``module``, or its own file; none where it has no file."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    for name in [module] if parts[0] in _KNOWN else names:
        if file := getattr(sys.modules.get(name), "__file__", None):  # a namespace package has none
            path = Path(file)
            return sorted(path.parent.rglob("*.py")) if path.stem == "__init__" else [path]
    return []


def _by_content(value: Any) -> Any:
    """Turn an option's value into JSON; a file becomes the digest of its content."""
    if isinstance(value, Path):
        return f"file {files.sha256(value)}"
    if isinstance(value, dict):
        return {str(key): _by_content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_by_content(item) for item in value]
    if isinstance(value, str) and Path(value).is_absolute() and Path(value).exists():
        return _weights(value)
    return _JSON.dump_python(value, mode="json", fallback=repr)


def _weights(ref: str) -> str:
    """Look up the digest of the weights ``ref`` in the manifest, or compute it from the foreign files at that path."""
    if (entry := manifest.get(ref)) is not None:
        return entry.sha256
    path = Path(ref)
    if (bundle := tensorflow.prefix(path)) is not None:
        parts = sorted(file for file in bundle.parent.iterdir() if file.is_file() and tensorflow.prefix(file) == bundle)
    else:
        parts = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return files.sha256_of_texts(*map(files.sha256, parts))
