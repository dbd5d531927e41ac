"""Folders through a chain: what is found, what it is called, what is recorded, and what a rerun does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import count, islice
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from click.testing import CliRunner
from PIL import Image

import ganchain
from ganchain import chains
from ganchain.batch import loop, memory, run
from ganchain.batch import pool as batch_pool
from ganchain.batch.display import summary_lines
from ganchain.batch.journal import Journal
from ganchain.batch.options import Options
from ganchain.batch.pool import Pool
from ganchain.batch.process import Lost
from ganchain.batch.record import Record
from ganchain.batch.run import batch
from ganchain.batch.settings import LOCK, Settings
from ganchain.batch.signals import ENDING, Signals
from ganchain.batch.summary import Summary
from ganchain.batch.worker import Worker
from ganchain.checkpoints import manifest
from ganchain.cli.batch import batch as command
from ganchain.cli.main import Group
from ganchain.engines import choice
from ganchain.errors import ChainError, GanchainError, PhotoError
from ganchain.photos import images
from ganchain.photos.find import Globs, Item, find, glob
from ganchain.photos.folders import expand
from ganchain.pipeline.names import TEMPLATE, Names
from ganchain.tensors import Pixels
from tests.pools import Here
from tests.soak import killing
from tests.soak.odd import Light, Odd, Suspicious

ROSE = "stages:\n  - makeup: {look: rose}\n"
APP = Group(commands=[command])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Pool", Here)


@pytest.fixture
def place(tmp_path: Path, small_head: Pixels) -> Path:
    """A chain and a folder of three photos: a.jpg, sub/b.png, sub/plain.png (nobody in it)."""
    (tmp_path / "rose.yaml").write_text(ROSE)
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    Image.fromarray(small_head).save(photos / "a.jpg")
    Image.fromarray(small_head[:, ::-1]).save(photos / "sub" / "b.png")
    Image.new("RGB", (64, 48), "green").save(photos / "sub" / "plain.png")
    return tmp_path


def done(place: Path, *inputs: Path, out: str = "out", chain: str = "rose.yaml", **options: Any) -> Summary:
    options = {"engine": "torch", "workers": 1, "device": "cpu", **options}
    return batch(place / chain, inputs or (place / "photos",), place / out, Options(**options))


def records(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "ganchain-batch.jsonl").read_text().splitlines()
    found = {line["input"]: line for line in map(json.loads, lines)}
    assert len(found) == len(lines)
    return found


def outputs(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "ganchain-batch" not in path.name
    }


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


# what is found


def test_folders_are_walked(tmp_path: Path) -> None:
    photos = touched(tmp_path / "in", "b.JPG", "a/c.png", "a/notes.txt", ".hidden.jpg", ".git/x.jpg", "out/done.png")
    (photos / "a" / "loop").symlink_to(photos, target_is_directory=True)
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "again.jpg").symlink_to(photos / "b.JPG")
    (photos / "own.png").write_bytes(b"")
    found = find([photos], photos / "out", own=[photos / "own.png"])
    assert [item.input for item in found.items] == ["a/c.png", "b.JPG", "gone.jpg"]
    assert found.twice == {"again.jpg": "b.JPG"}
    assert found.items[0].source == photos / "a" / "c.png"


def test_several_inputs_keep_apart(tmp_path: Path) -> None:
    one = touched(tmp_path / "x" / "day", "1.jpg")
    two = touched(tmp_path / "y" / "day", "1.jpg")
    lone = touched(tmp_path / "z", "1.jpg", "2.txt") / "1.jpg"
    found = find([one, two, lone, tmp_path / "y" / ".." / "z" / "1.jpg", one], tmp_path / "out")
    assert {item.input: item.source for item in found.items} == {
        "day/1.jpg": one / "1.jpg",
        "y/day/1.jpg": two / "1.jpg",
        "1.jpg": lone,
    }
    both = find([lone, two / "1.jpg"], tmp_path / "out")
    assert [item.input for item in both.items] == ["1.jpg", "day/1.jpg"]
    assert not both.twice


def test_wrong_inputs_are_said(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no such file or folder"):
        find([tmp_path / "nothing"], tmp_path / "out")
    with pytest.raises(PhotoError, match="is an input folder"):
        find([tmp_path], tmp_path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.jpg", "a/b/IMG.JPG", True),
        ("*.jpg", "a/b.png", False),
        ("a/*.jpg", "a/b.jpg", True),
        ("a/*.jpg", "a/b/c.jpg", False),
        ("a/**/*.jpg", "a/b.jpg", True),
        ("a/**/*.jpg", "a/b/c/d.jpg", True),
        ("**/x.jpg", "x.jpg", True),
        ("drafts", "a/drafts/b/c.jpg", True),
        ("drafts/", "drafts/c.jpg", True),
        ("drafts", "drafts2/c.jpg", False),
        ("a/drafts", "b/a/drafts/c.jpg", False),
        ("IMG_[0-3]?.jpg", "IMG_12.jpg", True),
        ("IMG_[!0-3]?.jpg", "IMG_12.jpg", False),
        ("a+b (1).jpg", "a+b (1).jpg", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert bool(glob(pattern).fullmatch(path)) is matches
    assert Globs(include=[pattern])(path) is matches
    assert Globs(exclude=[pattern])(path) is not matches


# what it is called


def named(names: Names, folder: Path, *files: str, entries: Sequence[Any] = ()) -> dict[str, str]:
    found = find([touched(folder, *files)], folder.parent / "out")
    assigned = names.assign(found.items, entries, lambda path: path.read_bytes().hex(), folder.parent / "out")
    return {item.input: item.target for item in assigned}


def owned(input_: str, target: str, folder: Path, chain: str = "c") -> Record:
    content = input_.encode().hex()
    return Record(input_, str(folder / input_), chain, "ok", target, sha256=content)


def test_names_mirror_the_tree(tmp_path: Path) -> None:
    assert named(Names(TEMPLATE, "c", "png"), tmp_path / "in", "a.jpg", "s/b.webp") == {
        "a.jpg": "a-c.png",
        "s/b.webp": "s/b-c.png",
    }
    template = Names("{chain}/{parent}_{name}.{ext}", "c", "jpg")
    assert named(template, tmp_path / "in")["s/b.webp"] == "s/c/s_b.webp.jpg"


def test_equal_stems_get_names_of_their_own(tmp_path: Path) -> None:
    expected = {"a.jpg": "a.jpg-c.png", "a.png": "a.png-c.png", "b.jpg": "b-c.png"}
    names = Names(TEMPLATE, "c", "png")
    assert named(names, tmp_path / "in", *expected) == expected
    half = [owned("a.jpg", "a.jpg-c.png", tmp_path / "in")]  # killed after the first
    assert named(names, tmp_path / "in", *expected, entries=half) == expected


def test_names_stay_when_others_come_and_go(tmp_path: Path) -> None:
    folder, names = tmp_path / "in", Names(TEMPLATE, "c", "png")
    first = [owned("a.jpg", "a-c.png", folder)]
    assert named(names, folder, "a.jpg", "a.png", entries=first) == {"a.jpg": "a-c.png", "a.png": "a.png-c.png"}
    (folder / "a.jpg").unlink()
    assert named(names, folder, entries=first) == {"a.png": "a.png-c.png"}  # a-c.png is a.jpg's for ever


def test_another_folder_never_takes_over_a_name(tmp_path: Path) -> None:
    other, names = tmp_path / "other", Names(TEMPLATE, "c", "png")
    entry = owned("a.jpg", "a-c.png", tmp_path / "in")
    touched(other, "a.jpg")
    assert named(names, other, entries=[entry]) == {"a.jpg": "a-c.png"}  # the folder was moved: the same content
    (other / "a.jpg").write_bytes(b"another photo")
    found = find([other], tmp_path / "out").items
    assigned = names.assign(found, [entry], lambda path: path.read_bytes().hex(), tmp_path / "out")
    assert assigned[0].target == "a.jpg-c.png"


def test_names_that_only_case_or_faces_tell_apart(tmp_path: Path) -> None:
    assert sorted(named(Names(TEMPLATE, "c", "png"), tmp_path / "in", "A.jpg", "a.jpg").values()) == [
        "A.jpg-c.png",
        "a.jpg-2-c.png",
    ]
    names = Names("{stem}.{ext}", "c", "png", faces=True)
    assert named(names, tmp_path / "f", "x.jpg", "x-face0.jpg") == {
        "x.jpg": "x.jpg.png",
        "x-face0.jpg": "x-face0.jpg.png",
    }


def test_chains_without_their_name_keep_apart(tmp_path: Path) -> None:
    entries = [owned("a.jpg", "a.png", tmp_path / "in", chain="first")]
    assert named(Names("{stem}.{ext}", "second", "png"), tmp_path / "in", "a.jpg", entries=entries) == {
        "a.jpg": "a.jpg.png"
    }


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{stm}.{ext}", "did you mean 'stem'"),
        ("{stem", "expected '}'"),
        ("{stem:>9}.{ext}", "fields stand alone"),
        ("{stem.upper}.{ext}", "no field"),
        ("{chain}.{ext}", "needs {stem}"),
        ("{stem}.png", "must end in .{ext}"),
        ("../{stem}.{ext}", "below the output folder"),
        ("/tmp/{stem}.{ext}", "below the output folder"),
    ],
)
def test_wrong_templates_are_said(template: str, reason: str) -> None:
    with pytest.raises(PhotoError) as raised:
        Names(template, "c", "png")
    assert reason in str(raised.value)


def test_what_paths_without_a_batch_stand_for(tmp_path: Path) -> None:
    folder = touched(tmp_path / "in", "b.JPG", "a.png", "notes.txt", ".hidden.jpg", "._a.jpg", "below/c.png")
    (folder / "broken.jpg").symlink_to(folder / "nothing")
    (folder / "folder.jpg").mkdir()
    missing = tmp_path / "missing.jpg"  # it is named when it is read
    assert expand([missing, folder]) == [missing, *(folder / name for name in ("a.png", "b.JPG", "broken.jpg"))]
    with pytest.raises(PhotoError, match=r"folder\.jpg: no pictures in this folder"):
        expand([folder / "folder.jpg"])


# the record


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    record = Journal(tmp_path)
    with record:
        record.append(owned("a.jpg", "a-c.png", tmp_path))
        record.append(owned("b.jpg", "b-c.png", tmp_path))
    path = tmp_path / "ganchain-batch.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = Journal(tmp_path)
    assert [entry.input for entry in again.entries.values()] == ["a.jpg"]
    with again:
        again.append(owned("c.jpg", "c-c.png", tmp_path))
        again.append(owned("a.jpg", "a-c.png", tmp_path))
        again.append(owned("d.jpg", "d-c.png", tmp_path))
    newer = path.read_bytes().replace(b'{"input":"d.jpg"', b'{"news":1,"input":"d.jpg"')
    path.write_bytes(newer)
    again.compact()
    assert list(records(tmp_path)) == ["c.jpg", "a.jpg", "d.jpg"]
    assert records(tmp_path)["d.jpg"]["news"] == 1  # a newer version's line is kept as it is
    assert ("c", "d-c.png") in Journal(tmp_path).entries


def test_a_torn_tail_of_any_length_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ganchain-batch.jsonl"
    first, second = (owned(name, f"{name}-c.png", tmp_path).line() for name in ("a", "b"))
    tails = [second[:-1], second[:1], bytes(5000), b"[" * 300_000, first[:-1] * 900, b"\xff" * 70_000, b""]
    for whole in (b"", first, first * 3):
        for tail in tails:
            path.write_bytes(whole + tail)
            record = Journal(tmp_path)
            assert len(record.entries) == bool(whole) and len(record.damaged) == bool(tail)
            with record:
                record.append(owned("c", "c-c.png", tmp_path))
            assert path.read_bytes() == whole + owned("c", "c-c.png", tmp_path).line()


ODD = {  # a field, and what stands in it
    "target": (None, 5, [], "", ".", "a\0b", "\ud800", {"a": 1}),
    "input": (None, 1.5, ["a"]),
    "chain": (None, {}, ["c"], True),
    "path": (None, 7, "\0"),
    "status": (None, "great", 3, ["ok"]),
    "sha256": (5, ["a"], {}),
    "key": (0, [], True),
    "tries": ("x", None, -1, 1.5, 10**400, [], True),
    "engines": (None, 5, ["torch"], {"makeup": 3}, "torch"),
    "outputs": (None, 3, "ab", {"path": "a"}, [1], [{}], [None], [{"path": "a"}]),
}
ODD_OUTPUTS = ({"path": "a", "bytes": number} for number in (None, "9", -1, [], 2.5, 10**30))
ODD_LINES = [
    json.dumps({**asdict(Record("a", "/a", "c", "ok", "a-c.png")), name: value})
    for name, values in ODD.items()
    for value in values
]
ODD_LINES += [json.dumps({**asdict(Record("a", "/a", "c", "ok", "a-c.png")), "outputs": [one]}) for one in ODD_OUTPUTS]
ODD_LINES += [
    json.dumps({**asdict(Record("a", "/a", "c", "ok", "a-c.png")), "outputs": [{"path": "a", "bytes": 0}]}).replace(
        '"bytes": 0', f'"bytes": {number}'
    )
    for number in ("1e999", "NaN", "-Infinity", "9" * 5000)
]
ODD_LINES += [
    "[" * 200_000,
    '{"a":' * 200_000,
    "null",
    "[]",
    "5",
    '"text"',
    "{}",
    "{",
    "\x00" * 99,
    "\ufeff{}",
    "not json",
]


def test_odd_lines_are_dropped_named_and_done_again(tmp_path: Path) -> None:
    assert len(ODD_LINES) > 60
    path = tmp_path / "ganchain-batch.jsonl"
    sound = owned("b.jpg", "b-c.png", tmp_path).line()
    path.write_bytes(sound + b"".join(line.encode() + b"\n" for line in ODD_LINES) + b"\xff\xfe\n" + sound)
    record = Journal(tmp_path)
    kept = [line[:200] for number, line in enumerate(ODD_LINES, start=2) if number not in record.damaged]
    assert kept == [] and len(record.damaged) == len(ODD_LINES) + 1 and list(record.entries) == [("c", "b-c.png")]
    with record:
        record.append(owned("a.jpg", "a-c.png", tmp_path))
    record.compact()
    assert Journal(tmp_path).damaged == []


@pytest.mark.usefixtures("here")
def test_a_batch_goes_on_with_a_damaged_record(place: Path) -> None:
    only = place / "photos" / "a.jpg"
    done(place, only)
    path = place / "out" / "ganchain-batch.jsonl"
    path.write_bytes(b"[" * 200_000 + b"\n" + path.read_bytes().replace(b'"target":"a-rose.png"', b'"target":null'))
    result = CliRunner().invoke(APP, ["batch", str(place / "rose.yaml"), str(only), "-o", str(place / "out"), "-n"])
    assert "line 1, 2" in result.output and "1 to do" in result.output
    summary = done(place, only)
    assert summary.damaged == [1, 2] and summary.counts["ok"] == 1 and summary.exit_code == 0
    assert "the record was damaged (line 1, 2)" in "\n".join(summary_lines(summary))
    assert done(place, only).damaged == []


@pytest.mark.slow
def test_what_cannot_be_recorded_waits(tmp_path: Path) -> None:
    code = f"""if True:
        import resource, signal
        from pathlib import Path
        from ganchain.batch.journal import Journal
        from ganchain.batch.record import Record
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Journal(Path({str(tmp_path)!r})) as record:
            def add(name): return record.append(Record(name, name, "c", "ok", name))
            assert add("first") is None
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (record.path.stat().st_size + 50, most))
            assert isinstance(add("second"), OSError) and len(record.pending) == 1
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            assert add("third") is None and not record.pending
    """
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(records(tmp_path)) == ["first", "second", "third"]


# a batch


@pytest.mark.usefixtures("here", "no_nohup")
def test_a_signal_before_the_first_photo_ends_with_a_summary(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(signals: Signals, on_found: Any = None) -> Summary:
        options = Options(engine="torch", workers=1)
        summary = batch(place / "rose.yaml", [place / "photos"], place / "out", options, None, on_found, signals)
        assert summary.exit_code == 130 and not outputs(place / "out") and list(summary_lines(summary))
        return summary

    assert ended(Signals(1)).total == 0  # while the command was importing
    signals = Signals()
    handlers = [signal.getsignal(number) for number in ENDING]
    summary = ended(signals, lambda: signal.raise_signal(signal.SIGTERM))  # while photos are looked for
    assert (summary.total, signals.count) == (0, 1)
    real = run.allocate
    monkeypatch.setattr(run, "allocate", lambda *given: (real(*given), signal.raise_signal(ENDING[-1]))[0])
    assert ended(Signals()).left == 3  # while engines are chosen
    assert [signal.getsignal(number) for number in ENDING] == handlers


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals as POSIX has them")
def test_nohup_holds() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals().caught():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes as POSIX has them")
@pytest.mark.usefixtures("here")
@pytest.mark.slow
def test_only_regular_files_are_opened(place: Path, small_head: Pixels) -> None:
    """A pipe in the place of an input, of the record or of a reference would keep the batch waiting for ever."""
    photo, target = place / "photos" / "a.jpg", place / "elsewhere.jpg"
    photo.rename(target)
    photo.symlink_to(target)
    assert dict(done(place, place / "photos").counts) == {"ok": 2, "no_face": 1}
    target.unlink()
    os.mkfifo(target)
    summary = done(place, place / "photos")
    assert dict(summary.counts) == {"skipped": 2, "failed": 1}
    assert summary.failed == {"a.jpg": "not a regular file"}
    (place / "rose.yaml").write_text("stages:\n  - makeup: {reference: elsewhere.jpg}\n")
    with pytest.raises(GanchainError, match="no file"):
        done(place, place / "photos")
    (place / "rose.yaml").write_text(ROSE)
    (place / "out" / "ganchain-batch.jsonl").unlink()
    os.mkfifo(place / "out" / "ganchain-batch.jsonl")
    with pytest.raises(PhotoError, match="the record cannot be read: not a regular file"):
        done(place, place / "photos")


@pytest.mark.usefixtures("here")
def test_photos_are_begun_while_others_are_looked_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    looked_up = run.finished

    def slowly(*given: Any, **options: Any) -> Iterator[Any]:
        for item, is_done in looked_up(*given, **options):
            events.append(f"look up {item.input}")
            yield item, is_done

    monkeypatch.setattr(run, "finished", slowly)
    batch(
        place / "rose.yaml",
        [place / "photos"],
        place / "out",
        Options(workers=1),
        lambda record, _: events.append(f"done {record.input}"),
    )
    assert events.index("done a.jpg") < events.index("look up sub/plain.png")


@pytest.mark.usefixtures("here")
def test_memory_is_given_back_when_a_photo_is_written(place: Path) -> None:
    """Results are kept until they are written, not until the worker's share of memory is full."""
    worker = Here(1, Worker, (chains.load(place / "rose.yaml"), Settings(place, "rose", "key")), 60).work
    (place / LOCK).touch()
    item = Item(place / "photos" / "sub" / "plain.png", "plain.png", "plain.png")
    for _ in range(5):
        worker.begin([item])()
    assert len(worker._pending_writes) <= 1


def test_planning_makes_few_names_a_photo() -> None:
    """Counted in calls of the template, not in seconds: a few a photo, also where an earlier batch was there."""
    names, calls = Names("{parent}/{stem}-{chain}.{ext}", "c", "png"), count()
    items = [Item(Path(f"/in/{n}.jpg"), f"{n}.jpg") for n in range(200)]
    owners = [Record(f"{n}.jpg", f"/in/{n}.jpg", "c", "ok", f"{n}-old.png") for n in range(200)]  # of another template
    filled = Names._fill
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Names, "_fill", lambda *given: (next(calls), filled(*given))[1])
        assert len(names.assign(items, owners, lambda _: None, Path("/out"))) == 200
    assert next(calls) <= 5 * 200


@pytest.mark.parametrize("name", ["a.jpg", "s/b.c.jpg", "noext", "s/.hid", "x.", "2-1.jpg"])
@pytest.mark.parametrize("template", [TEMPLATE, "{chain}/{parent}_{name}.{ext}", "{stem}{stem}.{ext}", "{name}.{ext}"])
def test_candidates_are_known_again(name: str, template: str) -> None:
    names = Names(template, "c", "png")
    proposed = list(islice(names.candidates(name), 30))
    assert all(names._is_candidate(name, target) for target in proposed)
    folder, _, file = proposed[5].rpartition("/")
    fifth = proposed[5]
    for other in (f"{folder}/x{file}", fifth + "x", fifth.replace("6", "06"), fifth.replace("6", "1")):
        assert not names._is_candidate(name, other.lstrip("/")) or other.lstrip("/") in proposed


@pytest.mark.usefixtures("here")
def test_every_input_has_its_end(place: Path) -> None:
    (place / "photos" / "broken.jpg").write_bytes(b"no photo")
    (place / "photos" / "gone.png").symlink_to("nowhere")
    summary = done(place, identity=False)
    assert dict(summary.counts) == {"ok": 2, "no_face": 1, "failed": 2}
    assert summary.exit_code == 1
    assert summary.failed == {"broken.jpg": "not a picture that can be read", "gone.png": "no such file"}
    assert list(outputs(place / "out")) == ["a-rose.png", "sub/b-rose.png", "sub/plain-rose.png"]
    record = records(place / "out")["a.jpg"]
    assert record["status"] == "ok"
    assert record["size"] == [240, 220]
    assert record["faces"][0]["left_out"] is None
    assert len(record["faces"][0]["landmarks"]) == 5
    assert {"read", "detect", "makeup", "paste", "write"} <= set(record["seconds"])
    assert record["outputs"][0]["bytes"] == len(outputs(place / "out")["a-rose.png"])
    failed = records(place / "out")["broken.jpg"]
    assert (failed["tries"], failed["outputs"]) == (1, [])
    before, after = (np.asarray(Image.open(place / path)) for path in ("photos/a.jpg", "out/a-rose.png"))
    assert not np.array_equal(before, after)


@pytest.mark.usefixtures("here")
@pytest.mark.slow
def test_a_rerun_does_only_what_is_missing(place: Path, small_head: Pixels) -> None:
    out, photos = place / "out", place / "photos"
    (photos / "broken.jpg").write_bytes(b"no photo")
    done(place)
    first, stamps = outputs(out), {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    again = done(place, workers=3, timeout=9)
    assert dict(again.counts) == {"skipped": 3, "failed": 1}
    assert records(out)["broken.jpg"]["tries"] == 2
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    (out / "a-rose.png").write_bytes(first["a-rose.png"][:-9])  # cut
    (out / "sub" / "b-rose.png").unlink()
    Image.fromarray(small_head).save(photos / "broken.jpg")
    assert dict(done(place).counts) == {"skipped": 1, "ok": 3}
    assert outputs(out).items() > first.items()
    Image.fromarray(small_head[::-1]).save(photos / "sub" / "b.png")  # another photo of that name and place
    assert done(place).counts["skipped"] == 3
    assert outputs(out)["sub/b-rose.png"] != first["sub/b-rose.png"]
    assert "skipped" not in done(place, redo=True).counts


def test_the_key_is_what_outputs_depend_on(place: Path, small_head: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(chain: str, **options: Any) -> str:
        (place / "my.yaml").write_text(chain)
        inputs, out = [place / "photos"], place / "out"
        return run.plan(place / "my.yaml", inputs, out, Journal(out), Options(**options)).key

    Image.fromarray(small_head).save(place / "look.png")
    reference = "stages:\n  - makeup: {reference: look.png}\n"
    first = key(reference)
    assert key("# a comment\nfaces: all\n" + reference.replace("{", "{strength: 1.0, ")) == first  # a default
    assert key(reference, workers=3, device="cpu", redo=True, timeout=1) == first
    others = {key(reference + "output: {location: strip}\n"), key(reference + "faces: largest\n")}
    others |= {key(reference, name="{stem}.{ext}"), key(ROSE), key(ROSE.replace("}", ", strength: 0.5}"))}
    others |= {key(reference, engine=engine) for engine in ("auto", "openvino")}
    Image.fromarray(small_head[:, ::-1]).save(place / "look.png")
    others.add(key(reference))  # another reference under the same name
    bundled = manifest.bundled()
    monkeypatch.setitem(bundled, "points", bundled["points"].model_copy(update={"sha256": "0" * 64}))
    monkeypatch.setattr(manifest, "verified", lambda key, found, digest: safetensors.torch.load(found))
    others.add(key(ROSE))  # other weights under the same key
    monkeypatch.setitem(bundled, "landmarks", bundled["landmarks"].model_copy(update={"sha256": "1" * 64}))
    others.add(key(ROSE))  # other landmarks
    monkeypatch.setattr("ganchain.chains.digest.VERSION", "0.0.1")
    others.add(key(ROSE))
    assert len(others | {first}) == 12


@pytest.mark.usefixtures("here")
def test_what_auto_has_chosen_stands_in_the_record(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A choice made anew, as without a cache that can be written, could come out otherwise at every start."""
    chosen = iter(["torch-half", "torch", "torch"])
    monkeypatch.setattr(choice.Choice, "label", property(lambda _: next(chosen)))
    monkeypatch.setattr(choice, "engine", lambda label, device: None)
    aged = "stages:\n  - attributes: {age: young}\n"
    (place / "rose.yaml").write_text(aged)
    done(place, place / "photos" / "a.jpg", engine="auto")
    assert done(place, engine="auto").counts["skipped"] == 1
    assert {record["engines"]["attributes"] for record in records(place / "out").values()} == {"torch-half"}
    (place / "rose.yaml").write_text(aged.replace("young", "old"))
    assert dict(done(place, engine="auto").counts) == {"ok": 2, "no_face": 1}  # another chain, another choice
    assert {record["engines"]["attributes"] for record in records(place / "out").values()} == {"torch"}
    assert dict(done(place, engine="torch").counts) == {"ok": 2, "no_face": 1}  # asked for by name: another key
    assert dict(done(place, engine="torch").counts) == {"skipped": 3}


@pytest.mark.usefixtures("here")
def test_another_chain_leaves_what_is_there(place: Path) -> None:
    only = place / "photos" / "a.jpg"
    done(place, only)
    (place / "rose.yaml").rename(place / "lily.yaml")
    assert done(place, only, chain="lily.yaml").counts["ok"] == 1
    assert list(outputs(place / "out")) == ["a-lily.png", "a-rose.png"]
    assert len((place / "out" / "ganchain-batch.jsonl").read_text().splitlines()) == 2


@pytest.mark.usefixtures("here", "dlib_models")
@pytest.mark.slow
def test_identity_is_recorded(place: Path) -> None:
    done(place, place / "photos" / "a.jpg", identity=True)
    (face,) = (face for face in records(place / "out")["a.jpg"]["faces"] if face["left_out"] is None)
    assert 0 < face["distance"] < 0.4


@pytest.mark.usefixtures("here")
def test_points_are_recorded(place: Path) -> None:
    done(place, place / "photos" / "a.jpg", points=True)
    (face,) = (face for face in records(place / "out")["a.jpg"]["faces"] if face["left_out"] is None)
    points = np.array(face["points"])
    left, top, right, bottom = face["box"]
    assert points.shape == (478, 2)
    assert left < points[1, 0] < right and top < points[1, 1] < bottom  # the tip of the nose


@pytest.mark.usefixtures("here")
def test_the_photo_itself_is_never_written(place: Path) -> None:
    photos = place / "photos"
    before = outputs(photos)
    assert done(place, photos / "a.jpg", out="photos", name="{stem}.{ext}").counts["ok"] == 1
    (place / "rose.yaml").write_text(ROSE + "output: {format: jpeg}\n")
    summary = done(place, photos / "a.jpg", out="photos", name="{stem}.{ext}")
    assert summary.counts["ok"] == 1
    assert outputs(photos).items() > before.items()
    assert {"a.png", "a.jpg.jpg"} < outputs(photos).keys()


@pytest.mark.usefixtures("here")
def test_stale_parts_go_and_others_stay(place: Path) -> None:
    touched(place / "out", f".batch-{'0' * 32}.part", f"sub/.batch-{'a' * 32}.part", f".{'0' * 32}.part", "mine.part")
    done(place)
    assert sorted(path.name for path in (place / "out").rglob("*.part")) == [f".{'0' * 32}.part", "mine.part"]


@pytest.mark.usefixtures("here")
@pytest.mark.slow
def test_a_vanished_output_folder_stops_the_batch(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Record] = []

    def vanish(record: Record, summary: Summary) -> None:
        ended.append(record)
        if len(ended) == 1:
            (place / "out").rename(place / "elsewhere")

    options = Options(engine="torch", workers=1)
    summary = batch(place / "rose.yaml", [place / "photos"], place / "out", options, vanish)
    assert summary.exit_code == 1
    assert summary.stopped is not None and "is gone" in summary.stopped
    assert summary.left == 1
    assert summary.failed == {"sub/b.png": f"the output folder {place / 'out'} is gone"}
    assert not (place / "out").exists()  # not made anew: it may be where a disk was mounted
    (place / "elsewhere").rename(place / "out")
    assert dict(done(place).counts) == {"skipped": 1, "ok": 1, "no_face": 1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1536k", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.usefixtures("here")
@pytest.mark.slow
def test_a_full_or_read_only_disk_stops_the_batch(place: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    out.mkdir()
    (small_disk / "filler").write_bytes(bytes(1_500_000))
    summary = done(place, out="disk/out")
    assert summary.exit_code == 1
    assert "No space left" in str(summary.stopped)
    assert summary.failed.keys() == {"a.jpg"}
    assert "No space left" in summary.failed["a.jpg"]
    assert summary.left == 2
    assert not list(out.rglob("*.part"))
    (small_disk / "filler").unlink()
    assert dict(done(place, out="disk/out").counts) == {"ok": 2, "no_face": 1}
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(PhotoError, match="cannot be written to: Read-only"):
        done(place, out="disk/out")


@pytest.mark.usefixtures("here")
def test_too_large_a_photo_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: memory.WORKER + 2_000_000)
    (place / "rose.yaml").write_text("stages:\n  - upscale: {factor: 4}\n")
    summary = done(place)
    assert summary.failed["a.jpg"].startswith("needs about")
    assert "smaller photo" in summary.failed["a.jpg"]


def test_the_memory_that_photos_need() -> None:
    chain = chains.parse("stages: [makeup, upscale: {factor: 4}]", "chain", Path())
    stages = [spec.build() for spec in chain.stages]
    plain = memory.needed(4000, 3000, stages[:1])
    assert plain == pytest.approx(724e6, rel=0.25)  # measured
    assert memory.needed(4000, 3000, stages[1:]) == pytest.approx(1.67e9, rel=0.25)  # measured
    assert memory.needed(4000, 3000, stages[:1], faces=False) < plain


def test_one_batch_at_a_time(place: Path) -> None:
    with run._locked(place / "out"), pytest.raises(PhotoError, match="another batch is at work"):
        done(place)
    assert not (place / "out" / "ganchain-batch.jsonl").exists()


@pytest.mark.usefixtures("here")
def test_torture(place: Path, broken: dict[str, list[Path]]) -> None:
    files = sorted(path for paths in broken.values() for path in paths)[::50]
    summary = done(place, *files)
    assert summary.counts.total() == len(files)
    refused = {path.name for path in files if path.parent.name == "refused"}
    assert refused <= {Path(name).name for name in summary.failed}
    assert len(records(place / "out")) == len(files) - summary.counts["skipped"]
    assert all(reason and "\n" not in reason for reason in summary.failed.values())
    assert dict(done(place, *files).counts).keys() <= {"skipped", "failed"}


# the command


def test_wrong_use_is_said_and_makes_nothing(place: Path) -> None:
    def status(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(APP, ["batch", *arguments, "-o", str(place / "out")])
        return result.exit_code, result.output

    chain, photos = str(place / "rose.yaml"), str(place / "photos")
    for arguments, reason in (
        (("nochain", photos), "no chain"),
        ((chain, str(place / "nowhere")), "no such file or folder"),
        ((chain, photos, "--exclude", "*"), "that the globs choose"),
        ((chain, photos, "--name", "{x}.{ext}"), "no field {x}"),
        ((chain, photos, "--workers", "0"), "--workers"),
        ((chain,), "IN..."),
    ):
        code, output = status(*arguments)
        assert code == 2, output
        assert reason in output
    assert not (place / "out").exists()
    code, output = status(chain, photos, "-n", "--include", "sub")
    assert code == 0
    assert "2 inputs: 2 to do, 0 done" in output
    assert not (place / "out").exists()


@pytest.mark.usefixtures("here")
def test_lines_and_summary(place: Path) -> None:
    (place / "photos" / "broken.jpg").write_bytes(b"no photo")
    arguments = [
        "batch",
        str(place / "rose.yaml"),
        str(place / "photos"),
        "-o",
        str(place / "out"),
        "--engine",
        "torch",
    ]
    result = CliRunner().invoke(APP, arguments)
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["status"] for line in lines[:-1]] == ["ok", "failed", "ok", "no_face"]
    assert lines[-1]["summary"]["failed"] == 1
    assert "failed: broken.jpg: not a picture that can be read" in result.stderr


def test_defaults_stand_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Options] = []

    def planned(chain: str, inputs: Any, out: Path, options: Options, *_: object) -> None:
        given.append(options)
        raise PhotoError("enough")

    monkeypatch.setattr(run, "batch", planned)
    CliRunner().invoke(APP, ["batch", "portrait", "photos", "-o", "out"])
    assert [replace(options, include=[], exclude=[]) for options in given] == [Options(include=[], exclude=[])]


@pytest.mark.usefixtures("here")
def test_a_photo_that_ran_out_of_memory_is_tried_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, refused = images.read, list[str]()

    def scarce(source: Any, **options: Any) -> Any:
        if str(source).endswith("a.jpg") and not refused:
            refused.append(str(source))
            raise MemoryError
        return read(source, **options)

    monkeypatch.setattr(images, "read", scarce)
    assert dict(done(place).counts) == {"ok": 2, "no_face": 1}
    assert refused


def test_a_script_without_the_guard_of_main_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that imports such a script comes to this call while it is still being set up."""
    monkeypatch.setattr(current_process(), "_inheriting", True, raising=False)
    with pytest.raises(ChainError, match="if __name__ == '__main__':"):
        ganchain.run_batch(place / "rose.yaml", [place / "photos"], place / "out")


# worker processes


def answers(pool: Pool, *items: str) -> dict[str, str | Lost]:
    found: dict[str, str | Lost] = {}
    waiting = list(items)
    while len(found) < len(items):
        while waiting and pool.room:
            pool.submit([waiting.pop(0)])
        for group, answer in pool.wait(1):
            found[group[0]] = answer if isinstance(answer, Lost) else answer[0].split()[1]
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.slow
def test_a_dead_or_stuck_worker_costs_only_its_work() -> None:
    with Pool(1, Odd, (), timeout=1.0, ahead=1) as pool:
        parts: list[Any] = []
        pool.on_progress = lambda items, part: parts.append((items, part))
        found = answers(pool, "a", "die", "b", "hang", "c", "raise", "d", "tell")
        assert found["die"] == Lost("killed the worker (signal 9, out of memory?)")
        assert found["hang"] == Lost("took longer than 1 s")
        assert isinstance(bug := found["raise"], Lost) and bug.reason == "ValueError: a bug"
        assert parts == [(["tell"], part) for part in range(3)] and isinstance(found["tell"], str)
        assert "odd.py" in (bug.traceback or "") and "Traceback" in (bug.traceback or "")
        assert len({found[name] for name in ("a", "b", "c")}) == 3
        assert found["c"] == found["d"] == found["tell"]
        os.kill(int(str(found["d"])), signal.SIGKILL)  # an idle one
        time.sleep(0.1)
        assert answers(pool, "e")["e"] not in (found["d"], None)


@pytest.mark.slow
def test_a_worker_process_imports_little_before_its_work() -> None:
    code = "import sys, ganchain.batch.process, tests.soak.odd; print({'torch', 'cv2', 'numpy'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_workers_that_cannot_start_are_an_error() -> None:
    with pytest.raises(ChainError, match="refused"), Pool(1, Odd, ("refuses",), timeout=5) as pool:
        answers(pool, "a")
    with pytest.raises(GanchainError, match="exit status 7"), Pool(2, Odd, ("dies",), timeout=5) as pool:
        answers(pool, "a")


@pytest.mark.slow
def test_a_worker_that_does_not_get_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_pool, "MIN_START", 0.5)
    start = time.monotonic()
    with pytest.raises(GanchainError, match="took longer than 1 s"), Pool(1, Odd, ("sleeps",), timeout=1.0) as pool:
        answers(pool, "a")
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_answers_that_waited_for_the_parent_are_not_late() -> None:
    """The parent may look for the next photo for longer than one may take."""
    with Pool(1, Odd, (), timeout=1.0, ahead=2) as pool:
        while not pool.room:
            pool.wait(1)
        for name in ("a", "b"):
            pool.submit([name])
        time.sleep(1.5)
        answered = pool.wait(1)
        assert [answer.items for answer in answered] == [["a"], ["b"]]
        assert not any(isinstance(answer.outcomes, Lost) for answer in answered)


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.slow
def test_suspects_are_tried_alone_and_then_named(tmp_path: Path) -> None:
    items: list[Any] = [Light(tmp_path / name, name, f"{name}.png") for name in ("a", "die", "b")]
    (tmp_path / LOCK).touch()
    with Journal(tmp_path) as record:
        going = loop.Loop(tmp_path, "c", record, Summary(tmp_path, record.path, 3))
        going.run(items, Pool(1, Suspicious, (), timeout=30), 1, None)
        assert {item.input for item in going.aside} >= {"die"}
        going.run(list(going.aside), Pool(1, Suspicious, (), timeout=30, ahead=1), 1, 1 << 30)
    assert dict(going.summary.counts) == {"ok": 2, "failed": 1}
    assert going.summary.failed == {"die": "killed the worker (signal 9, out of memory?)"}
    assert records(tmp_path)["die"]["tries"] == 2


def test_links_that_lead_in_a_circle_fail_alone(place: Path) -> None:
    (place / "circles").mkdir()
    for name, target in (("x", "x"), ("y", "z"), ("z", "y")):
        (place / "circles" / f"{name}.jpg").symlink_to(f"{target}.jpg")
    found = find([place / "circles"], place / "out")
    assert {"x.jpg", "y.jpg", "z.jpg"} <= {item.input for item in found.items} | set(found.twice)


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"timeout": 0}, {"include": "*.jpg"}, {"engine": "steam"}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(GanchainError):
        Options(**wrong)


def test_a_listener_that_is_gone_does_not_stop_the_batch(tmp_path: Path) -> None:
    def deaf(record: Record, summary: Summary) -> None:
        raise BrokenPipeError

    with Journal(tmp_path) as record:
        going = loop.Loop(tmp_path, "c", record, Summary(tmp_path, record.path, 2), deaf)
        for name in ("a", "b"):
            going.report(Record(name, name, "c", "ok", f"{name}.png"))
    assert going.summary.counts["ok"] == 2


def test_no_memory_at_all_ends_in_failures(tmp_path: Path) -> None:
    """With nothing left for photos the last try is still the last."""
    from ganchain.batch.worker import Large
    from ganchain.photos.find import Item

    (tmp_path / LOCK).touch()
    item = Item(tmp_path / "a", "a", "a.png")
    with Journal(tmp_path) as record:
        going = loop.Loop(tmp_path, "c", record, Summary(tmp_path, record.path, 1))
        going._process([item], [Large(item, 100)], None)
        assert going.aside == [item]
        going._process([item], [Large(item, 100)], 0)
    assert "needs about" in going.summary.failed["a"]


# kills: a rerun ends as if nothing had been

PHOTOS = 8


def undisturbed(place: Path, out: Path) -> Summary:
    """Run the batch to its end; nothing disturbs it, so it needs no process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Pool", Here)
        return batch(place / "rose.yaml", [place / "photos"], out, Options(workers=1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.usefixtures("no_nohup")
def test_kills_and_an_interrupt_cost_nothing(tmp_path: Path, small_head: Pixels) -> None:
    chain, photos, out = tmp_path / "rose.yaml", tmp_path / "photos", tmp_path / "out"
    chain.write_text(killing.CHAIN)
    killing.photos(photos, small_head, PHOTOS)
    assert undisturbed(tmp_path, tmp_path / "undisturbed").counts["ok"] == PHOTOS
    chance, expected = random.Random(5), killing.contents(tmp_path / "undisturbed")
    assert len(expected) == 2 * PHOTOS  # a photo and a face each
    for number in (signal.SIGINT, signal.SIGHUP):
        interrupted(chain, photos, out, number)
    print(killing.killed(chain, photos, out, PHOTOS, chance, workers=1))  # tests/soak kills a hundred times
    summary = undisturbed(tmp_path, out)
    assert summary.counts["ok"] + summary.counts["skipped"] == PHOTOS and summary.counts["skipped"] > 1
    killing.check_contents(photos, out, PHOTOS, expected)


def interrupted(chain: Path, photos: Path, out: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a terminal that is closed, as soon as a photo is done: a clean end with a true summary."""
    process = killing.started(chain, photos, out, workers=1)
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["status"] == "skipped":
        pass
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    summary = json.loads(output.splitlines()[-1])["summary"]
    assert summary["interrupted"]
    assert summary["left"] > 0
    assert summary["failed"] == 0
    assert f"{summary['left']} not begun" in errors
    assert len(killing.recorded(out)) == PHOTOS - summary["left"]


@pytest.mark.parametrize(("card", "count"), [(None, 16), (80 << 30, 16), (24 << 30, 8), (1 << 30, 1)])
def test_workers_are_as_many_as_cores_and_memory_allow(
    card: int | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 128 << 30)
    assert memory.workers(16, card) == count
    monkeypatch.setattr(memory, "available", lambda: 5 << 30)
    assert memory.workers(16, card) <= 3
