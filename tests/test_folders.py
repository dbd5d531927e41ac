"""Folders of odd files: each is read, passed over and counted, or named with the true reason; none ends a command."""

from __future__ import annotations

import ast
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ganchain.batch import process
from ganchain.batch.options import Options
from ganchain.batch.run import batch
from ganchain.cli.main import main
from ganchain.errors import PhotoError
from ganchain.photos import images, opening
from ganchain.photos.folders import Passed, expand
from ganchain.tensors import Pixels
from ganchain.train.crops import Crops
from tests.pools import Here
from tests.test_layout import PACKAGE

CHAIN = "stages:\n  - makeup: {look: rose}\n"
NOT_UTF_8 = os.fsdecode(b"Mu\xf1oz.png")
HOSTILE = "\x1b]0;pwned\x07\nline\u202e.png"
LONG = "x" * 247 + ".png"  # a name that a file may have, and its output may not


def ganchain(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> Path:
    """The current folder, with a chain; and a folder of a photo under names that are odd, and z.png after them."""
    monkeypatch.chdir(tmp_path)
    Path("fast.yaml").write_text(CHAIN)
    Path("photos").mkdir()
    Image.fromarray(small_head).save("photos/z.png")
    content = Path("photos/z.png").read_bytes()
    for name in (NOT_UTF_8, HOSTILE, LONG):
        try:
            Path("photos", name).write_bytes(content)
        except OSError:
            pytest.skip("this file system has no such names")
    return tmp_path


def clean(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.slow
def test_run_does_the_others(here: Path) -> None:
    done = ganchain("run", "fast.yaml", "photos", "-o", "out")
    assert done.exit_code == 1 and "1 of 4 photos failed" in done.output
    assert f"{LONG}: failed: " in done.output and "cannot be written: File name too long" in done.output
    assert clean(done.output) and "Mu?oz.png" in done.output and "?]0;pwned??line?.png" in done.output
    made = {os.fsencode(path.name) for path in Path("out").iterdir()}
    assert made == {b"Mu\xf1oz-fast.png", os.fsencode(HOSTILE).replace(b".png", b"-fast.png"), b"z-fast.png"}


@pytest.mark.slow
def test_steps_and_sheet_of_odd_names(here: Path) -> None:
    done = ganchain("run", "fast.yaml", "photos", "-o", "out", "--save-stages", "steps", "--sheet", "s.html")
    assert done.exit_code == 1 and clean(done.output)
    assert len(list(Path("steps").iterdir())) == 3 and "Mu\\udcf1oz.png" in Path("s.html").read_text()


@pytest.mark.slow
def test_grid_draws_all(here: Path) -> None:
    for name in ("grid.png", "grid.html"):
        done = ganchain("grid", "photos", "--vary", "makeup.look=rose", "-o", name)
        assert done.exit_code == 0 and clean(done.output), done.output


def test_faces_and_show_of_odd_names(here: Path) -> None:
    for name in (NOT_UTF_8, HOSTILE, LONG):
        done = ganchain("faces", Path("photos", name), "-o", Path("boxes", name))
        assert done.exit_code == 0 and clean(done.output) and Path("boxes", name).is_file()
    done = ganchain("show", *Path("photos").iterdir(), "photos", Path("x" * 300))
    assert done.exit_code == 2 and clean(done.output)
    assert done.output.count("PNG, 240 x 220 px") == 4 and "File name too long" in done.output
    assert "\n".join(line for line in done.output.splitlines() if "pwned" in line).count("line?.png") == 1
    lines = ganchain("show", "--json", *Path("photos").iterdir()).output.splitlines()
    assert NOT_UTF_8 in {Path(json.loads(line)["file"]).name for line in lines}


def test_align_of_odd_names(here: Path) -> None:
    for _ in range(2):
        done = ganchain("align", "photos", "-o", "crops", "--side", "64")
        assert done.exit_code == 1 and clean(done.output), done.output
        assert "File name too long" in done.output and "1 of 4 photos failed" in done.output
        assert len(list(Path("crops").glob("*.png"))) == 3
    assert os.fsencode(Crops(Path("crops"), "tight", 64).photos[os.fsdecode(b"Mu\xf1oz-face0.png")])


def test_batch_of_odd_names(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganchain.batch.run.Pool", Here)
    summary = batch("fast.yaml", [Path("photos")], Path("out"), Options())
    assert summary.counts == {"ok": 3, "failed": 1}
    assert "cannot be written: File name too long" in summary.failed[LONG]


@pytest.mark.slow
def test_a_name_that_no_file_can_have(here: Path) -> None:
    for command in (["run", "fast.yaml"], ["faces"], ["grid", "--vary", "makeup.look=rose"], ["show"]):
        done = ganchain(*command, "x" * 300 + ".png", "photos/z.png")
        assert done.exit_code in (1, 2) and "Traceback" not in done.output
    done = ganchain("run", "fast.yaml", "y" * 300 + ".png", "photos/z.png", "-o", "out")
    assert "File name too long" in done.output and Path("out/z-fast.png").is_file()
    assert ganchain("batch", "fast.yaml", "y" * 300, "-o", "out").exit_code == 2
    done = ganchain("run", "fast.yaml", "photos/z.png", "-o", "y" * 300 + ".png")
    assert done.exit_code == 1 and "cannot be written: File name too long" in done.output


def test_wrong_use_is_cleaned_too(here: Path) -> None:
    for command in (["sign", HOSTILE], ["run", HOSTILE, "a"], [HOSTILE], ["faces", HOSTILE], ["stages", HOSTILE]):
        done = ganchain(*command)
        assert done.exit_code == 2 and clean(done.output) and "\x1b" not in done.output


def test_a_terminal_that_has_few_letters(here: Path, monkeypatch: pytest.MonkeyPatch, small_head: Pixels) -> None:
    Image.fromarray(small_head).save("Jörg-山.png")
    done = CliRunner(charset="ascii").invoke(main, ["run", "fast.yaml", "Jörg-山.png"], catch_exceptions=False)
    assert done.exit_code == 0 and "J?rg-?.png" in done.output


@pytest.mark.slow
def test_a_bug_in_one_photo_ends_no_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = images.read

    def read(source: Any, **options: Any) -> Any:
        if "Mu" in str(source):
            raise RuntimeError("a bug")
        return real(source, **options)

    Path("photos", LONG).unlink()
    Path("photos", HOSTILE).unlink()
    monkeypatch.setattr(images, "read", read)
    monkeypatch.setattr(images, "header", lambda *_, **__: real("photos/z.png") and 1 / 0)
    assert "2 of 3 photos failed" not in ganchain("show", "photos/z.png", "photos/z.png").output
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(images, "read", read)
    grid = ["grid", "photos", "--vary", "makeup.look=rose"]
    for command in (["run", "fast.yaml", "photos"], grid, ["align", "photos", "-o", "crops"]):
        done = ganchain(*command)
        assert done.exit_code == 1 and "1 of 2 photos failed" in done.output and "RuntimeError: a bug" in done.output


def test_only_one_function_prints() -> None:
    """Names of files must not reach the terminal as they are."""
    for path in (PACKAGE / "cli").glob("*.py"):
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        wrong = [call for call in calls if call in ("print", "click.echo", "click.secho")]
        assert path.name in ("group.py", "serve.py") or not wrong, path


# Files that are read


def odd_files(folder: Path) -> None:
    for name in ("a.dng", "b.dng", "c.psd", "README", "._z.jpg", ".hidden.png", "notes.TXT"):
        (folder / name).write_bytes(b"no picture")


def test_what_is_passed_over_is_counted_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (NOT_UTF_8, HOSTILE, LONG):
        Path("photos", name).unlink()
    odd_files(Path("photos"))
    said = "5 files passed over: 2 .dng, 1 "
    for command in (["run", "fast.yaml"], ["grid", "--vary", "makeup.look=rose"], ["align", "-o", "crops"]):
        done = ganchain(*command, "photos")
        assert done.exit_code == 0 and done.output.count(said) == 1, done.output
        assert "hidden" not in done.output and "._z" not in done.output
    monkeypatch.setattr("ganchain.batch.run.Pool", Here)
    shown = ganchain("batch", "fast.yaml", "photos", "-o", "out")
    assert shown.exit_code == 0 and shown.stderr.count(said) == 1
    lines = [json.loads(line) for line in Path("out/ganchain-batch.jsonl").read_text().splitlines()]
    assert [line["error"][: len(said)] for line in lines if line["status"] == "skipped"] == [said]
    assert said in ganchain("batch", "fast.yaml", "photos", "-o", "out", "-n").output
    again = batch("fast.yaml", [Path("photos")], Path("out"), Options())
    assert again.counts == {"skipped": 1} and len(again.passed) == 1
    assert len(Path("out/ganchain-batch.jsonl").read_text().splitlines()) == 2
    assert not batch("fast.yaml", [Path("photos")], Path("out"), Options(include=["*.png"])).passed


def test_hidden_files_are_read_when_they_are_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".hidden.png").write_bytes(Path("photos/z.png").read_bytes())
    assert ganchain("run", "fast.yaml", ".hidden.png", "-o", "out.png").exit_code == 0
    monkeypatch.setattr("ganchain.batch.run.Pool", Here)
    assert batch("fast.yaml", [Path(".hidden.png")], Path("out"), Options()).counts == {"ok": 1}


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "jp2", "tga", "avif"])
def test_more_suffixes_are_read(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), "red").save(tmp_path / f"a.{suffix}")
    Image.new("RGB", (30, 20), "red").save(tmp_path / f"B.{suffix.upper()}", {"jfif": "JPEG"}.get(suffix))
    passed = Passed()
    (photo, _) = sorted(expand([tmp_path], passed=passed), reverse=True)
    assert images.read(photo).size == (30, 20) and not list(passed.lines())


def heic() -> bytes:
    return b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("name", "content", "extra"),
    [
        ("a.heic", heic(), "heif"),
        ("a.jpg", heic(), "heif"),  # as phones and messengers rename them
        ("a.jxl", b"\xff\x0a" + bytes(100), "jxl"),
        ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "jxl"),
    ],
)
def test_a_format_without_its_package_is_named_with_the_cure(
    name: str, content: bytes, extra: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    opening._registered.cache_clear()
    Path("phone").mkdir()
    Path("phone", name).write_bytes(content)
    done = ganchain("run", "fast.yaml", "phone", "photos/z.png", "-o", "out")
    assert done.exit_code == 1 and f"{name}: failed: " in done.output and f"ganchain[{extra}]" in done.output
    assert Path("out/z-fast.png").is_file()
    opening._registered.cache_clear()


def test_heic_is_read_upright(tmp_path: Path, small_head: Pixels) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[274], exif[33432] = 6, "me"
    turned = Image.fromarray(np.rot90(small_head))
    pillow_heif.from_pillow(turned).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    photo = images.read(tmp_path / "a.heic")
    assert photo.size == (240, 220) and b"me" in photo.exif
    assert np.abs(photo.pixels.astype(int) - small_head).mean() < 8
    assert images.header(tmp_path / "a.heic").format == "HEIF"
    images.write(photo, tmp_path / "b.jpg")
    assert images.read(tmp_path / "b.jpg").size == (240, 220)


def test_jpeg_xl_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.jxl", lossless=True)
    assert images.read(tmp_path / "a.jxl").pixels[0, 0].tolist() == [255, 0, 0]


def test_a_camera_s_raw_file_is_named_and_not_taken_for_its_thumbnail(tmp_path: Path) -> None:
    Image.new("RGB", (160, 120)).save(tmp_path / "a.tif")
    (tmp_path / "a.tif").rename(tmp_path / "a.DNG")
    with pytest.raises(PhotoError, match="a camera's raw file"):
        images.read(tmp_path / "a.DNG")


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(PhotoError, match="the folder cannot be read: Permission denied"):
        expand([tmp_path])


def test_verbose_reaches_the_workers(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("ganchain")
    before, level = list(logger.handlers), logger.level
    try:
        process._log(logging.INFO)
        logging.getLogger("ganchain.pipeline").info("photo %s", NOT_UTF_8)
        logging.getLogger("ganchain.pipeline").debug("too much")
    finally:
        for handler in set(logger.handlers) - set(before):
            assert isinstance(handler, logging.StreamHandler)
            handler.stream.close()
            logger.removeHandler(handler)
        logger.setLevel(level)
    said = capfd.readouterr().err
    assert "INFO ganchain.pipeline" in said and "photo Mu?oz.png" in said and "too much" not in said


@pytest.mark.slow
def test_verbose_batch_says_what_its_workers_do(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = ganchain("batch", "fast.yaml", "photos/z.png", "-o", "out", "--workers", "1", "-v")
    assert done.exit_code == 0
    assert "editing z.png" in capfd.readouterr().err


@pytest.mark.slow
def test_too_many_settings_are_refused_before_they_are_checked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganchain.chains import StageSpec

    checked = []
    real = StageSpec.check

    def check(*arguments: Any, **options: Any) -> StageSpec:
        checked.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(StageSpec, "check", check)
    monkeypatch.setattr("ganchain.sheets.grid_settings.LARGEST", 40)
    many = ",".join("0" * 2000)
    assert "2000 settings are too many" in ganchain("grid", "photos/z.png", "--vary", f"makeup.eyes={many}").output
    assert not checked
    several = [part for _ in range(50) for part in ("--vary", "makeup.eyes=" + ",".join("0" * 20))]
    assert "too many" in ganchain("grid", "photos/z.png", *several).output and len(checked) <= 60
    Path("g.yaml").write_text("vary:\n" + "- makeup.eyes: [0, 1]\n" * 1000)
    assert "too many" in ganchain("grid", "g.yaml", "photos/z.png").output and len(checked) <= 110
