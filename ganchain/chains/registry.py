"""Which stages there are: the files of ``ganchain.stages`` and the entry points ``ganchain.stages``."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

import ganchain.stages
from ganchain.errors import ChainError, available
from ganchain.stage import Stage

GROUP = "ganchain.stages"

# published networks by the stage that does their work, for users who look for the paper's name
NETWORKS = {
    "beautygan": "makeup",
    "psgan": "makeup",
    "stargan": "attributes",
    "stylegan": "webtoon",
    "stylegan2": "webtoon",
    "animegan": "webtoon",
    "animegan2": "webtoon",
    "cartoon": "webtoon",
    "srgan": "upscale",
    "srresnet": "upscale",
    "esrgan": "upscale",
}


def names() -> list[str]:
    """All stage names, built-in ones and those of installed packages."""
    built_in = {module.name for module in pkgutil.iter_modules(ganchain.stages.__path__)}
    return sorted(built_in | {point.name for point in entry_points(group=GROUP)})


def stage(name: str) -> type[Stage]:
    """The stage class called ``name`` in YAML.

    Raises:
        ChainError: there is none, or what the entry point names is no stage.
    """
    if name not in names():
        if name.lower() in NETWORKS:
            raise ChainError(f"{name!r} is a network; the stage is called {NETWORKS[name.lower()]!r}")
        raise ChainError(f"no stage {name!r}; {available(name, names())}")
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                found = point.load()
            except Exception as error:  # another package's module may fail in any way
                raise ChainError(f"the entry point {name!r} ({point.value}) cannot be imported: {error}") from error
            if not (isinstance(found, type) and issubclass(found, Stage)):
                raise ChainError(f"the entry point {name!r} ({point.value}) is no ganchain.stage.Stage")
            return found
    module = import_module(f"ganchain.stages.{name}")
    classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Stage)]
    return next(c for c in classes if c.__module__ == module.__name__ and c.__name__.lower() == name)


def stages() -> dict[str, type[Stage] | ChainError]:
    """Every stage by name; one of another package that cannot be used gives the error instead."""
    found: dict[str, type[Stage] | ChainError] = {}
    for name in names():
        try:
            found[name] = stage(name)
        except ChainError as error:
            found[name] = error
    return found


def options(cls: type[Stage]) -> type[BaseModel]:
    """The options of a stage as a pydantic model, read from its constructor's signature."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(cls).parameters.values():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def descriptions(cls: type[Stage]) -> dict[str, str]:
    """What the ``Options:`` section of a stage's docstring says of each option."""
    section = (inspect.getdoc(cls) or "").partition("Options:\n")[2]
    found: dict[str, str] = {}
    last = ""
    for line in section.splitlines():
        if not line.strip():
            break
        name, colon, text = line.strip().partition(": ")
        if colon and name in inspect.signature(cls).parameters:
            last = name
            found[name] = text
        elif last:
            found[last] += " " + line.strip()
    return found
