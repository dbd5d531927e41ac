"""The recipes by name, their options, and what they need of a folder of one's own pictures."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, create_model
from ruamel.yaml import YAML

from ganchain.chains.document import Place, validated
from ganchain.errors import ChainError, available, suggestion
from ganchain.train import data as pictures
from ganchain.train.recipe import Recipe

RECIPES = {
    "makeup": "ganchain.train.makeup:Makeup",
    "attributes-hair": "ganchain.train.hair:Hair",
    "attributes-portrait": "ganchain.train.portrait:Portrait",
    "webtoon": "ganchain.train.webtoon:Webtoon",
    "upscale": "ganchain.train.upscale:Upscale",
    "upscale-detail": "ganchain.train.upscale_detail:UpscaleDetail",
    "age-gender": "ganchain.train.age_gender:Judge",
}
BUNDLED = tuple(RECIPES)  # the recipes of the weights that come along
RECIPES |= {
    "gan": "ganchain.train.papers.gan:GAN",
    "srresnet": "ganchain.train.papers.srresnet:SRResNetMSE",
    "srgan": "ganchain.train.papers.srgan:SRGAN",
    "cyclegan": "ganchain.train.papers.cyclegan:CycleGAN",
    "stargan": "ganchain.train.papers.stargan:StarGAN",
    "beautygan": "ganchain.train.papers.beautygan:BeautyGAN",
}

# what a folder of one's own crops must be like: their framing, and the columns of labels.csv
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "makeup": ("tight", ()),
    "attributes-hair": ("head", ()),
    "attributes-portrait": ("tight", ("gender", "age", "race", "dataset")),
    "age-gender": ("tight", ("gender", "age", "dataset")),
}
SIDE = 256  # px, of the crops that the bundled recipes learn from


def build(
    name: str,
    data: Path,
    settings: Sequence[str] = (),
    seed: int = 0,
    *,
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe ``name`` on the pictures under ``data``; its networks start from ``seed``.

    Args:
        settings: "key=value" strings for the recipe's options, the values as in YAML.
        options: the same, already checked.
    """
    cls = find(name)
    check(name, data)
    given = {**(options or {}), **chosen(cls, settings)}
    if "cache" in options_of(cls).model_fields and pictures.plain(data):
        given.setdefault("cache", Path("runs/cache") / f"{name}-{pictures.fingerprint(data)}")
    torch.manual_seed(seed)
    return cls(data, **given)  # type: ignore[call-arg]


def chosen(cls: type[Recipe], settings: Sequence[str]) -> dict[str, Any]:
    """The options of "key=value" strings, checked."""
    model = options_of(cls)
    given: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in model.model_fields:
            raise ChainError(available(key, model.model_fields), file=f"--set {setting}")
        given[key] = YAML(typ="safe").load(value)
    checked = validated(model, given, lambda *path: Place(f"--set {path[0]}"))
    return {key: getattr(checked, key) for key in given}


def find(name: str) -> type[Recipe]:
    """The recipe ``name``: one of ``RECIPES``, or "module:Class" of one's own."""
    module, colon, cls_name = RECIPES.get(name, name).partition(":")
    if not colon:
        lines = [f"  {key:20} {text}" for key, text in summaries().items()]
        raise ChainError(f"no recipe {name!r}; {suggestion(name, RECIPES)}available:\n" + "\n".join(lines))
    try:
        found = getattr(import_module(module), cls_name, None)
    except ModuleNotFoundError as error:
        raise ChainError(f"recipe {name}: no module {error.name!r}; {_cure(module, error.name)}") from error
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise ChainError(f"recipe {name}: {module} has no ganchain.train.recipe.Recipe {cls_name!r}")
    return found


def _cure(module: str, missing: str | None) -> str:
    if missing == module.partition(".")[0]:
        return f"{module}.py must lie beside the YAML, in the current folder, or be installed"
    return "what is needed is installed by: pip install 'ganchain[train]' (or 'ganchain[evaluate]', to evaluate)"


def options_of(cls: type[Recipe]) -> type[BaseModel]:
    """The options of a recipe as a pydantic model, read from its constructor's signature."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in list(inspect.signature(cls).parameters.items())[1:]  # without data
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def check(name: str, data: Path) -> None:
    """Say what is wrong with the folder of one's own crops ``data`` before a bundled recipe stumbles over it."""
    if name not in BUNDLED or not pictures.plain(data):
        return
    wanted, labels = NEEDS.get(name, (None, ()))
    framing, found = pictures.framing(data), pictures.samples(data)
    if wanted not in (None, framing):
        cure = f"ganchain align photos/ -o crops/ --framing {wanted}"
        raise ChainError(f"recipe {name}: the crops in {data} are framed {framing!r}; make others by: {cure}")
    if missing := [label for label in labels if not any(label in sample.labels for sample in found)]:
        raise ChainError(f"recipe {name}: labels are needed; {data / 'labels.csv'} has no column {', '.join(missing)}")
    for sample in found:
        width, height = pictures.size(sample.path)
        if height != width or width < SIDE or (name in NEEDS and width != SIDE):
            cure = f"ganchain align photos/ -o crops/ --side {SIDE}"
            raise ChainError(f"recipe {name}: {sample.path} has {width} x {height} px; make crops by: {cure}")


def summaries() -> dict[str, str]:
    """The first line of each recipe's docstring by name, without importing it."""
    return {name: _summary(place) for name, place in RECIPES.items()}


def _summary(place: str) -> str:
    module, _, cls_name = place.partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == cls_name:
            return (ast.get_docstring(node) or "").partition("\n")[0].replace("``", "")
    return ""
