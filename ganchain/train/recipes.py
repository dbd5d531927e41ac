"""The recipes by name, and their options from the command line."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from pydantic import ConfigDict, ValidationError, create_model

from ganchain.errors import ChainError, available
from ganchain.train.recipe import Recipe

RECIPES = {
    "makeup": "ganchain.train.makeup:Makeup",
    "attributes-hair": "ganchain.train.hair:Hair",
    "attributes-portrait": "ganchain.train.portrait:Portrait",
    "webtoon": "ganchain.train.webtoon:Webtoon",
    "upscale": "ganchain.train.upscale:Upscale",
}


def build(name: str, data: Path, settings: Sequence[str] = (), seed: int = 0) -> Recipe:
    """The recipe ``name`` on the pictures under ``data``; its networks start from ``seed``.

    Args:
        settings: "key=value" strings for the recipe's other options.
    """
    if name not in RECIPES:
        raise ChainError(f"no recipe {name!r}; {available(name, RECIPES)}")
    module, _, cls_name = RECIPES[name].partition(":")
    cls: type[Recipe] = getattr(import_module(module), cls_name)
    parameters = [p for p in inspect.signature(cls).parameters.values() if p.name != "data"]
    given: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in [p.name for p in parameters]:
            raise ChainError(f"--set {setting}: {available(key, [p.name for p in parameters])}")
        given[key] = value
    fields = {p.name: (type(p.default), p.default) for p in parameters}
    model = create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    try:
        options = model.model_validate(given).model_dump()
    except ValidationError as error:
        problem = error.errors()[0]
        raise ChainError(f"--set {problem['loc'][0]}: {problem['msg']}") from error
    torch.manual_seed(seed)
    return cls(data, **options)  # type: ignore[call-arg]
