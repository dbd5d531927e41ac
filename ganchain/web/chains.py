"""Chains that visitors write: the same YAML, less what reaches into the server's files."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain import config, describe, manifest, registry
from ganchain.config import Chain
from ganchain.documents import document
from ganchain.errors import ChainError, available

LONGEST = 16_384  # characters
ANCHOR = re.compile(r"""(?:^|[\s\[{,:])[&*][^\s&*]""", re.MULTILINE)
PATH = re.compile(r"[/\\]|^~|^[A-Za-z]:")


def parse(text: str, name: str, folder: Path) -> Chain:
    """The chain that ``text``, YAML or JSON, describes; files it names must lie in ``folder``, by their bare names.

    Raises:
        ChainError: as ``config.parse``; or it is too long, has anchors (of which few lines make gigabytes), or names
            a path or weights that are not in the list.
    """
    if len(text) > LONGEST:
        raise ChainError(f"{name}: a chain of more than {LONGEST} characters is not taken here")
    if ANCHOR.search(text):
        raise ChainError(f"{name}: anchors and aliases (& and *) are not taken here")
    _refuse_paths(document(text, name, "a chain is a mapping with the key 'stages'"), name)
    try:
        chain = config.parse(text, name, folder)
    except ChainError as error:
        raise ChainError(str(error).replace(f"{folder}/", "").replace(f"({folder})", "")) from error
    for spec in chain.stages:
        for option in _options(spec.cls, "weights"):
            ref = spec.options.get(option)
            if ref is not None and ref not in manifest.entries():
                raise ChainError(f"{spec.places[option]}: {Path(ref).name!r}: only weights of the list are taken here")
    return chain


def _refuse_paths(node: Any, name: str) -> None:
    for key, value, line in _strings(node):
        if PATH.search(value):
            raise ChainError(
                f"{name}:{line}: {key}: {value!r}: paths are not taken here; send the file, write its name"
            )


def _strings(node: Any, key: str = "", line: int = 1) -> Iterator[tuple[str, str, int]]:
    if isinstance(node, str):
        yield key, node, line
    elif isinstance(node, CommentedMap | CommentedSeq):
        pairs: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, CommentedMap) else enumerate(node)
        for inner, value in pairs:
            at = (node.lc.data or {}).get(inner)
            place = at[0] + 1 if at else line
            if isinstance(inner, str):
                yield inner, inner, place
            yield from _strings(value, str(inner), place)


def _options(cls: type[Any], kind: str) -> list[str]:
    """The options of a stage whose schema says that format: weights, path, colour."""
    properties = registry.options(cls).model_json_schema().get("properties", {})
    return [option for option, shape in properties.items() if f'"format": "{kind}"' in json.dumps(shape)]


def files(chain: Chain) -> list[str]:
    """The names of the files that a chain of ``parse`` needs."""
    return [value.name for spec in chain.stages for value in spec.options.values() if isinstance(value, Path)]


def tidied(text: str) -> str:
    """The chain ``text``, YAML or JSON, as people write it: a line a stage."""
    data = document(text, "chain", "a chain is a mapping")
    plain = json.loads(json.dumps(data))
    yaml, out = YAML(), StringIO()
    yaml.width = 10_000
    whole = CommentedMap()
    for key in ("faces", "stages", "output", "license_policy"):
        if key in plain:
            whole[key] = plain[key]
    stages = CommentedSeq()
    for item in plain.get("stages", []):
        stages.append({name: _flow(options) for name, options in item.items()} if isinstance(item, dict) else item)
    whole["stages"] = stages
    for key in ("faces", "output"):
        if isinstance(whole.get(key), dict | list):
            whole[key] = _flow(whole[key])
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(whole, out)
    return out.getvalue()


def _flow(value: Any) -> Any:
    kind = CommentedMap(value or {}) if isinstance(value, dict | None) else CommentedSeq(value)
    kind.fa.set_flow_style()
    return kind


def text_of(name: str) -> str:
    """The YAML of the bundled chain ``name``; never a file of the folder that the server was started in."""
    if name not in config.bundled():
        raise ChainError(f"no chain {name!r}; {available(name, config.bundled())}")
    return (resources.files("ganchain.configs") / f"{name}.yaml").read_text(encoding="utf-8")


def bundled() -> list[dict[str, Any]]:
    """The chains that come along: name, what its first comment says, text, and the chain itself."""
    found = []
    for name in config.bundled():
        text = text_of(name)
        about = text.partition("\n")[0].lstrip("# ") if text.startswith("#") else ""
        plain = json.loads(json.dumps(document(text, name, "a chain is a mapping")))
        plain["stages"] = [{one: {}} if isinstance(one, str) else one for one in plain["stages"]]
        found.append({"name": name, "about": about, "yaml": text, "chain": plain})
    return found


def stages() -> list[dict[str, Any]]:
    """What forms are made of: each stage with its first line and its options as JSON schema, weights with keys.

    Options from ``weights`` on, which are for those who brought other weights, are called rare.
    """
    keys = manifest.entries()
    found = []
    for name, cls in registry.stages().items():
        if not isinstance(cls, type):
            continue
        properties = registry.options(cls).model_json_schema().get("properties", {})
        for option, text in registry.descriptions(cls).items():
            properties[option]["description"] = text
        for option in _options(cls, "weights"):
            properties[option]["keys"] = [
                key for key, one in keys.items() if name in describe.stage_of(key, one.architecture).split(", ")
            ]
        order = list(properties)
        if "weights" in order:
            for option in set(order[order.index("weights") :]) - {"strength"}:
                properties[option]["rare"] = True
        about = (inspect.getdoc(cls) or "").partition("\n")[0]
        found.append({"name": name, "about": about, "options": properties})
    return found
