"""Bounds of YAML, for texts that would take minutes or gigabytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml.scanner import RoundTripScanner, ScannerError

DEEPEST = 10  # lists and mappings in each other
MOST_VALUES = 100_000  # a few lines of aliases make billions
TOO_DEEP = f"more than {DEEPEST} lists and mappings in each other"


class Scanner(RoundTripScanner):
    """Scanner of YAML that gives up on what is nested deeper than DEEPEST: its parser would take minutes."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:
        """Begin a list or a mapping in brackets."""
        super().fetch_flow_collection_start(TokenClass, to_push)
        self._check_depth()

    def add_indent(self, column: int) -> bool:
        """Begin a list or a mapping by its indentation, if ``column`` is deeper."""
        deeper = super().add_indent(column)
        if deeper:
            self._check_depth()
        return deeper

    def _check_depth(self) -> None:
        if len(self.indents) + len(self.flow_context) > DEEPEST:
            raise ScannerError(None, None, TOO_DEEP, self.reader.get_mark())


class Measure:
    """A check of how much the aliases of a document make of it, and of its numbers."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}

    def of(self, node: Any, above: int = 0) -> tuple[int, int]:
        """Measure the number of values in ``node`` and its depth, below ``above`` others.

        Raises:
            ValueError: it is too deep, too large, or holds a number of more than 64 bits.
        """
        if isinstance(node, int) and node.bit_length() > 64:
            raise ValueError("a number of more than 64 bits")
        if isinstance(node, str) or not isinstance(node, Mapping | Iterable):
            return 1, 0
        values, depth = self._known.get(id(node), (0, 0))
        if not values:
            if above == DEEPEST:
                raise ValueError(TOO_DEEP)
            parts = [*node.keys(), *node.values()] if isinstance(node, Mapping) else list(node)
            measured = [self.of(part, above + 1) for part in parts]
            values = 1 + sum(number for number, _ in measured)
            depth = 1 + max((deep for _, deep in measured), default=0)
            self._known[id(node)] = values, depth
        if above + depth > DEEPEST:
            raise ValueError(TOO_DEEP)
        if values > MOST_VALUES:
            raise ValueError(f"its aliases make more than {MOST_VALUES} values of it")
        return values, depth
