"""Docstrings begin with a verb, or say what a class or module is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_layout import modules

RIDDLES = {"What", "Which", "Who", "Whom", "Whose", "Of", "Where", "Whether", "How", "As", "All", "Those"}
NO_VERBS = {"A", "An", "The", "This", "Its", "One", "No"}  # openings of functions; properties may be noun phrases
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def first_words() -> Iterator[tuple[str, ast.AST, str]]:
    """Yield place, node and first word of every docstring."""
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{place(path, node)}: {text.splitlines()[0]}", node, text.split()[0].rstrip(",:;")


def place(path: Path, node: Documented) -> str:
    return f"{path.parent.name}/{path.name}:{1 if isinstance(node, ast.Module) else node.lineno}"


def is_property(node: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_no_docstring_begins_with_a_riddle() -> None:
    assert [where for where, _, word in first_words() if word in RIDDLES] == []


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    wrong = [
        where
        for where, node, word in first_words()
        if isinstance(node, ast.FunctionDef)
        and not is_property(node)
        and (word in NO_VERBS or not word.isalpha() or word.islower())
    ]
    assert wrong == []
