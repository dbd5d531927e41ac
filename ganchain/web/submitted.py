"""Chains from visitors: the same YAML, without anything that could reach the server's files."""

from __future__ import annotations

import inspect
import json
import logging
import re
from functools import reduce
from importlib import resources
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain import chains
from ganchain.chains import Chain, registry
from ganchain.chains.bounds import Scanner
from ganchain.chains.chain import EXPECTED, stage_item
from ganchain.chains.document import Document, Key
from ganchain.chains.json_schema import choices
from ganchain.checkpoints import manifest
from ganchain.errors import ChainError, available, shown

log = logging.getLogger(__name__)

LONGEST = 16_384  # characters
MOST = 20  # stages
MOST_TOKENS = 5000  # of YAML; 16 KB of short lines would take seconds
PATH = re.compile(r"[/\\\x00-\x1f]|^~|^[A-Za-z]:|^.{200}|^\.*$")  # a path, or a text that cannot name a file


def parse(text: str, name: str, folder: Path) -> Chain:
    """Read and check a visitor's chain.

    Args:
        text: YAML or JSON.
        name: the chain's name in messages.
        folder: the folder of the files that the chain names, without any path.

    Raises:
        ChainError: as ``chains.parse``; or the text is too long, has anchors (a few lines of them make gigabytes), or
            names a path, or weights that are not in the list.
    """
    document = read(text, name)
    items = document.data.get("stages")
    if isinstance(items, list):
        if len(items) > MOST:
            raise document.error(f"more than {MOST} stages are not taken here", "stages")
        for index, item in enumerate(items):
            _check_files(document, index, item, folder)
    try:
        return chains.parse(text, name, folder)
    except (OSError, ValueError, TypeError) as error:  # for example a name that no file can have
        log.warning("a chain could not be read", exc_info=error)
        raise ChainError(f"not a chain: {type(error).__name__}", file=name) from error


def _check_files(document: Document, index: int, item: object, folder: Path) -> None:
    """Refuse weights that are not in the list and files that were not sent; messages name no path on this machine."""
    name, values = stage_item(document, index, item)
    cls = registry.stages().get(name)
    if not isinstance(cls, type):  # refused later, when the chain is read
        return
    for option in values.keys() & _options(cls, "weights"):
        if isinstance(ref := values[option], str) and manifest.get(ref) is None:
            reason = f"no weights {shown(ref)}: only weights of the list are taken here"
            raise document.error(reason, "stages", index, name, option)
    for option in values.keys() & _options(cls, "path"):
        if (file := values[option]) in _words(cls, option) or (_words(cls, option) and not Path(str(file)).suffix):
            continue  # a name, or refused as one when the chain is read
        if isinstance(file, str) and not (folder / file).is_file():
            raise document.error(f"no file {file}", "stages", index, name, option)


class _Scanner(Scanner):
    """Scanner that takes no anchors, since a few lines of them make gigabytes, and no endless texts."""

    tokens_fetched = 0

    def fetch_more_tokens(self) -> Any:
        """Scan on, up to MOST_TOKENS."""
        self.tokens_fetched += 1
        if self.tokens_fetched > MOST_TOKENS:
            raise ChainError(f"a chain of more than {MOST_TOKENS} words and signs is not taken here")
        return super().fetch_more_tokens()

    def scan_anchor(self, TokenClass: Any) -> Any:
        """Refuse an anchor or an alias."""
        raise ChainError("anchors and aliases (& and *) are not taken here")


def read(text: str, name: str) -> Document:
    """Parse YAML or JSON; refuse anything but JSON's types, and paths."""
    if len(text) > LONGEST:
        raise ChainError(f"a chain of more than {LONGEST} characters is not taken here", file=name)
    document = Document.parse(text, name, EXPECTED, _Scanner)
    plain(document)
    return document


def plain(document: Document, *path: Key) -> Any:
    """Convert the value at ``path`` in a YAML document to JSON's types.

    Raises:
        ChainError: the value holds other types (dates, sets, tags), or a path.
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
    if not isinstance(node, int | float | None):  # a bool is an int
        raise document.error("only words, numbers, lists and mappings are taken here", *path)
    return node


def _refuse_path(document: Document, text: str, *path: Key) -> None:
    if PATH.search(text):
        raise document.error(f"{shown(text)}: paths are not taken here; send the file, write its name", *path)


def _options(cls: type[Any], kind: str) -> set[str]:
    """List the options of a stage whose schema has the format ``kind``: weights, path or colour."""
    properties = registry.options(cls).model_json_schema().get("properties", {})
    return {option for option, shape in properties.items() if f'"format": "{kind}"' in json.dumps(shape)}


def _words(cls: type[Any], option: str) -> list[str]:
    """List the words that an option takes beside files."""
    shapes = registry.options(cls).model_json_schema()["properties"][option].get("anyOf", [])
    return [word for shape in shapes for part in shape.get("anyOf", [shape]) for word in part.get("enum", [])]


def files(chain: Chain) -> list[str]:
    """List the names of the files that a chain from ``parse`` needs."""
    return [value.name for spec in chain.stages for value in spec.options.values() if isinstance(value, Path)]


def text_of(name: str) -> str:
    """Read the YAML of the bundled chain ``name``; a file in the server's current folder is never read."""
    if name not in chains.bundled():
        raise ChainError(f"no chain {name!r}; {available(name, chains.bundled())}")
    return (resources.files("ganchain.configs") / f"{name}.yaml").read_text(encoding="utf-8")


def bundled() -> list[dict[str, Any]]:
    """Describe the bundled chains: name, first comment, text, and the chain in JSON's types."""
    described = []
    for name in chains.bundled():
        text = text_of(name)
        about = text.partition("\n")[0].lstrip("# ") if text.startswith("#") else ""
        chain = plain(Document.parse(text, name, EXPECTED))
        chain["stages"] = [{item: {}} if isinstance(item, str) else item for item in chain["stages"]]
        described.append({"name": name, "about": about, "yaml": text, "chain": chain})
    return described


def stages() -> list[dict[str, Any]]:
    """Describe the stages for the page's forms.

    Each has its name, the first line of its docstring, its options as JSON schema (with the keys of the manifest for
    weights), and the groups of options of which only one can be set. The options from ``weights`` on, which are for
    users with other weights, are marked as rare; the option of a reference photo as needing a face.
    """
    entries = manifest.entries()
    described = []
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
        for option, by_weights in choices(name, cls).items():
            properties[option]["choices"] = by_weights
        if cls.reference_option in properties:
            properties[cls.reference_option]["face"] = True
        order = list(properties)
        if "weights" in order:
            for option in set(order[order.index("weights") :]) - {"strength"}:
                properties[option]["rare"] = True
        about = (inspect.getdoc(cls) or "").partition("\n")[0]
        alternatives = [list(group) for group in cls.alternatives]
        described.append({"name": name, "about": about, "options": properties, "alternatives": alternatives})
    return described
