"""Errors carry fields, which compose their text; bugs keep type, stage and traceback; -v prints what is logged."""

from __future__ import annotations

import codecs
import logging
import os
import pickle
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from pydantic import BaseModel, ConfigDict

import ganchain
from ganchain import Pipeline, chains, errors
from ganchain.batch.options import Options
from ganchain.chains import StageSpec, numbered, reading
from ganchain.chains.document import Document, Place, validated
from ganchain.cli.group import VERBOSE, Group, print_failure
from ganchain.cli.main import main
from ganchain.engines import choice, device
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
    assert len(public) == 9
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


# chains that are none, and values that no file can have

PLAIN = "stages: [upscale]\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_chains_are_read_in_the_encodings_that_say_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    assert [spec.name for spec in chains.load(tmp_path / "c.yaml").stages] == ["upscale"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (PLAIN.encode("utf-16-le"), "c.yaml: not YAML: no text in UTF-8"),
        (b"\x80\x04\x95\0\0", "c.yaml: not YAML: no text in UTF-8"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a", "c.yaml: not YAML: no text in UTF-8"),
        (b"# a\n# caf\xe9\n" + PLAIN.encode(), "c.yaml: not UTF-8 text (byte 0xe9 in line 2): save it as UTF-8"),
        (b"# a\n# \x1b[2J\n" + PLAIN.encode(), "c.yaml:2: not valid YAML: the character U+001B cannot stand in it"),
        ("# ä\n".encode() * (reading.LONGEST // 4), "c.yaml: not read: more than 1 MB"),
        (b"stages: [upscale]\nx: !!bool maybe\n", "c.yaml:2: not valid YAML: a value cannot be read"),
        (b"\nx: 2026-13-41\n", "c.yaml:2: not valid YAML: a value cannot be read (month must be in 1..12)"),
        (b"x: &a {<<: *a}\n", "c.yaml:1: not valid YAML: a value cannot be read"),
        (b'x: "\\UFFFFFFFF"\n', "c.yaml: not valid YAML: a value cannot be read"),
        (b"\nx: " + b"9" * 5000, "c.yaml:2: not valid YAML: a value cannot be read (Exceeds the limit"),
        (b"\tstages: [upscale]\n", "c.yaml:1: not valid YAML: found character '\\t' that cannot start any token"),
        (b"x: &a 1\ny: &a 2\n" + PLAIN.encode(), "c.yaml:1: x: no such option"),
        (b"stages: [upscale: {factor: 2026-01-01}]", "upscale.factor: 2026-01-01 (a date to YAML): input should be"),
        (b"2026-01-01: x\n" + PLAIN.encode(), "a key is a word; put it in quotes where YAML reads something else"),
        (b"? [a]\n: x\n" + PLAIN.encode(), "a key is a word; put it in quotes where YAML reads something else"),
        (b'"\\e[2J": x\n' + PLAIN.encode(), "c.yaml:1: '\\x1b[2J': no such option"),
        (b"stages: [" + b"a" * 5000 + b"]", "aaa…; available: attributes"),
        (b"stages: [upscale: {strength: .nan}]", "nan: input should be less than or equal to 1"),
    ],
)
def test_what_is_no_chain_is_said_in_plain_words(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ChainError) as raised:
        chains.load(tmp_path / "c.yaml")
    assert text in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("~nosuchuser/a.jpg", "no file '~nosuchuser/a.jpg': there is no such user"),
        ("a\\0b", "no file 'a\\x00b': no file can have this name"),
        ("\\ud800.jpg", "no file '\\ud800.jpg': no file can have this name"),
        ("a" * 300, f"no file '{'a' * 119}…: File name too long"),
        ("loop", "no file 'loop': links lead in a circle"),
        (".", "is a folder"),
        ("none.jpg", "none.jpg"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="Windows refuses other names, in other words")
def test_paths_that_no_file_can_have_are_named_with_line_and_key(value: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for option, stage in (("reference", "makeup"), ("weights", "upscale")):
        (tmp_path / "c.yaml").write_text(f'stages:\n  - {stage}:\n      {option}: "{value}"\n')
        with pytest.raises(ChainError) as raised:
            for spec in chains.load(tmp_path / "c.yaml").stages:
                spec.build()
        assert "c.yaml:3: " in str(raised.value) or value == "."
        assert "\0" not in str(raised.value)
        if option == "reference":
            assert (raised.value.line, raised.value.key) == (3, "stages[0].makeup.reference")
            assert raised.value.reason.endswith(reason)


@pytest.fixture
def swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for suffix in ("jpg", "png", "tif", "bmp", "webp"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"photo.{suffix}")


@pytest.mark.usefixtures("swapped")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        *[(f"run photo.{suffix} portrait", "this is a photo, not YAML") for suffix in ("jpg", "png", "tif", "webp")],
        ("run photo.bmp portrait", "comes first, then the photos"),
        ("run -n photo.jpg", "this is a photo"),
        ("run photos portrait", "photos: this is a folder, not a chain; the chain comes first, then the photos"),
        ("batch photo.jpg portrait -o out", "this is a photo"),
        ("batch photos/ portrait -o out", "this is a folder"),
        ("bench photo.jpg portrait", "this is a photo"),
        (
            "grid portrait photo.jpg",
            "portrait: a chain, not a photo; to change it: ganchain grid PHOTO --chain",
        ),
        ("grid photo.jpg --chain photo.jpg --vary makeup.look=rose", "this is a photo"),
        (f"run {'a' * 300} photo.jpg", "no chain 'aaa"),
        (f"run {'a' * 300}.yaml photo.jpg", "no chain 'aaa"),
        (f"weights import {'a' * 300}", "File name too long"),
        ("run /dev/null photo.jpg", "neither a file nor a folder"),
        ("train :", "no recipe ':'"),
        (f"train webtoon --data photos --set batch={'9' * 5000}", "is no YAML"),
        ("serve --max-upload nan", "'nan' is no number"),
        ("serve --keep inf", "'inf' is no number"),
        (f"serve --host {'a' * 300}", "no machine can have this name"),
        ("batch portrait photos -o out --timeout nan", "'nan' is no number"),
        ("run upscale photo.jpg --device gpu", "device 'gpu' is none of auto, cpu, cuda, cuda:N"),
        ("run upscale photo.jpg --device cuda:99", "device cuda:99: torch finds"),
    ],
)
def test_wrong_arguments_are_said_in_plain_words(arguments: str, text: str) -> None:
    done = CliRunner().invoke(main, arguments.split())
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
    assert text in done.output
    assert "Traceback" not in done.output and "codec" not in done.output


@pytest.mark.parametrize("wanted", ["cpu", "CPU", "cpu:0", torch.device("cpu"), torch.device("cpu", 0)])
def test_devices_are_taken_as_text_or_as_torch_has_them(wanted: str | torch.device) -> None:
    assert Pipeline([], device=wanted).device.type == "cpu"
    assert device.choose(wanted).type == "cpu"
    assert Options(device=wanted).device == wanted


@pytest.mark.parametrize("wanted", ["", "gpu", "cuda:x", "cuda:-1", f"cuda:{9**30}", "meta", 0, None, "cpu:1"])
def test_devices_that_there_are_not(wanted: Any) -> None:
    with pytest.raises(ChainError, match="device"):
        device.choose(wanted)


def test_a_card_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device.choose(wanted) for wanted in ("auto", "cuda", "cuda:1", torch.device("cuda", 1))] == [
        torch.device("cuda"),
        torch.device("cuda"),
        torch.device("cuda", 1),
        torch.device("cuda", 1),
    ]
    with pytest.raises(ChainError, match="device cuda:2: torch finds 2 here, numbered from 0"):
        device.choose("cuda:2")


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
