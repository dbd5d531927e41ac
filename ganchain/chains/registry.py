"""The registry of stages: the files of ``ganchain.stages``, and other packages' entry points of that name."""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from ganchain.checkpoints.manifest import Weights
from ganchain.errors import ChainError, OptionError, available, shown
from ganchain.stage import Stage

PACKAGE = GROUP = "ganchain.stages"


def built_in() -> list[str]:
    """List the names of the stages that are files of ``ganchain.stages``."""
    spec = find_spec(PACKAGE)
    return sorted(module.name for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else None))


@lru_cache(maxsize=1)
def _entry_points(_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Read the stages of the installed packages, anew only where Python's path has changed: it takes 5 ms."""
    return tuple(entry_points(group=GROUP))


def names() -> list[str]:
    """List the names of all stages, built-in ones and those of installed packages."""
    return sorted({*built_in(), *(point.name for point in _entry_points(tuple(sys.path)))})


def stage(name: str) -> type[Stage]:
    """Import the stage class called ``name`` in YAML.

    Raises:
        ChainError: there is no such stage, it cannot be imported, or its class is no ``Stage``.
    """
    for point in _entry_points(tuple(sys.path)):
        if point.name == name:
            return _from_entry_point(point)
    if name in built_in():
        return _from_file(name)
    for stage_name, cls in stages().items():
        if not isinstance(cls, ChainError) and name.lower() in cls.networks:
            raise ChainError(f"{name!r} is a network; the stage is called {stage_name!r}")
    raise ChainError(f"no stage {shown(name)}; {available(name, names())}")


def _from_entry_point(point: EntryPoint) -> type[Stage]:
    try:
        cls = point.load()
    except Exception as error:  # another package's module may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise ChainError(f"the entry point {point.name!r} ({point.value}) cannot be imported: {reason}") from error
    if not (isinstance(cls, type) and issubclass(cls, Stage)):
        raise ChainError(f"the entry point {point.name!r} ({point.value}) is no ganchain.stage.Stage")
    return cls


def _from_file(name: str) -> type[Stage]:
    try:
        module = import_module(f"{PACKAGE}.{name}")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ChainError(f"the file of the stage {name!r} cannot be imported: {reason}") from error
    classes = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Stage) and cls.__module__ == module.__name__
    ]
    if len(classes) != 1:
        defined = ", ".join(cls.__name__ for cls in classes) or "none"
        raise ChainError(f"the file of the stage {name!r} must define exactly one Stage subclass; it defines {defined}")
    return classes[0]


def name_of(cls: type[Stage]) -> str:
    """Look up the name of a stage class in YAML.

    A class that is not registered gets its name from its own: ``OilPaint`` in a script is called ``oil_paint``.
    """
    package, _, module = cls.__module__.rpartition(".")
    if package == PACKAGE:
        return module
    for point in _entry_points(tuple(sys.path)):
        if point.value == f"{cls.__module__}:{cls.__qualname__}":
            return point.name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def distribution(name: str) -> str:
    """Look up the distribution that brings the stage ``name`` by an entry point: "name version", or "" if none does."""
    for point in _entry_points(tuple(sys.path)):
        if point.name == name and point.dist is not None:
            return f"{point.dist.name} {point.dist.version}"
    return ""


def stages() -> dict[str, type[Stage] | ChainError]:
    """Import all stages, by name; a stage that cannot be used is replaced by its error."""
    classes: dict[str, type[Stage] | ChainError] = {}
    for name in names():
        try:
            classes[name] = stage(name)
        except ChainError as error:
            classes[name] = error
    return classes


def options_for(name: str, cls: type[Stage], architecture: str, trained_for: str | None = None) -> list[str]:
    """List the options of a stage that take weights of ``architecture``, trained for one stage or for any."""
    if trained_for not in (None, name):
        return []
    return [option for option, architectures in cls.architectures.items() if architecture in architectures]


def takers(architecture: str, trained_for: str | None = None) -> list[tuple[str, str]]:
    """List the (stage, option) pairs that take weights of ``architecture``, trained for one stage or for any."""
    usable = {name: cls for name, cls in stages().items() if not isinstance(cls, ChainError)}
    return [
        (name, option) for name, cls in usable.items() for option in options_for(name, cls, architecture, trained_for)
    ]


def expect(weights: Weights, cls: type[Stage]) -> None:
    """Refuse weights of an architecture that no option of the stage ``cls`` takes.

    Raises:
        OptionError: with the stages that take these weights, and the architectures that this stage takes.
    """
    if not options_for("", cls, weights.architecture):
        users = " and ".join(sorted({stage for stage, _ in takers(weights.architecture)})) or "no stage"
        expected = ", ".join(name for architectures in cls.architectures.values() for name in architectures)
        raise OptionError(
            f"{weights.ref} holds weights of {weights.architecture}, which serve {users}; "
            f"{name_of(cls)} takes {expected}",
            option="weights",
        )


def options(cls: type[Stage]) -> type[BaseModel]:
    """Read the options of a stage from its constructor's signature, as a pydantic model."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(cls).parameters.values():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def descriptions(cls: type[Stage]) -> dict[str, str]:
    """Read the description of each option from the ``Options:`` section of a stage's docstring."""
    section = (inspect.getdoc(cls) or "").partition("Options:\n")[2]
    texts: dict[str, str] = {}
    last = ""
    for line in section.splitlines():
        if not line.strip():
            break
        name, colon, text = line.strip().partition(": ")
        if colon and name in inspect.signature(cls).parameters:
            last = name
            texts[name] = text
        elif last:
            texts[last] += " " + line.strip()
    return texts
