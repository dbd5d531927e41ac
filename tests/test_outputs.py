"""Outputs: never over an input, over other files only where they are ours; the chain's settings hold for all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import ExifTags, Image

import ganchain as package
from ganchain import chains
from ganchain.batch.options import Options
from ganchain.batch.run import batch
from ganchain.batch.summary import Summary
from ganchain.cli.main import main
from ganchain.errors import PhotoError
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.photos.protect import Protection, claim, made_by
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.makeup import Makeup
from ganchain.tensors import Pixels
from tests.test_batch import Here

CHAIN = "stages:\n  - makeup: {look: rose}\n"


def ganchain(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> Path:
    """The current folder, with a chain and two photos of a head: a.jpg, which says where it was taken, and b.png."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSDateStamp: "1999:12:31"}
    Image.fromarray(small_head).save("a.jpg", exif=exif)
    Image.fromarray(small_head[:, ::-1]).save("b.png")
    Path("fast.yaml").write_text(CHAIN)
    return tmp_path


def others(folder: Path, before: dict[str, bytes]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name in before}


@pytest.fixture
def unchanged(here: Path) -> Callable[[], bool]:
    """Says whether the photos are what they were."""
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    return lambda: others(here, before) == before


def aliases(photo: Path) -> dict[str, str]:
    """Other names of one file."""
    Path("link.jpg").symlink_to(photo)
    Path("hard.jpg").hardlink_to(photo)
    Path("folder").symlink_to(photo.parent, target_is_directory=True)
    return {"same": str(photo), "link": "link.jpg", "hard": "hard.jpg", "folder": "folder/a.jpg", "case": "A.JPG"}


@pytest.mark.parametrize("alias", ["same", "link", "hard", "folder", "case"])
def test_no_command_writes_over_what_it_reads(alias: str, here: Path, unchanged: Callable[[], bool]) -> None:
    name = aliases(here / "a.jpg")[alias]
    for command in (
        ["faces", "a.jpg", "-o", name],
        ["faces", "a.jpg", "-o", name, "--overwrite"],
        ["run", "fast.yaml", "a.jpg", "-o", name],
        ["run", "fast.yaml", "a.jpg", "-o", name, "--overwrite"],
        ["run", "fast.yaml", "a.jpg", "--sheet", name],
        ["grid", "b.png", "a.jpg", "--vary", "makeup.look=rose", "-o", name],
        ["grid", "b.png", "--references", "a.jpg", "-o", name],
    ):
        done = ganchain(*command)
        assert done.exit_code in (1, 2) and "overwrite" in done.output, (command, done.output)
    assert unchanged()


def test_the_input_may_be_named_by_a_link(here: Path, unchanged: Callable[[], bool]) -> None:
    aliases(here / "a.jpg")
    assert ganchain("faces", "link.jpg", "-o", "a.jpg").exit_code == 2
    assert ganchain("run", "fast.yaml", "link.jpg", "-o", "a.jpg").exit_code == 1
    assert unchanged() and Path("link.jpg").is_symlink()


def test_a_reference_is_never_written_over(here: Path, unchanged: Callable[[], bool]) -> None:
    Path("ref.yaml").write_text("stages:\n  - makeup: {reference: b.png}\n")
    done = ganchain("run", "ref.yaml", "a.jpg", "-o", "b.png", "--overwrite")
    assert done.exit_code == 1 and "would overwrite" in done.output
    with pytest.raises(PhotoError, match="would overwrite"):
        Pipeline.from_yaml("ref.yaml")("a.jpg").save("b.png")
    with pytest.raises(PhotoError, match="would overwrite"):
        Pipeline([Makeup(reference=Path("b.png"))])("a.jpg").save("b.png")
    assert unchanged()


def test_no_output_has_the_name_of_another_input(here: Path) -> None:
    Image.new("RGB", (30, 20), "red").save("a-fast.png")
    before = Path("a-fast.png").read_bytes()
    done = ganchain("run", "fast.yaml", "a.jpg", "a-fast.png", "-o", ".")
    assert done.exit_code == 0, done.output
    assert Path("a-fast.png").read_bytes() == before
    assert Path("a-fast-2.png").is_file() and images.size("a-fast-fast.png") == (30, 20)
    again = ganchain("run", "fast.yaml", "a.jpg", "a-fast.png", "-o", ".")
    assert again.exit_code == 0 and Path("a-fast.png").read_bytes() == before


def test_an_input_that_does_not_exist_yet_is_not_made(here: Path) -> None:
    done = ganchain("run", "fast.yaml", "a.jpg", "a-fast.png")
    assert done.exit_code == 1 and "a-fast.png: failed: no such file" in done.output
    assert Path("a-fast-2.png").is_file() and not Path("a-fast.png").exists()


def test_faces_and_steps_spare_inputs_too(here: Path) -> None:
    Path("both.yaml").write_text(CHAIN + "output: {write: both}\n")
    for name in ("a-both-face0.png", "a-1-makeup.png"):
        Image.new("RGB", (30, 20), "red").save(name)
    done = ganchain("run", "both.yaml", "a.jpg", "a-both-face0.png", "a-1-makeup.png", "--save-stages", ".")
    assert done.exit_code == 0, done.output
    assert images.size("a-both-face0.png") == images.size("a-1-makeup.png") == (30, 20)
    assert {"a-both-2.png", "a-both-2-face0.png", "a-1-makeup-2.png"} < {path.name for path in here.iterdir()}


def test_names_that_differ_in_case_get_two_outputs(here: Path) -> None:
    Path("A.png").write_bytes(Path("b.png").read_bytes())
    assert ganchain("run", "fast.yaml", "a.jpg", "A.png", "-o", "out").exit_code == 0
    assert len({path.name.casefold() for path in Path("out").iterdir()}) == 2


def test_two_outputs_of_a_call_never_share_a_name(here: Path) -> None:
    done = ganchain("run", "fast.yaml", "a.jpg", "-o", "x.png", "--sheet", "x.png", "--overwrite")
    assert done.exit_code == 2 and "two outputs" in done.output
    assert images.size("x.png") == (240, 220)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["run", "fast.yaml", "a.jpg"], "a-fast.png"),
        (["run", "fast.yaml", "a.jpg", "-o", "x.jpg"], "x.jpg"),
        (["run", "fast.yaml", "a.jpg", "--save-stages", "."], "a-1-makeup.png"),
        (["run", "fast.yaml", "a.jpg", "--sheet", "s.png"], "s.png"),
        (["run", "fast.yaml", "a.jpg", "--sheet", "s.html"], "s.html"),
        (["grid", "a.jpg", "--vary", "makeup.look=rose"], "grid.png"),
        (["faces", "a.jpg", "-o", "boxes.png"], "boxes.png"),
    ],
)
def test_a_foreign_file_stays_until_it_may_go(command: list[str], name: str, here: Path) -> None:
    Path(name).write_bytes(b"a letter to my aunt")
    done = ganchain(*command)
    assert done.exit_code in (1, 2) and f"{name}: " in done.output and "--overwrite" in done.output, done.output
    assert Path(name).read_bytes() == b"a letter to my aunt"
    assert not list(here.glob(".*.part"))
    assert ganchain(*command, "--overwrite").exit_code == 0
    assert Path(name).read_bytes() != b"a letter to my aunt"
    again = ganchain(*command)  # the same content, or our own mark
    assert again.exit_code == 0, again.output


def test_what_the_same_chain_made_is_replaced_and_of_another_is_not(here: Path) -> None:
    assert ganchain("run", "fast.yaml", "a.jpg", "-o", "x.png").exit_code == 0
    first = Path("x.png").read_bytes()
    Path("fast.yaml").write_text("stages:\n  - makeup: {look: smoky}\n")  # the chain is changed, and tried again
    assert ganchain("run", "fast.yaml", "a.jpg", "-o", "x.png").exit_code == 0
    assert Path("x.png").read_bytes() != first
    Path("other.yaml").write_text(CHAIN)
    done = ganchain("run", "other.yaml", "a.jpg", "-o", "x.png")
    assert done.exit_code == 1 and "not from this chain" in done.output


def test_a_photo_without_a_face_is_done_again(here: Path, landscape: Pixels) -> None:
    Image.fromarray(landscape).save("hill.png")
    for _ in range(2):
        assert ganchain("run", "fast.yaml", "hill.png").exit_code == 0
    Path("bare.yaml").write_text(CHAIN + "output: {mark: false}\n")
    for _ in range(2):
        assert ganchain("run", "bare.yaml", "a.jpg").exit_code == 0


def test_a_broken_link_in_the_way_is_a_file_of_others(here: Path) -> None:
    Path("a-fast.png").symlink_to("nowhere.png")
    assert ganchain("run", "fast.yaml", "a.jpg").exit_code == 1
    assert Path("a-fast.png").is_symlink()


def test_a_pipe_in_the_way_is_not_waited_for(here: Path) -> None:
    os.mkfifo("a-fast.png")
    assert ganchain("run", "fast.yaml", "a.jpg").exit_code == 1
    assert ganchain("show", "a-fast.png").exit_code == 2


@pytest.mark.slow
def test_a_second_run_over_the_folder_passes_over_what_the_first_made(here: Path) -> None:
    assert ganchain("run", "fast.yaml", ".", "--sheet", "sheet.png").exit_code == 0
    made = {path.name for path in here.iterdir()}
    done = ganchain("run", "fast.yaml", ".", "--sheet", "sheet.png")
    assert done.exit_code == 0, done.output
    assert "3 pictures passed over, made by ganchain: a-fast.png, b-fast.png, sheet.png" in done.output
    assert {path.name for path in here.iterdir()} == made
    named = ganchain("run", "fast.yaml", "a-fast.png", "-o", "out")
    assert named.exit_code == 0 and Path("out/a-fast-fast.png").is_file()
    Path("slow.yaml").write_text(CHAIN)
    assert "sheet.png" in ganchain("run", "slow.yaml", ".").output and Path("a-fast-slow.png").is_file()


def test_a_folder_of_our_own_pictures_says_so(here: Path) -> None:
    assert ganchain("run", "fast.yaml", ".", "-o", "out").exit_code == 0
    done = ganchain("run", "fast.yaml", "out")
    assert done.exit_code == 2 and "no pictures in this folder but those that ganchain has made" in done.output


def test_a_second_grid_over_the_folder_leaves_out_the_first(here: Path) -> None:
    assert ganchain("grid", ".", "--vary", "makeup.look=rose").exit_code == 0
    done = ganchain("grid", ".", "--vary", "makeup.look=rose")
    assert done.exit_code == 0, done.output
    assert "1 picture passed over, made by ganchain: grid.png" in done.output


def test_crops_are_not_cut_again(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photo_file.parent)
    for _ in range(2):
        assert ganchain("align", ".", "-o", ".", "--side", "64").exit_code == 0
    assert sorted(path.name for path in Path().glob("*.png")) == ["astronaut-face0.png", "astronaut.png"]


def batched(out: str, *inputs: str, chain: str = "fast.yaml", **options: object) -> Summary:
    return batch(chain, [Path(name) for name in inputs], Path(out), Options(**options))  # type: ignore[arg-type]


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.slow
def test_batch_spares_foreign_files_and_its_inputs(here: Path) -> None:
    Path("out").mkdir()
    Path("out/a-fast.png").write_bytes(b"a letter to my aunt")
    summary = batched("out", "a.jpg", "b.png")
    assert summary.counts == {"ok": 1, "failed": 1} and "--overwrite" in summary.failed["a.jpg"]
    assert Path("out/a-fast.png").read_bytes() == b"a letter to my aunt"
    assert batched("out", "a.jpg", "b.png", overwrite=True).counts == {"ok": 1, "skipped": 1}
    Path("fast.yaml").write_text(CHAIN + "output: {mark: false}\n")  # its own files it knows without a mark
    assert batched("out", "a.jpg", "b.png").counts == {"ok": 2}
    Path("fast.yaml").write_text("stages:\n  - makeup: {look: smoky}\noutput: {mark: false}\n")
    assert batched("out", "a.jpg", "b.png").counts == {"ok": 2}


@pytest.mark.usefixtures("in_this_process")
def test_batch_spares_an_input_behind_a_link(here: Path) -> None:
    Path("real").mkdir()
    Image.new("RGB", (30, 20), "red").save("real/a-fast.png")
    before = Path("real/a-fast.png").read_bytes()
    Path("link").symlink_to("real", target_is_directory=True)
    assert batched("real", "link/a-fast.png", "a.jpg").counts.total() == 2
    assert Path("real/a-fast.png").read_bytes() == before


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.slow
def test_batch_passes_over_what_its_chain_made(here: Path) -> None:
    assert ganchain("run", "fast.yaml", "a.jpg").exit_code == 0
    for redo in (False, True):
        summary = batched("out", ".", redo=redo)
        assert summary.counts == {"ok": 2, "skipped": 1}
    assert batched("out2", "a-fast.png").counts == {"ok": 1}


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganchain.batch.run.Pool", Here)


@pytest.mark.parametrize("empty", ["", " ", "\t"])
@pytest.mark.parametrize(
    "command",
    [
        ["run", "fast.yaml", "{}"],
        ["run", "{}", "a.jpg"],
        ["run", "fast.yaml", "a.jpg", "-o", "{}"],
        ["run", "fast.yaml", "a.jpg", "--out={}"],
        ["run", "fast.yaml", "a.jpg", "--save-stages", "{}"],
        ["run", "fast.yaml", "a.jpg", "--sheet", "{}"],
        ["batch", "fast.yaml", "{}", "-o", "out"],
        ["batch", "fast.yaml", "a.jpg", "-o", "{}"],
        ["grid", "{}"],
        ["grid", "a.jpg", "--references", "{}"],
        ["grid", "a.jpg", "--chain", "{}"],
        ["faces", "{}"],
        ["faces", "a.jpg", "-o", "{}"],
        ["show", "{}"],
        ["align", "{}", "-o", "crops"],
        ["align", "a.jpg", "-o", "{}"],
        ["bench", "fast.yaml", "{}"],
        ["weights", "import", "{}"],
    ],
)
def test_an_empty_argument_is_an_error(command: list[str], empty: str, here: Path) -> None:
    before = sorted(here.rglob("*"))
    result = ganchain(*(part.format(empty) for part in command))
    assert result.exit_code == 2 and "empty" in result.output, result.output
    assert sorted(here.rglob("*")) == before


def test_an_empty_name_is_an_error_in_python_and_in_yaml(here: Path) -> None:
    for inputs, out in (([""], "out"), (["a.jpg"], ""), (["a.jpg", " "], "out")):
        with pytest.raises(PhotoError, match="empty name"):
            package.run_batch("fast.yaml", inputs, out)
    from ganchain.sheets.grid import Grid

    with pytest.raises(PhotoError, match="empty name"):
        Grid.of(vary={"makeup.look": ["rose"]}, photos=[""])
    Path("g.yaml").write_text("vary: {makeup.look: [rose]}\nphotos: ['']\n")
    assert "g.yaml:2: photos: an empty name" in ganchain("grid", "g.yaml").output
    with pytest.raises(PhotoError):
        Pipeline.from_yaml("fast.yaml")("")


def position(path: str | Path) -> bool:
    return b"1999:12:31" in Path(path).read_bytes()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_the_chain_s_output_holds_for_save(suffix: str, here: Path) -> None:
    Path("strip.yaml").write_text(CHAIN + "output: {write: both, location: strip}\n")
    written = Pipeline.from_yaml("strip.yaml")("a.jpg").save(f"x.{suffix}")
    assert [path.name for path in written] == [f"x.{suffix}", f"x-face0.{suffix}"]
    assert not any(map(position, written))
    kept = Pipeline.from_yaml("fast.yaml")("a.jpg").save(f"y.{suffix}")
    assert [path.name for path in kept] == [f"y.{suffix}"] and position(kept[0])


def test_a_photo_without_a_face_loses_its_position_too(here: Path, landscape: Pixels) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSDateStamp: "1999:12:31"}
    Image.fromarray(landscape).save("hill.jpg", exif=exif)
    Path("strip.yaml").write_text(CHAIN + "output: {write: faces, location: strip}\n")
    result = Pipeline.from_yaml("strip.yaml")("hill.jpg")
    assert result.status == "no_face" and not any(map(position, result.save("x.jpg")))


def test_save_never_replaces_the_photo_itself(here: Path, unchanged: Callable[[], bool]) -> None:
    for pipeline in (
        Pipeline.from_yaml("fast.yaml"),
        Pipeline([stage.build() for stage in chains.load("fast.yaml").stages]),
    ):
        result = pipeline("a.jpg")
        with pytest.raises(PhotoError, match="would overwrite"):
            result.save("a.jpg")
        with pytest.raises(PhotoError, match="would overwrite"):
            result.save(here / "A.jpg")
        Path("x.png").write_bytes(b"of others")
        assert result.save("x.png") == [Path("x.png")]  # as a program asks for it
    assert unchanged()


def test_boxes_sheets_steps_and_grids_say_no_position(here: Path) -> None:
    Path("strip.yaml").write_text(CHAIN + "output: {location: strip, format: jpeg}\n")
    assert ganchain("faces", "a.jpg", "-o", "boxes.jpg").exit_code == 0
    asked = ["run", "strip.yaml", "a.jpg", "-o", "x.jpg", "--save-stages", "steps", "--sheet", "sheet.jpg"]
    assert ganchain(*asked).exit_code == 0
    assert ganchain("grid", "a.jpg", "--vary", "makeup.look=rose", "-o", "grid.jpg").exit_code == 0
    for name in ("boxes.jpg", "x.jpg", "steps/a-1-makeup.jpg", "sheet.jpg", "grid.jpg"):
        assert not position(name), name
    said = json.loads(ganchain("show", "--json", "x.jpg").output)
    assert said["chain"] == "strip"


def test_protection_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    protection = Protection([Path("Jörg.png"), Path("x" * 300 + ".png")])
    assert protection.is_input(Path("JO\u0308RG.PNG")) and protection.is_input(tmp_path / "sub" / ".." / "jörg.png")
    assert not protection.is_input(Path("y" * 300 + ".png")) and claim(Path("a")) != claim(Path("b"))
    part = tmp_path / "part"
    part.write_bytes(b"x")
    protection.permit(Path("new.png"), part)
    with pytest.raises(PhotoError, match="two outputs"):
        protection.permit(Path("new.png"), part)
    assert not made_by(tmp_path / "gone.png", "fast") and not made_by(part, "") and not made_by(part, "fast")


def test_a_refused_picture_leaves_no_part_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"of others")
    with pytest.raises(PhotoError, match=r"a.png: is there already"):
        images.write(replace(Photo(np.zeros((4, 4, 3), np.uint8))), tmp_path / "a.png", permit=Protection([]).permit)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
