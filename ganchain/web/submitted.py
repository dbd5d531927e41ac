"""Chains that visitors write: the same YAML, less what reaches into the server's files."""

from __future__ import annotations

import inspect
import json
import re
from contextlib import suppress
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from ganchain import chains
from ganchain.chains import Chain, registry
from ganchain.chains.document import document
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, available

LONGEST = 16_384  # characters
MOST = 20  # stages
HEAD = ("faces", "stages", "output", "license_policy")
PATH = re.compile(r"[/\\\x00-\x1f]|^~|^[A-Za-z]:|^.{200}|^\.*$")  # or no name of a file


def parse(text: str, name: str, folder: Path) -> Chain:
    """The chain that ``text``, YAML or JSON, describes; files it names must lie in ``folder``, by their bare names.

    Raises:
        ChainError: as ``config.parse``; or it is too long, has anchors (of which few lines make gigabytes), or names
            a path or weights that are not in the list.
    """
    known = _read(text, name)
    if isinstance(stages := known.get("stages"), list) and len(stages) > MOST:
        raise ChainError(f"{name}: more than {MOST} stages are not taken here")
    try:
        chain = chains.parse(text, name, folder)
    except ChainError as error:
        said = str(error).replace(f"{folder}/", "").replace(f"({folder})", "").replace(str(folder.parent), "")
        raise ChainError(said) from error
    except (OSError, ValueError, TypeError) as error:  # a name that no file can have, say
        raise ChainError(f"{name}: not a chain: {type(error).__name__}") from error
    for spec in chain.stages:
        for option in _options(spec.cls, "weights"):
            ref = spec.options.get(option)
            if ref is not None and manifest.get(ref) is None:
                raise ChainError(f"{spec.places[option]}: {Path(ref).name!r}: only weights of the list are taken here")
    return chain


def _read(text: str, name: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ChainError(f"{name}: a chain of more than {LONGEST} characters is not taken here")
    with suppress(YAMLError):  # which is said better below
        for event in YAML(typ="safe", pure=True).parse(text):
            if getattr(event, "anchor", None) is not None:
                raise ChainError(f"{name}: anchors and aliases (& and *) are not taken here")
    known: dict[str, Any] = plain(document(text, name, "a chain is a mapping with the key 'stages'"), name)
    return known


def plain(node: Any, name: str, key: str = "chain", line: int = 1) -> Any:
    """What a YAML document says, in JSON's types.

    Raises:
        ChainError: it holds anything else (dates, sets, tags), or a path.
    """
    if isinstance(node, CommentedMap | CommentedSeq):
        lines = {inner: place[0] + 1 for inner, place in (node.lc.data or {}).items()}
        if isinstance(node, CommentedSeq):
            return [plain(value, name, key, lines.get(at, line)) for at, value in enumerate(node)]
        return {
            str(plain(inner, name, key, lines.get(inner, line))): plain(value, name, str(inner), lines.get(inner, line))
            for inner, value in node.items()
            if isinstance(inner, str) or _wrong(name, line, key, "keys are words")
        }
    if isinstance(node, str) and PATH.search(node):
        _wrong(name, line, key, f"{node!r}: paths are not taken here; send the file, write its name")
    if not isinstance(node, str | int | float | None):  # of which bool is one
        _wrong(name, line, key, "only words, numbers, lists and mappings are taken here")
    return str(node) if isinstance(node, str) else node


def _wrong(name: str, line: int, key: str, reason: str) -> NoReturn:
    raise ChainError(f"{name}:{line}: {key}: {reason}")


def _options(cls: type[Any], kind: str) -> list[str]:
    """The options of a stage whose schema says that format: weights, path, colour."""
    properties = registry.options(cls).model_json_schema().get("properties", {})
    return [option for option, shape in properties.items() if f'"format": "{kind}"' in json.dumps(shape)]


def files(chain: Chain) -> list[str]:
    """The names of the files that a chain of ``parse`` needs."""
    return [value.name for spec in chain.stages for value in spec.options.values() if isinstance(value, Path)]


def tidied(text: str) -> str:
    """The chain ``text``, YAML or JSON, as people write it: a line a stage.

    Raises:
        ChainError: it is no mapping of plain values.
    """
    known = _read(text, "chain")
    yaml, out = YAML(), StringIO()
    yaml.width = 10_000
    whole = CommentedMap({key: _flow(known[key]) for key in HEAD if key in known})
    if isinstance(stages := known.get("stages"), list):
        each = (
            {one: _flow(given) for one, given in item.items()} if isinstance(item, dict) else item for item in stages
        )
        whole["stages"] = CommentedSeq(each)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(whole, out)
    return out.getvalue()


def _flow(value: Any) -> Any:
    """In one line: {look: rose}; of None, which a stage without options has, {}."""
    if not isinstance(value, dict | list | None):
        return value
    kind = CommentedSeq(value) if isinstance(value, list) else CommentedMap(value or {})
    kind.fa.set_flow_style()
    return kind


def text_of(name: str) -> str:
    """The YAML of the bundled chain ``name``; never a file of the folder that the server was started in."""
    if name not in chains.bundled():
        raise ChainError(f"no chain {name!r}; {available(name, chains.bundled())}")
    return (resources.files("ganchain.configs") / f"{name}.yaml").read_text(encoding="utf-8")


def bundled() -> list[dict[str, Any]]:
    """The chains that come along: name, what its first comment says, text, and the chain itself."""
    found = []
    for name in chains.bundled():
        text = text_of(name)
        about = text.partition("\n")[0].lstrip("# ") if text.startswith("#") else ""
        chain = plain(document(text, name, "a chain is a mapping"), name)
        chain["stages"] = [{one: {}} if isinstance(one, str) else one for one in chain["stages"]]
        found.append({"name": name, "about": about, "yaml": text, "chain": chain})
    return found


def stages() -> list[dict[str, Any]]:
    """What forms are made of: each stage with its first line and its options as JSON schema, weights with keys.

    Options from ``weights`` on, which are for those who brought other weights, are called rare.
    """
    entries = manifest.entries()
    found = []
    for name, cls in registry.stages().items():
        if not isinstance(cls, type):
            continue
        properties = registry.options(cls).model_json_schema().get("properties", {})
        for option, text in registry.descriptions(cls).items():
            properties[option]["description"] = text
        for option in _options(cls, "weights"):
            properties[option]["keys"] = [
                key
                for key, entry in entries.items()
                if option in registry.options_for(name, cls, entry.architecture, entry.stage)
            ]
        order = list(properties)
        if "weights" in order:
            for option in set(order[order.index("weights") :]) - {"strength"}:
                properties[option]["rare"] = True
        about = (inspect.getdoc(cls) or "").partition("\n")[0]
        found.append({"name": name, "about": about, "options": properties})
    return found
