"""Recipes by name, their options, and what they need of a folder of one's own pictures."""

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
from ganchain.errors import ChainError, available, shown, suggestion
from ganchain.train import data as pictures
from ganchain.train.recipe import Recipe

RECIPES = {
    "attributes-portrait": "ganchain.train.portrait:Portrait",
    "webtoon": "ganchain.train.webtoon:Webtoon",
    "upscale": "ganchain.train.upscale:Upscale",
    "upscale-detail": "ganchain.train.upscale_detail:UpscaleDetail",
    "upscale-fast": "ganchain.train.upscale:UpscaleFast",
    "upscale-standard": "ganchain.train.upscale:UpscaleStandard",
    "upscale-best": "ganchain.train.upscale:UpscaleBest",
    "restore": "ganchain.train.restore:Restore",
    "restore-face": "ganchain.train.restore:RestoreFace",
    "age-gender": "ganchain.train.age_gender:Judge",
    "points": "ganchain.train.points:Points",
    "parts": "ganchain.train.parts:Parts",
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

# needs of the recipes from a folder of one's own crops: framing, and columns of labels.csv
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "attributes-portrait": ("tight", ("gender", "age", "race", "dataset")),
    "age-gender": ("tight", ("gender", "age", "dataset")),
    "parts": ("head", ()),
    "restore-face": ("tight", ()),
}
LABELS = {"points": "points", "parts": "mattes"}  # kinds of a teacher's label files that a recipe needs
SIDE = 256  # px, side of the crops that the bundled recipes learn from


def build(
    name: str,
    data: Path,
    settings: Sequence[str] = (),
    seed: int = 0,
    *,
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Build the recipe ``name`` for the pictures under ``data``; its networks start from ``seed``.

    Args:
        settings: "key=value" strings for the recipe's options, the values as in YAML.
        options: the same, already checked.

    Raises:
        ChainError: there is no such recipe, an option is wrong, or the pictures do not serve.
    """
    cls = find(name)
    check(name, data)
    values = {**(options or {}), **parse_settings(cls, settings)}
    if "cache" in options_of(cls).model_fields and pictures.is_plain_folder(data):
        values.setdefault("cache", Path("runs/cache") / f"{name}-{pictures.fingerprint(data)}")
    torch.manual_seed(seed)
    return cls(data, **values)  # type: ignore[call-arg]


def parse_settings(cls: type[Recipe], settings: Sequence[str]) -> dict[str, Any]:
    """Parse and check options given as "key=value" strings.

    Raises:
        ChainError: there is no such option, or its value is wrong.
    """
    model = options_of(cls)
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in model.model_fields:
            raise ChainError(available(key, model.model_fields), file=f"--set {setting}")
        try:
            values[key] = YAML(typ="safe").load(value)
        except Exception as error:  # ruamel's constructors raise anything: a number of 5,000 digits
            raise ChainError(f"{shown(value)} is no YAML", file=f"--set {key}") from error
    checked = validated(model, values, lambda *path: Place(f"--set {path[0]}"))
    return {key: getattr(checked, key) for key in values}


def find(name: str) -> type[Recipe]:
    """Find the recipe ``name``: one of ``RECIPES``, or "module:Class" of one's own.

    Raises:
        ChainError: there is none; it says what is available.
    """
    module, colon, cls_name = RECIPES.get(name, name).partition(":")
    if not colon or not all(part.isidentifier() for part in module.split(".")):
        lines = [f"  {key:20} {text}" for key, text in summaries().items()]
        raise ChainError(f"no recipe {shown(name)}; {suggestion(name, RECIPES)}available:\n" + "\n".join(lines))
    try:
        recipe = getattr(import_module(module), cls_name, None)
    except ModuleNotFoundError as error:
        raise ChainError(f"recipe {name}: no module {error.name!r}; {_cure(module, error.name)}") from error
    if not (isinstance(recipe, type) and issubclass(recipe, Recipe)):
        raise ChainError(f"recipe {name}: {module} has no ganchain.train.recipe.Recipe {cls_name!r}")
    return recipe


def _cure(module: str, missing: str | None) -> str:
    """Say how to get the module that is missing."""
    if missing == module.partition(".")[0]:
        return f"{module}.py must lie beside the YAML, in the current folder, or be installed"
    return "what is needed is installed by: pip install 'ganchain[train]' (or 'ganchain[evaluate]', to evaluate)"


def options_of(cls: type[Recipe]) -> type[BaseModel]:
    """Build a pydantic model of a recipe's options from its constructor's signature."""
    hints = get_type_hints(cls.__init__, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in list(inspect.signature(cls).parameters.items())[1:]  # without data
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def check(name: str, data: Path) -> None:
    """Refuse a folder without a teacher's labels, or of one's own crops, that a bundled recipe cannot learn from.

    Raises:
        ChainError: labels are missing, or the framing, a label or the size is wrong; it says how to mend that.
    """
    if name in LABELS and not list(data.glob(f"{LABELS[name]}-*.npz")):
        file = data / f"{LABELS[name]}-wide256.npz"
        raise ChainError(f"recipe {name}: no labels {file}; docs/training.md says which teacher writes them")
    if name not in BUNDLED or not pictures.is_plain_folder(data):
        return
    needed, labels = NEEDS.get(name, (None, ()))
    framing, crops = pictures.crops_framing(data), pictures.samples(data)
    if needed not in (None, framing):
        cure = f"ganchain align photos/ -o crops/ --framing {needed}"
        raise ChainError(f"recipe {name}: the crops in {data} are framed {framing!r}; make others by: {cure}")
    if missing := [label for label in labels if not any(label in sample.labels for sample in crops)]:
        raise ChainError(f"recipe {name}: labels are needed; {data / 'labels.csv'} has no column {', '.join(missing)}")
    for sample in crops:
        width, height = pictures.picture_size(sample.path)
        if height != width or width < SIDE or (name in NEEDS and width != SIDE):
            cure = f"ganchain align photos/ -o crops/ --side {SIDE}"
            raise ChainError(f"recipe {name}: {sample.path} has {width} x {height} px; make crops by: {cure}")


def summaries() -> dict[str, str]:
    """Read the first line of each recipe's docstring by name, without importing it."""
    return {name: _summary(place) for name, place in RECIPES.items()}


def _summary(place: str) -> str:
    module, _, cls_name = place.partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == cls_name:
            return (ast.get_docstring(node) or "").partition("\n")[0].replace("``", "")
    return ""
