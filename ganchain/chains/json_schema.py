"""The JSON schema of a chain, for editors and forms."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from ganchain.chains import registry
from ganchain.chains.chain import Head
from ganchain.checkpoints import manifest
from ganchain.errors import is_bug, text_of
from ganchain.stage import Stage

log = logging.getLogger(__name__)

Choices = dict[str, dict[str, list[Any]]]


def schema() -> dict[str, Any]:
    """Build the JSON schema of a chain."""
    head = Head.model_json_schema()
    usable = {name: cls for name, cls in registry.stages().items() if isinstance(cls, type)}
    variants: list[dict[str, Any]] = [{"enum": list(usable)}]
    for name, cls in usable.items():
        model = registry.options(cls).model_json_schema()
        for option, text in registry.descriptions(cls).items():
            model["properties"][option]["description"] = text
        model["allOf"] = [
            {
                "if": {"properties": {"weights": {"const": key or None}}},
                "then": {"properties": {option: {"enum": [*values, None]}}},
            }
            for option, by_key in choices(name, cls).items()
            for key, values in by_key.items()
        ]
        variants.append({"type": "object", "properties": {name: model}, "required": [name], "maxProperties": 1})
    head["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    head["title"] = "ganchain chain"
    head["properties"]["stages"] = {"type": "array", "minItems": 1, "items": {"anyOf": variants}}
    head["required"] = ["stages"]
    return head


def choices(name: str, cls: type[Stage]) -> Choices:
    """List the values of those options of a stage that its weights decide on: option -> key of weights -> values.

    The key "" stands for the bundled weights; keys of weights that cannot be used are left out.
    """
    known: Choices = {}
    keys = {"": "bundled"} | {
        key: entry.sha256
        for key, entry in manifest.entries().items()
        if "weights" in registry.options_for(name, cls, entry.architecture, entry.stage)
    }
    for key, digest in keys.items():
        for option, values in _choices(name, key, digest).items():
            known.setdefault(option, {})[key] = values
    return known


@lru_cache(maxsize=64)
def _choices(name: str, key: str, digest: str) -> dict[str, list[Any]]:
    """Ask a stage for its choices with the weights ``key``, whose digest tells them from others of that name."""
    try:
        return {option: list(values) for option, values in registry.stage(name).choices(key or None).items()}
    except Exception as error:  # broken weights, a package that is missing, or another package's bug
        log.log(logging.WARNING if is_bug(error) else logging.INFO, "choices with %s: %s", key, text_of(error))
        return {}
