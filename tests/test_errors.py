"""Errors carry fields, which compose their text; bugs keep type, stage and traceback; -v prints what is logged."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ConfigDict

import ganchain
from ganchain import errors
from ganchain.chains import StageSpec, numbered
from ganchain.chains.document import Document, Place, validated
from ganchain.cli.group import VERBOSE, Group, print_failure
from ganchain.cli.main import main
from ganchain.engines import choice
from ganchain.errors import (
    ChainError,
    FaceError,
    GanchainError,
    OptionError,
    PhotoError,
    StageError,
    WeightsError,
    is_bug,
    text_of,
    traceback_of,
)
from ganchain.stage import Stage


def bug() -> StageError:
    """A StageError as the pipeline raises it for a stage that raised KeyError."""
    try:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise StageError("failed: KeyError: 'x'", stage="oil", where="c.yaml:2") from error
    except StageError as error:
        return error


def test_the_tree_is_exported() -> None:
    tree = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GanchainError)]
    public = [cls for cls in tree if not cls.__name__.startswith("_")]
    assert len(public) == 8
    for cls in public:
        assert getattr(ganchain, cls.__name__) is cls and cls.__name__ in ganchain.__all__


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GanchainError("no"), "no"),
        (ChainError("no", file="c.yaml", line=3, key="stages[0].makeup"), "c.yaml:3: stages[0].makeup: no"),
        (ChainError("no", file="--vary x"), "--vary x: no"),
        (ChainError("a", file="c.yaml", others=[ChainError("b", file="c.yaml", line=2)]), "c.yaml: a\nc.yaml:2: b"),
        (OptionError("no", option="factor"), "factor: no"),
        (PhotoError("no such file", path=Path("a.jpg")), "a.jpg: no such file"),
        (FaceError("none", path="a.jpg").at(stage="makeup", where="c.yaml:2"), "c.yaml:2: makeup: a.jpg: none"),
        (WeightsError("cut", ref="srgan"), "srgan: cut"),
        (bug(), "c.yaml:2: stage 'oil' failed: KeyError: 'x'"),
    ],
)
def test_texts_are_composed_of_fields_and_survive_the_way_to_another_process(error: GanchainError, text: str) -> None:
    assert str(error) == text
    sent = pickle.loads(pickle.dumps(error))
    assert type(sent) is type(error) and str(sent) == text and sent.reason == error.reason
    assert is_bug(sent) == is_bug(error)


def test_fields_are_filled_and_never_replaced() -> None:
    error = PhotoError("no", path="a.jpg", stage="makeup")
    assert error.at(stage="webtoon", where="c.yaml:2") is error
    assert (error.stage, error.where) == ("makeup", "c.yaml:2")


def test_a_bug_keeps_its_traceback_from_one_process_to_another() -> None:
    assert is_bug(KeyError("x")) and not is_bug(PhotoError("no")) and not is_bug(StageError("wrong shape"))
    assert traceback_of(PhotoError("no")) == ""
    for error in (bug(), pickle.loads(pickle.dumps(bug()))):
        assert "KeyError: 'x'" in traceback_of(error) and "in bug" in traceback_of(error)


def test_a_line_names_the_path_once() -> None:
    error = PhotoError("no such file", path="a.jpg")
    assert text_of(error, beside=Path("a.jpg")) == "no such file"
    assert text_of(error, beside="b.jpg") == str(error) == "a.jpg: no such file"
    assert text_of(WeightsError("cut", ref="srgan"), beside="srgan") == "cut"
    assert text_of(KeyError("x")) == "KeyError: 'x'"


# where something was asked for


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    side: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner = Inner()
    many: list[int] = []


def test_a_document_knows_its_lines() -> None:
    document = Document.parse("a: &m {x: 1}\nb:\n  - c: 2\n  - {<<: *m,\n     d: 3}\n", "t.yaml", "a mapping")
    assert document.place("b", 0, "c") == Place("t.yaml", 3, "b[0].c")
    assert document.line("b", 1, "d") == 5
    assert document.line("b", 1, "x") == 4  # merged in: the line of its mapping
    assert document.line("nowhere") == 1
    assert str(document.error("no", "b", 0)) == "t.yaml:3: b[0]: no"
    with pytest.raises(ChainError) as raised:
        Document.parse("[1]", "t.yaml", "a mapping is needed")
    assert (raised.value.file, raised.value.line, raised.value.reason) == ("t.yaml", 1, "a mapping is needed")


def test_each_wrong_value_is_an_error_with_its_own_place() -> None:
    document = Document.parse("inner:\n  side: x\nmany: [1, y]\nmore: 1\n", "t.yaml", "")
    with pytest.raises(ChainError) as raised:
        validated(Outer, document.data, document.place, also=["stages"])
    found = [raised.value, *raised.value.others]
    assert [(error.line, error.key) for error in found] == [(2, "inner.side"), (3, "many"), (4, "more")]
    assert found[0].reason == "'x': input should be a valid integer, unable to parse string as an integer"
    assert found[2].reason == "no such option; available: inner, many, stages"


def test_an_error_gets_a_place_once() -> None:
    error = Place("g.yaml", 3, "chain").add_to(ChainError("no chain 'x'"))
    assert str(error) == "g.yaml:3: chain: no chain 'x'"
    assert str(Place("other.yaml", 1).add_to(error)) == "g.yaml:3: chain: no chain 'x'"


def test_names_that_come_again_are_numbered() -> None:
    assert numbered(["my-blur", "makeup", "my-blur", "my", "my-blur"]) == [
        "my-blur",
        "makeup",
        "my-blur-2",
        "my",
        "my-blur-3",
    ]


class Refusing(Stage):
    """Raise what it is told to, in its constructor."""

    def __init__(self, *, error: Exception) -> None:
        raise error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OptionError("too many", option="error"), ChainError, "c.yaml:3: stages[0].odd.error: too many"),
        (OptionError("too many", option="other"), ChainError, "c.yaml:2: odd: too many"),
        (ValueError("too many"), ChainError, "c.yaml:2: odd: too many"),
        (WeightsError("cut", ref="srgan"), ChainError, "c.yaml:2: odd: srgan: cut"),
        (PhotoError("cut", path="a.jpg"), ChainError, "c.yaml:2: odd: a.jpg: cut"),
        (KeyError("x"), StageError, "c.yaml:2: stage 'odd' cannot be built: KeyError: 'x'"),
    ],
)
def test_what_a_constructor_raises_gets_its_place(error: Exception, kind: type[GanchainError], text: str) -> None:
    place, option = Place("c.yaml", 2, "stages[0]"), Place("c.yaml", 3, "stages[0].odd.error")
    with pytest.raises(kind) as raised:
        StageSpec("odd", Refusing, {"error": error}, place, {"error": option}).build()
    assert str(raised.value) == text
    assert is_bug(raised.value) == isinstance(error, KeyError)


def test_a_bug_that_shows_while_engines_are_compared_names_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> str:
        raise KeyError("x")

    monkeypatch.setattr(choice, "kernels_of", lambda stage: iter([stage]))
    monkeypatch.setattr(choice.Choice, "label", property(broken))
    with pytest.raises(StageError, match="stage 'oil' cannot be run by engine 'auto': KeyError: 'x'") as raised:
        choice.use({"oil": Stage()}, "auto", choice.torch.device("cpu"))
    assert is_bug(raised.value)


# the command line


def commands() -> click.Group:
    group = Group("g", params=[VERBOSE])

    @group.command()
    def speak() -> None:
        logger = logging.getLogger("ganchain.pipeline.group")
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logger.log(level, "said at %d", level)

    @group.command()
    @click.argument("error")
    def fail(error: str) -> None:
        raise {"bug": bug(), "photo": PhotoError("no such file", path="a.jpg"), "other": KeyError("x")}[error]

    return group


@pytest.mark.parametrize(
    ("arguments", "lines"), [("speak", 0), ("-v speak", 2), ("speak -v", 2), ("-v speak -v", 3), ("speak -vv", 3)]
)
def test_v_prints_what_is_logged(arguments: str, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    done = CliRunner().invoke(commands(), arguments.split())
    assert done.exit_code == 0 and done.stdout == ""
    assert done.stderr.count("ganchain.pipeline.group: said at") == lines
    logger = logging.getLogger("ganchain")
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)  # a library configures nothing


def test_every_command_takes_v() -> None:
    def check(group: click.Group) -> None:
        for command in group.commands.values():
            assert VERBOSE in command.params, command.name
            if isinstance(command, click.Group):
                check(command)

    assert isinstance(main, click.Group) and VERBOSE in main.params
    check(main)


def test_what_a_person_did_wrong_is_one_line_and_a_bug_keeps_its_traceback() -> None:
    done = CliRunner().invoke(commands(), ["fail", "photo"])
    assert (done.exit_code, done.stderr) == (2, "error: a.jpg: no such file\n")
    done = CliRunner().invoke(commands(), ["fail", "bug"])
    assert done.stderr.startswith("error: c.yaml:2: stage 'oil' failed: KeyError: 'x'\nTraceback")
    assert isinstance(CliRunner().invoke(commands(), ["fail", "other"]).exception, KeyError)


def test_a_photo_that_failed_is_one_line_and_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[Any]) -> None:
    print_failure(Path("a.jpg"), PhotoError("no such file", path="a.jpg"))
    assert capsys.readouterr().err == "a.jpg: failed: no such file\n"
    print_failure(Path("a.jpg"), bug())
    shown = capsys.readouterr().err
    assert shown.startswith("a.jpg: failed: c.yaml:2: stage 'oil' failed: KeyError: 'x'\nTraceback")
    assert "KeyError: 'x'" in shown
