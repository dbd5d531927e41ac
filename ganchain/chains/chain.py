"""Chains in YAML: read with line numbers, checked against the stages' own signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain.chains import registry
from ganchain.chains.document import Document, Key, Locate, Place, colour_hint, validated
from ganchain.checkpoints.manifest import Policy
from ganchain.errors import ChainError, GanchainError, OptionError, StageError, available, text_of
from ganchain.faces.detect import FaceRule
from ganchain.photos.images import Format
from ganchain.stage import Stage

EXPECTED = "a chain is a mapping with the key 'stages'"


class Output(BaseModel):
    """What is written, and how."""

    model_config = ConfigDict(extra="forbid")
    write: Literal["photo", "faces", "both"] = "photo"
    format: Format = "png"
    side: Annotated[int, Field(ge=64, le=4096)] | None = None
    location: Literal["keep", "strip"] = "keep"
    mark: bool = True

    @model_validator(mode="after")
    def _side_is_of_faces(self) -> Self:
        if self.side is not None and self.write != "faces":
            raise ValueError("side is that of face pictures: it needs write: faces")
        return self


class Head(BaseModel):
    """All of a chain but its stages."""

    model_config = ConfigDict(extra="forbid")
    faces: Literal["all", "largest"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = "all"
    output: Output = Output()
    license_policy: Policy = "any"


@dataclass(frozen=True)
class StageSpec:
    """One stage of a chain with all its options, defaults included.

    Attributes:
        name, cls: what the stage is called in YAML, and its class.
        options: arguments of its constructor.
        place: where it was asked for.
        places: where each of its options was asked for.
    """

    name: str
    cls: type[Stage]
    options: dict[str, Any]
    place: Place
    places: dict[str, Place]

    @classmethod
    def check(cls, name: str, given: Mapping[str, Any], locate: Locate, folder: Path = Path()) -> StageSpec:
        """Check a stage with the options given for it.

        Args:
            locate: ``locate()`` says where the stage was asked for, ``locate(option)`` where an option was.
            folder: where relative paths start.

        Raises:
            ChainError: no such stage or option, or the value is wrong; with its place and what is available.
        """
        try:
            stage = registry.stage(name)
        except ChainError as error:
            raise locate().add_to(error) from error.__cause__
        checked = validated(registry.options(stage), given, locate, folder=folder)
        options = {option: getattr(checked, option) for option in type(checked).model_fields}
        for option, value in options.items():
            if isinstance(value, Path):
                options[option] = (folder / value.expanduser()).resolve()
                if not options[option].is_file():
                    raise locate(option).error(f"no file {options[option]}")
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


@dataclass(frozen=True)
class Chain:
    """A chain as its YAML says it."""

    source: str
    stages: tuple[StageSpec, ...]
    faces: FaceRule
    output: Output
    license_policy: Policy


def bundled() -> list[str]:
    """Names of the chains shipped in ``configs``."""
    folder = resources.files("ganchain.configs")
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def find(chain: str | Path) -> Path:
    """The YAML file of a chain given by path or by the name of a bundled one."""
    path = Path(chain)
    if path.is_file():
        return path
    if str(chain) in bundled():
        return Path(str(resources.files("ganchain.configs") / f"{chain}.yaml"))
    if path.suffix:
        raise ChainError(f"no such file; bundled chains: {', '.join(bundled())}", file=str(chain))
    raise ChainError(f"no chain {str(chain)!r}; {available(str(chain), bundled())}, or a YAML file's path")


def load(chain: str | Path) -> Chain:
    """Read and check a chain.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    path = find(chain)
    document = Document.read(path, EXPECTED)
    return _checked(document, path.parent)


def parse(text: str, source: str, folder: Path) -> Chain:
    """Check the YAML ``text``; ``source`` names it in messages, relative paths start at ``folder``."""
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
    name, given = stage_item(document, index, item)

    def locate(*path: Key) -> Place:
        return document.place("stages", index, *((name, *path) if path else ()))

    for key, value in given.items():
        line = document.text.splitlines()[locate(key).line - 1]
        if value is None and (hint := colour_hint(line)):
            raise locate(key).error(f"no value{hint}")
    return StageSpec.check(name, given, locate, folder)


def stage_item(document: Document, index: int, item: object) -> tuple[str, Mapping[str, Any]]:
    """Read the name of a stage and its options from an item of a chain's list."""
    if isinstance(item, str):
        return item, {}
    if not isinstance(item, CommentedMap) or len(item) != 1:
        raise document.error("each item is one stage, as in '- makeup: {look: evening}'", "stages", index)
    name, given = next(iter(item.items()))
    if given is not None and not isinstance(given, dict):
        raise document.error(f"options are a mapping, not {given!r}", "stages", index, name)
    return str(name), given or {}


def numbered(names: Iterable[str]) -> list[str]:
    """Number names that come again: makeup, webtoon, webtoon-2 …"""
    counts = Counter[str]()
    labels: list[str] = []
    for name in names:
        counts[name] += 1
        labels.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return labels


def schema() -> dict[str, Any]:
    """The JSON schema of a chain, for editors and forms."""
    head = Head.model_json_schema()
    usable = {name: cls for name, cls in registry.stages().items() if isinstance(cls, type)}
    variants: list[dict[str, Any]] = [{"enum": list(usable)}]
    for name, cls in usable.items():
        model = registry.options(cls).model_json_schema()
        for option, text in registry.descriptions(cls).items():
            model["properties"][option]["description"] = text
        variants.append({"type": "object", "properties": {name: model}, "required": [name], "maxProperties": 1})
    head["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    head["title"] = "ganchain chain"
    head["properties"]["stages"] = {"type": "array", "minItems": 1, "items": {"anyOf": variants}}
    head["required"] = ["stages"]
    return head
