"""Runs of recipes: read from YAML with line numbers, started, and kept beside the weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from ganchain import files
from ganchain.chains.document import Document, Place, reason_of, validated
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, shown
from ganchain.train import recipes
from ganchain.train.recipe import Recipe

FILE = "recipe.yaml"


class Run(BaseModel):
    """Settings that decide a run.

    Attributes:
        recipe: a name of ``recipes.RECIPES``, or module:Class.
        data, out: the folder of training pictures, and the folder of the results.
        start: weights to begin from instead of random ones: a key of the manifest, or a file.
        options: the recipe's own.
        device, devices: kind and number of the devices.
        precision: bf16-mixed, or 32-true where bfloat16 is slow or too coarse.
        every: steps between figures, samples and checkpoints; None: ten times a run, but at most 500.
    """

    model_config = ConfigDict(extra="forbid")
    recipe: str
    data: Path
    out: Path
    seed: int = 0
    start: manifest.Ref | None = None
    options: dict[str, Any] = {}
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    every: Annotated[int, Field(ge=1)] | None = None

    def go(self, *, threads: int | None = None, resume: bool = False) -> Path:
        """Train, and return the file of the weights."""
        recipe = recipes.build(self.recipe, self.data, seed=self.seed, options=self.options)
        if self.start is not None and not resume:
            _load(recipe, self.start)
        try:
            from ganchain.train import loop
        except ModuleNotFoundError as error:
            raise ChainError(f"{error}; training needs: pip install 'ganchain[train]'") from error
        loop.begin(self.out, resume)
        self._write()
        loop.train(
            recipe,
            self.out,
            seed=self.seed,
            threads=threads,
            every=self.every or min(500, max(1, recipe.steps // 10)),
            resume=resume,
            device=self.device,
            devices=self.devices,
            precision=self.precision,
        )
        return self.out / f"{recipe.key}.safetensors"

    def _write(self) -> None:
        """Write these settings to ``out``, so that the run can be resumed and repeated."""
        options = {key: value.resolve() if isinstance(value, Path) else value for key, value in self.options.items()}
        run = self.model_copy(update={"data": self.data.resolve(), "out": Path(), "options": options})
        text = StringIO()
        YAML().dump(run.model_dump(mode="json", exclude_none=True), text)
        files.write(self.out / FILE, text.getvalue())


def _load(recipe: Recipe, ref: str) -> None:
    """Load the weights ``ref`` into the recipe's network."""
    try:
        recipe.load(manifest.load(ref).tensors)
    except (KeyError, RuntimeError) as error:
        raise ChainError(
            f"{ref}: these weights are of another network than {recipe.key} trains", key="start"
        ) from error


def plan(recipe: str, fields: Mapping[str, Any], settings: Sequence[str] = (), *, resume: bool = False) -> Run:
    """Plan the run that ``ganchain train RECIPE`` asks for.

    Args:
        recipe: a recipe's name, module:Class, or a YAML file.
        fields: fields of ``Run`` that overrule the YAML's; those that are None do not.
        settings: "key=value" strings that overrule the YAML's options.
        resume: without a YAML file, read the one that was kept in the run's folder.

    Raises:
        ChainError: the recipe, an option or the YAML is wrong, or no pictures are named.
    """
    overrides = {key: value for key, value in fields.items() if value is not None}
    if "start" in overrides:
        overrides["start"] = weights_ref(overrides["start"], Place("--start"))
    _add_to_path(Path())
    run = _read_or_build(recipe, overrides, resume)
    run.options |= recipes.parse_settings(recipes.find(run.recipe), settings)
    return run


def weights_ref(ref: str, place: Place) -> str:
    """Check weights that were asked for at ``place``; returns their key, or the absolute path of a file."""
    try:
        return TypeAdapter(manifest.Ref).validate_python(ref)
    except ValidationError as error:
        raise place.error(reason_of(error.errors()[0])) from error


def _read_or_build(recipe: str, overrides: dict[str, Any], resume: bool) -> Run:
    """Read the run from a YAML file, or build it from ``overrides``."""
    file = Path(recipe)
    if file.suffix.lower() in (".yaml", ".yml"):
        return load(file, overrides)
    recipes.find(recipe)
    out = overrides.setdefault("out", Path("runs") / recipe.partition(":")[0])
    if resume and (out / FILE).is_file():
        return load(out / FILE, overrides)
    if "data" not in overrides:
        raise ChainError(f"recipe {recipe}: on which pictures? ganchain train {recipe} --data FOLDER")
    return Run(recipe=recipe, **overrides)


def load(file: Path, overrides: Mapping[str, Any] = MappingProxyType({})) -> Run:
    """Read and check a run in YAML; relative paths start at its folder.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    document = Document.read(file, "a run is a mapping, as in\nrecipe: webtoon\ndata: faces/")
    data = document.data
    _add_to_path(file.parent)
    name = data.get("recipe")
    if not isinstance(name, str):
        raise document.error(f"which one? {', '.join(recipes.RECIPES)}", "recipe")
    try:
        model = recipes.options_of(recipes.find(name))
    except ChainError as error:
        raise replace(document.place("recipe"), key="").add_to(error) from error.__cause__
    fields: dict[str, Any] = {"out": Path("runs") / file.stem, **data, **overrides}
    run = validated(Run, fields, document.place, folder=file.parent)
    options = validated(model, run.options, partial(document.place, "options"))
    values = {key: getattr(options, key) for key in options.model_fields_set}
    run.options = {key: _in_folder(value, file.parent) for key, value in values.items()}
    run.data = _in_folder(run.data, Path() if "data" in overrides else file.parent)
    run.out = _in_folder(run.out, Path() if "out" in overrides or "out" not in data else file.parent)
    if not run.data.is_dir():
        raise document.error(f"no folder {run.data}", "data")
    return run


def _in_folder(value: Any, folder: Path) -> Any:
    """Join a path to ``folder``; other values stay."""
    if not isinstance(value, Path):
        return value
    try:
        return folder / value.expanduser()
    except RuntimeError as error:
        raise ChainError(f"{shown(str(value))}: there is no such user") from error


def _add_to_path(folder: Path) -> None:
    """Put ``folder`` on the import path, so that the modules in it can be recipes."""
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
