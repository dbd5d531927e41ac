"""Chains that visitors write: the same YAML, less what reaches into the server's files."""

from __future__ import annotations

import inspect
import json
import logging
import re
from contextlib import suppress
from functools import reduce
from importlib import resources
from io import StringIO
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from ganchain import chains
from ganchain.chains import Chain, registry
from ganchain.chains.chain import EXPECTED, stage_item
from ganchain.chains.document import Document, Key
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, available

log = logging.getLogger(__name__)

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
    document = _read(text, name)
    items = document.data.get("stages")
    if isinstance(items, list):
        if len(items) > MOST:
            raise document.error(f"more than {MOST} stages are not taken here", "stages")
        for index, item in enumerate(items):
            _check_files(document, index, item, folder)
    try:
        return chains.parse(text, name, folder)
    except (OSError, ValueError, TypeError) as error:  # a name that no file can have, say
        log.warning("a chain could not be read", exc_info=error)
        raise ChainError(f"not a chain: {type(error).__name__}", file=name) from error


def _check_files(document: Document, index: int, item: object, folder: Path) -> None:
    """Refuse weights that are not in the list and files that were not sent, in words without places on this machine."""
    name, given = stage_item(document, index, item)
    cls = registry.stages().get(name)
    if not isinstance(cls, type):  # which is said when the chain is read
        return
    for option in given.keys() & _options(cls, "weights"):
        if isinstance(ref := given[option], str) and manifest.get(ref) is None:
            reason = f"no weights {ref!r}: only weights of the list are taken here"
            raise document.error(reason, "stages", index, name, option)
    for option in given.keys() & _options(cls, "path"):
        if isinstance(file := given[option], str) and not (folder / file).is_file():
            raise document.error(f"no file {file}", "stages", index, name, option)


def _read(text: str, name: str) -> Document:
    """Parse YAML or JSON that holds nothing but JSON's types, and no paths."""
    if len(text) > LONGEST:
        raise ChainError(f"a chain of more than {LONGEST} characters is not taken here", file=name)
    with suppress(YAMLError):  # which is said better below
        for event in YAML(typ="safe", pure=True).parse(text):
            if getattr(event, "anchor", None) is not None:
                raise ChainError("anchors and aliases (& and *) are not taken here", file=name)
    document = Document.parse(text, name, EXPECTED)
    plain(document)
    return document


def plain(document: Document, *path: Key) -> Any:
    """Read what stands in a YAML document at ``path``, in JSON's types.

    Raises:
        ChainError: it holds anything else (dates, sets, tags), or a path.
    """
    node = reduce(getitem, path, document.data)
    if isinstance(node, CommentedSeq):
        return [plain(document, *path, index) for index in range(len(node))]
    if isinstance(node, CommentedMap):
        for key in node:
            if not isinstance(key, str):
                raise document.error("keys are words", *path)
            _refuse_path(document, key, *path)
        return {str(key): plain(document, *path, key) for key in node}
    if isinstance(node, str):
        _refuse_path(document, node, *path)
        return str(node)
    if not isinstance(node, int | float | None):  # of which bool is one
        raise document.error("only words, numbers, lists and mappings are taken here", *path)
    return node


def _refuse_path(document: Document, text: str, *path: Key) -> None:
    if PATH.search(text):
        raise document.error(f"{text!r}: paths are not taken here; send the file, write its name", *path)


def _options(cls: type[Any], kind: str) -> set[str]:
    """The options of a stage whose schema says that format: weights, path, colour."""
    properties = registry.options(cls).model_json_schema().get("properties", {})
    return {option for option, shape in properties.items() if f'"format": "{kind}"' in json.dumps(shape)}


def files(chain: Chain) -> list[str]:
    """The names of the files that a chain of ``parse`` needs."""
    return [value.name for spec in chain.stages for value in spec.options.values() if isinstance(value, Path)]


def tidied(text: str) -> str:
    """The chain ``text``, YAML or JSON, as people write it: a line a stage.

    Raises:
        ChainError: it is no mapping of plain values.
    """
    known = plain(_read(text, "chain"))
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
        chain = plain(Document.parse(text, name, EXPECTED))
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
