"""Chains in YAML: read with line numbers, checked against the stages' own signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain.chains import registry
from ganchain.chains.document import Document, Key, Locate, Place, colour_hint, validated
from ganchain.checkpoints.manifest import Policy
from ganchain.errors import (
    LONGEST_SHOWN,
    ChainError,
    GanchainError,
    OptionError,
    StageError,
    available,
    shown,
    text_of,
)
from ganchain.faces.detect import FaceRule
from ganchain.files import is_file
from ganchain.photos.images import Format
from ganchain.stage import Stage

EXPECTED = "a chain is a mapping with the key 'stages'"


class Output(BaseModel):
    """The output of a chain: which pictures are written, and how."""

    model_config = ConfigDict(extra="forbid")
    write: Annotated[
        Literal["photo", "faces", "both"], Field(description="The whole photo, a picture of each face, or both.")
    ] = "photo"
    format: Annotated[Format, Field(description="Of the pictures.")] = "png"
    side: Annotated[int | None, Field(ge=64, le=4096, description="Of the face pictures, in px.")] = None
    location: Annotated[Literal["keep", "strip"], Field(description="strip takes GPS data out.")] = "keep"
    mark: Annotated[bool, Field(description="Say in the pictures' metadata that a network edited them.")] = True
    label: Annotated[str, Field(max_length=40, description="A small word in a corner of edited pictures.")] = ""

    @model_validator(mode="after")
    def _side_is_of_faces(self) -> Self:
        if self.side is not None and self.write != "faces":
            raise ValueError("side is that of face pictures: it needs write: faces")
        if self.format == "svg" and self.write != "photo":
            raise ValueError("svg is that of whole photos: it needs write: photo")
        if self.format == "svg" and self.label:
            raise ValueError("a label is written in px: it needs another format than svg")
        return self


class Head(BaseModel):
    """The settings of a chain beside its stages."""

    model_config = ConfigDict(extra="forbid")
    faces: Literal["all", "largest", "best"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = "all"
    output: Output = Output()
    license_policy: Policy = "any"


@dataclass(frozen=True)
class StageSpec:
    """One stage of a chain with all its options, defaults included.

    Attributes:
        name, cls: the stage's name in YAML, and its class.
        options: arguments of its constructor.
        place: where the chain asks for the stage.
        places: where the chain asks for each option.
    """

    name: str
    cls: type[Stage]
    options: dict[str, Any]
    place: Place
    places: dict[str, Place]

    @classmethod
    def check(cls, name: str, values: Mapping[str, Any], locate: Locate, folder: Path = Path()) -> StageSpec:
        """Check a stage and the values of its options.

        Args:
            values: option -> value, as written in YAML.
            locate: ``locate()`` returns the place of the stage, ``locate(option)`` that of an option.
            folder: the folder in which relative paths start.

        Raises:
            ChainError: there is no such stage or option, or a value is wrong; with the place and what is available.
        """
        try:
            stage = registry.stage(name)
        except ChainError as error:
            raise locate().add_to(error) from error.__cause__
        model = validated(registry.options(stage), values, locate, folder=folder)
        options = {option: getattr(model, option) for option in type(model).model_fields}
        for option, value in options.items():
            if isinstance(value, Path):
                options[option] = _file(value, folder, locate(option))
        return cls(name, stage, options, locate(), {option: locate(option) for option in options})

    @property
    def where(self) -> str:
        """File and line of the chain: "chain.yaml:3"."""
        return self.place.where

    def build(self) -> Stage:
        """Construct the stage.

        Raises:
            ChainError: its constructor refuses an option, or its weights cannot be used; with file, line and key.
            StageError: its constructor raised an exception of its own.
        """
        place = replace(self.place, key=self.name)
        try:
            stage = self.cls(**self.options)
        except OptionError as error:
            raise self.places.get(error.option, place).error(error.reason) from error
        except (GanchainError, ValueError) as error:
            raise place.error(str(error)) from error
        except Exception as error:
            reason = f"cannot be built: {text_of(error)}"
            raise StageError(reason, stage=self.name, where=self.where) from error
        stage.name, stage.where = self.name, self.where
        return stage


def _file(value: Path, folder: Path, place: Place) -> Path:
    """Find the file that an option names; relative paths start in ``folder``.

    Raises:
        ChainError: there is none, or no file can have that path.
    """
    try:
        path = (folder / value.expanduser()).resolve()
        if path.is_file():
            return path
        reason = f"{path} is a folder" if path.is_dir() else f"no file {path}"
    except OSError as error:  # too long, no right to look
        reason = f"no file {shown(str(value))}: {error.strerror or error}"
    except ValueError:  # a NUL, half a character
        reason = f"no file {shown(str(value))}: no file can have this name"
    except RuntimeError:
        cause = "there is no such user" if str(value).startswith("~") else "links lead in a circle"
        reason = f"no file {shown(str(value))}: {cause}"
    raise place.error(reason)


@dataclass(frozen=True)
class Chain:
    """A chain in YAML that was read and checked."""

    source: str
    stages: tuple[StageSpec, ...]
    faces: FaceRule
    output: Output
    license_policy: Policy


def bundled() -> list[str]:
    """List the names of the chains shipped in ``configs``."""
    folder = resources.files("ganchain.configs")
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def find(chain: str | Path) -> Path:
    """Find the YAML file of a chain, by its path or by the name of a bundled chain.

    Raises:
        ChainError: there is none; with what is available.
    """
    path = Path(chain)
    if is_file(path):
        return path
    if str(chain) in bundled():
        return Path(str(resources.files("ganchain.configs") / f"{chain}.yaml"))
    with suppress(OSError, ValueError):
        if str(chain) and path.is_dir():
            raise ChainError("this is a folder, not a chain; the chain comes first, then the photos", file=str(chain))
        if str(chain) and path.exists():
            raise ChainError("neither a file nor a folder; write the chain into a file", file=str(chain))
    if path.suffix and len(path.name) <= LONGEST_SHOWN:
        raise ChainError(f"no such file; bundled chains: {', '.join(bundled())}", file=str(chain))
    raise ChainError(f"no chain {shown(str(chain))}; {available(str(chain), bundled())}, or a YAML file's path")


def load(chain: str | Path) -> Chain:
    """Read and check a chain.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    path = find(chain)
    return _checked(Document.read(path, EXPECTED), path.parent)


def parse(text: str, source: str, folder: Path) -> Chain:
    """Read and check a chain from YAML.

    Args:
        text: the YAML.
        source: the name of it in messages.
        folder: the folder in which relative paths start.

    Raises:
        ChainError: as ``load``.
    """
    return _checked(Document.parse(text, source, EXPECTED), folder)


def _checked(document: Document, folder: Path) -> Chain:
    items = document.data.get("stages")
    if not isinstance(items, CommentedSeq) or not items:
        raise document.error("a list of stages is needed, as in\nstages:\n  - makeup: {}", "stages")
    rest = {key: value for key, value in document.data.items() if key != "stages"}
    head = validated(Head, rest, document.place, also=["stages"])
    specs = tuple(_spec(document, index, item, folder) for index, item in enumerate(items))
    return Chain(document.source, specs, head.faces, head.output, head.license_policy)


def _spec(document: Document, index: int, item: object, folder: Path) -> StageSpec:
    name, values = stage_item(document, index, item)

    def locate(*path: Key) -> Place:
        return document.place("stages", index, *((name, *path) if path else ()))

    for key, value in values.items():
        if value is None and (hint := colour_hint(document.lines[locate(key).line - 1])):
            raise locate(key).error(f"no value{hint}")
    return StageSpec.check(name, values, locate, folder)


def stage_item(document: Document, index: int, item: object) -> tuple[str, Mapping[str, Any]]:
    """Read the name of a stage and its options from an item of a chain's list."""
    if isinstance(item, str):
        return item, {}
    if not isinstance(item, CommentedMap) or len(item) != 1:
        raise document.error("each item is one stage, as in '- makeup: {look: evening}'", "stages", index)
    name, values = next(iter(item.items()))
    if values is not None and not isinstance(values, dict):
        raise document.error(f"options are a mapping, not {shown(values)}", "stages", index, name)
    return str(name), values or {}


def numbered(names: Iterable[str]) -> list[str]:
    """Number names that occur more than once: makeup, webtoon, webtoon-2 …"""
    counts = Counter[str]()
    labels: list[str] = []
    for name in names:
        counts[name] += 1
        labels.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return labels
