"""Chains in YAML: read with line numbers, checked against the stages' own signatures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain.chains import registry
from ganchain.chains.document import document
from ganchain.checkpoints.manifest import Policy
from ganchain.errors import ChainError, GanchainError, available
from ganchain.faces.detect import FaceRule
from ganchain.photos.images import Format
from ganchain.stage import Stage

Key = str | int
_COLOUR_AS_COMMENT = re.compile(r":\s+#[0-9a-fA-F]{6}\b")
Model = TypeVar("Model", bound=BaseModel)


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
    """One stage of a chain with all its options, defaults included."""

    name: str
    cls: type[Stage]
    options: dict[str, Any]
    where: str
    places: dict[str, str]

    def build(self) -> Stage:
        """Construct the stage; what its constructor refuses becomes a ChainError with file, line and key.

        The constructor's message begins with the option it is about, as in "factor: …"; else the stage is named.
        """
        try:
            stage = self.cls(**self.options)
            stage.name, stage.where = self.name, self.where
            return stage
        except (ValueError, GanchainError) as error:
            option, _, reason = str(error).partition(": ")
            if option in self.places:
                raise ChainError(f"{self.places[option]}: {reason}") from error
            raise ChainError(f"{self.where}: {self.name}: {error}") from error


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
        raise ChainError(f"{chain}: no such file; bundled chains: {', '.join(bundled())}")
    raise ChainError(f"no chain {str(chain)!r}; {available(str(chain), bundled())}, or a YAML file's path")


def load(chain: str | Path) -> Chain:
    """Read and check a chain.

    Raises:
        ChainError: with file, line, key, value and what is available.
    """
    path = find(chain)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChainError(f"{path}: cannot be read: {error}") from error
    return parse(text, path.name if path.parent == Path() else str(path), path.parent)


def parse(text: str, source: str, folder: Path) -> Chain:
    """Check the YAML ``text``; ``source`` names it in messages, relative paths start at ``folder``."""
    lines = text.splitlines()
    data = document(text, source, "a chain is a mapping with the key 'stages'", _colour_hint(lines))
    items = data.get("stages")
    if not isinstance(items, CommentedSeq) or not items:
        line = _line(data, ["stages"])
        raise ChainError(f"{source}:{line}: stages: a list of stages is needed, as in\nstages:\n  - makeup: {{}}")
    rest = {key: value for key, value in data.items() if key != "stages"}
    head = _validated(Head, rest, data, [], source, also=["stages"])
    specs = tuple(_spec(items, index, source, folder, lines) for index in range(len(items)))
    return Chain(source, specs, head.faces, head.output, head.license_policy)


def _spec(items: CommentedSeq, index: int, source: str, folder: Path, lines: Sequence[str]) -> StageSpec:
    item = items[index]
    where = f"{source}:{_line(items, [index])}"
    if isinstance(item, str):
        name, given = item, {}
    elif isinstance(item, CommentedMap) and len(item) == 1:
        name, given = next(iter(item.items()))
    else:
        raise ChainError(f"{where}: stages[{index}]: each item is one stage, as in '- makeup: {{look: evening}}'")
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise ChainError(f"{where}: stages[{index}].{name}: options are a mapping, not {given!r}")
    for key, value in given.items():
        line = _line(items, [index, name, key])
        if value is None and (hint := _colour_hint(lines[line - 1 : line])):
            raise ChainError(f"{source}:{line}: stages[{index}].{name}.{key}: no value{hint}")
    try:
        cls = registry.stage(str(name))
    except ChainError as error:
        raise ChainError(f"{where}: stages[{index}]: {error}") from error
    model = registry.options(cls)
    checked = _validated(model, given, items, [index, name], source, folder=folder)
    values = {key: getattr(checked, key) for key in model.model_fields}
    for key, value in values.items():
        if isinstance(value, Path):
            values[key] = (folder / value.expanduser()).resolve()
            if not values[key].is_file():
                line = _line(items, [index, name, key])
                raise ChainError(f"{source}:{line}: stages[{index}].{name}.{key}: no file {values[key]}")
    keys: dict[str, list[Key]] = {key: [index, str(name), key] for key in values}
    places = {key: f"{source}:{_line(items, path)}: {_dotted(path)}" for key, path in keys.items()}
    return StageSpec(str(name), cls, values, where, places)


def _colour_hint(lines: Sequence[str]) -> str:
    """What to do when a colour without quotes became a comment in one of ``lines``."""
    found = any(_COLOUR_AS_COMMENT.search(line) for line in lines if not line.lstrip().startswith("#"))
    return '; to YAML " #" starts a comment: write the colour in quotes' if found else ""


def _validated(
    model: type[Model],
    value: dict[str, Any],
    root: Any,
    path: list[Key],
    source: str,
    also: Sequence[str] = (),
    folder: Path = Path(),
) -> Model:
    try:
        return model.model_validate(value, context={"folder": folder})
    except ValidationError as error:
        lines = [_message(model, problem, root, path, source, also) for problem in _distinct(error)]
        raise ChainError("\n".join(lines)) from error


def _distinct(error: ValidationError) -> list[Any]:
    """One problem a key: a union reports each of its members."""
    by_key: dict[tuple[Any, ...], Any] = {}
    for problem in error.errors(include_url=False):
        by_key.setdefault(problem["loc"][:2] if problem["loc"][:1] == ("output",) else problem["loc"][:1], problem)
    return list(by_key.values())


def _message(model: type[BaseModel], problem: Any, root: Any, path: list[Key], source: str, also: Sequence[str]) -> str:
    location = [part for part in problem["loc"] if isinstance(part, str | int)]
    known = {**model.model_fields, **dict.fromkeys(also)}
    if location[:1] == ["output"] and len(location) > 1:
        known = dict(Output.model_fields)
    full = [*path, *location[: 2 if location[:1] == ["output"] else 1]]
    key = _dotted(full)
    where = f"{source}:{_line(root, full)}: {key}"
    given = problem["input"]
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such option; {available(str(full[-1]), known)}"
    if problem["type"] == "missing":
        return f"{where}: this option is needed"
    expected = problem.get("ctx", {}).get("expected")
    if problem["type"] == "literal_error" and expected:
        words = [word.strip("'") for word in str(expected).replace(" or ", ", ").split(", ")]
        return f"{where}: {given!r} is none of these; {available(str(given), words)}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}"
    if problem["type"].startswith("model_"):
        return f"{where}: {given!r}: a mapping is needed; {available('', known)}"
    return f"{where}: {given!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _dotted(path: Sequence[Key]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"stages{text}" if text.startswith("[") else text


def _line(root: Any, path: Sequence[Key]) -> int:
    """1-based line of the deepest part of ``path`` that the YAML has."""
    line = 1
    node = root
    for part in path:
        position = ((getattr(node, "lc", None) and node.lc.data) or {}).get(part)
        if position is None:  # not there, or merged in from elsewhere
            return line
        line = position[0] + 1
        node = node[part]
    return line


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
