"""YAML that people write, chains and runs, read with its line numbers."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ganchain.errors import ChainError


def document(text: str, source: str, expected: str, hint: str = "") -> CommentedMap:
    """The mapping that the YAML ``text`` is, with its lines; where it is none, ``expected`` says what was."""
    try:
        data = YAML().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ChainError(f"{source}:{line}: not valid YAML: {error.problem}{hint}") from error
    except (YAMLError, ValueError, RecursionError) as error:  # a date of the 13th month; a thousand brackets
        raise ChainError(f"{source}: not valid YAML: {error}") from error
    if not isinstance(data, CommentedMap):
        raise ChainError(f"{source}:1: {expected}")
    return data
