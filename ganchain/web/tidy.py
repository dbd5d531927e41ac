"""Chains of visitors written anew: as readable YAML, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ganchain.chains import registry
from ganchain.photos.images import Format
from ganchain.web.pace import scale
from ganchain.web.submitted import plain, read

HEAD = ("faces", "stages", "output", "license_policy")


def tidied(text: str, format_: Format | None = None) -> str:
    """Write a chain, YAML or JSON, as readable YAML with a line for each stage.

    Args:
        format_: the format of its pictures, in place of its own.

    Raises:
        ChainError: the text is no mapping of plain values.
    """
    chain = plain(read(text, "chain"))
    if format_:
        chain["output"] = {**(chain.get("output") or {}), "format": format_}
    return _tidy(chain)


def described(text: str) -> dict[str, Any]:
    """Describe a chain, YAML or JSON, as the answer of ``POST /chain``; errors as of ``tidied``."""
    chain = plain(read(text, "chain"))
    items = chain["stages"] if isinstance(chain.get("stages"), list) else []
    named = [{item: {}} if isinstance(item, str) else item for item in items]
    if items:
        chain["stages"] = named
    return {"yaml": _tidy(chain), "chain": chain, "scale": scale(_enlarging(named))}


def _enlarging(items: list[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield classes and options of the stages that are known, as far as they are right."""
    for name, options in (pair for item in items if isinstance(item, dict) for pair in item.items()):
        if isinstance(cls := registry.stages().get(name), type):
            given = options if isinstance(options, dict) else {}
            yield cls, {key: value for key, value in given.items() if key != "factor" or isinstance(value, int)}


def _tidy(chain: dict[str, Any]) -> str:
    """Write a chain as readable YAML with a line for each stage."""
    yaml, out = YAML(), StringIO()
    yaml.width = 10_000
    tidy = CommentedMap({key: _flow(chain[key]) for key in HEAD if key in chain})
    if isinstance(stages := chain.get("stages"), list):
        items = (
            {stage: _flow(options) for stage, options in item.items()} if isinstance(item, dict) else item
            for item in stages
        )
        tidy["stages"] = CommentedSeq(items)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(tidy, out)
    return out.getvalue()


def _flow(value: Any) -> Any:
    """Make a value appear on one line: {look: rose}; None, for a stage without options, becomes {}."""
    if not isinstance(value, dict | list | None):
        return value
    kind = CommentedSeq(value) if isinstance(value, list) else CommentedMap(value or {})
    kind.fa.set_flow_style()
    return kind
