"""The command line, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ganchain.cli.main import main
from ganchain.faces.detect import DlibDetector
from ganchain.tensors import Pixels


def ganchain(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "mild.yaml"
    path.write_text("stages:\n  - makeup: {look: natural}\n")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_writes_the_named_file(chain: Path, photo_file: Path, tmp_path: Path) -> None:
    done = ganchain("run", chain, photo_file, "-o", tmp_path / "new" / "out.jpg")
    assert done.exit_code == 0, done.output
    assert "1 face" in done.output
    with Image.open(tmp_path / "new" / "out.jpg") as image:
        assert image.format == "JPEG" and image.size == (512, 512)


def test_run_without_out_writes_here(chain: Path, photo_file: Path, here: Path) -> None:
    assert ganchain("run", chain, photo_file).exit_code == 0
    assert (here / "astronaut-mild.png").is_file()


def test_one_bad_photo_is_named_and_the_others_are_made(chain: Path, photo_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(photo_file.read_bytes()[:2000])
    done = ganchain("run", chain, bad, photo_file, tmp_path / "gone.png", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert (
        "bad.jpg" in done.output
        and "gone.png: failed: no such file" in done.output
        and "2 of 3 photos failed" in done.output
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["astronaut-mild.png"]


def test_a_folder_and_two_photos_of_one_name(chain: Path, small_head: Pixels, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(small_head).save(tmp_path / folder / "x.png")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    done = ganchain("run", chain, tmp_path / "a", tmp_path / "b" / "x.png", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x-mild-2.png", "x-mild.png"]


def test_no_face_is_said_and_the_photo_is_unchanged(chain: Path, landscape: Pixels, tmp_path: Path) -> None:
    Image.fromarray(landscape).save(tmp_path / "hill.png")
    done = ganchain("run", chain, tmp_path / "hill.png", "-o", tmp_path / "out.png")
    assert done.exit_code == 0 and "no face, unchanged" in done.output
    assert (np.asarray(Image.open(tmp_path / "out.png")) == landscape).all()


def test_faces_and_steps_are_written(photo_file: Path, tmp_path: Path) -> None:
    chain = tmp_path / "both.yaml"
    chain.write_text("stages:\n  - makeup\n  - makeup: {lips: red}\noutput: {write: both}\n")
    done = ganchain("run", chain, photo_file, "-o", tmp_path / "out", "--save-stages", tmp_path / "steps")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["astronaut-both-face0.png", "astronaut-both.png"]
    assert sorted(p.name for p in (tmp_path / "steps").iterdir()) == [
        "astronaut-1-makeup.png",
        "astronaut-2-makeup-2.png",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages:\n  - makup\n", "did you mean 'makeup'"),
        ("stages:\n  - makeup: {reference: no.jpg}\n", "no file"),
        ("stages:\n  - makeup: {lips: reddish}\n", "reddish"),
    ],
)
def test_a_wrong_chain_ends_before_any_photo_is_read(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    done = ganchain("run", tmp_path / "wrong.yaml", tmp_path / "missing.jpg")
    assert done.exit_code == 2
    assert said in done.output and "missing.jpg" not in done.output and "Traceback" not in done.output


def test_reference_without_a_face(photo_file: Path, landscape: Pixels, tmp_path: Path) -> None:
    Image.fromarray(landscape).save(tmp_path / "hill.png")
    (tmp_path / "chain.yaml").write_text("stages:\n  - makeup: {reference: hill.png}\n")
    done = ganchain("run", tmp_path / "chain.yaml", photo_file)
    assert done.exit_code == 2 and "no face found in the reference" in done.output


def test_the_photo_itself_is_never_overwritten(chain: Path, photo_file: Path) -> None:
    before = photo_file.read_bytes()
    done = ganchain("run", chain, photo_file, "-o", photo_file)
    assert done.exit_code == 1 and "overwrite the photo itself" in done.output
    assert photo_file.read_bytes() == before


def test_several_photos_need_a_folder(chain: Path, photo_file: Path, tmp_path: Path) -> None:
    done = ganchain("run", chain, photo_file, photo_file, "-o", tmp_path / "out.png")
    assert done.exit_code == 2 and "need a folder" in done.output


def test_a_face_that_was_not_chosen_is_no_missing_face(photo_file: Path, tmp_path: Path) -> None:
    (tmp_path / "fifth.yaml").write_text("faces: [5]\nstages: [makeup]\n")
    assert "no face chosen" in ganchain("run", tmp_path / "fifth.yaml", photo_file, "-o", tmp_path / "out.png").output


def test_wrong_use(chain: Path, photo_file: Path, tmp_path: Path) -> None:
    assert ganchain("run", chain).exit_code == 2
    assert "did you mean 'portrait'" in ganchain("run", "portait", photo_file).output
    done = ganchain("run", chain, photo_file, "-o", tmp_path / "out.xyz")
    assert done.exit_code == 2 and ".xyz" in done.output
    (tmp_path / "empty").mkdir()
    assert "no pictures" in ganchain("run", chain, tmp_path / "empty").output


def test_dry_run_tells_all_and_does_nothing(here: Path) -> None:
    done = ganchain("run", "portrait", "-n", "missing.jpg")
    assert done.exit_code == 0, done.output
    for word in ("strength: 0.6", "gender: keep", "factor: 4", "format: png", "parts", "Apache-2.0", "256"):
        assert word in done.output, word
    assert not list(here.iterdir())


def test_faces_are_listed_and_drawn(photo_file: Path, astronaut: Pixels, tmp_path: Path) -> None:
    done = ganchain("faces", photo_file, "-o", tmp_path / "boxes.png")
    (face,) = DlibDetector()(astronaut)
    assert done.exit_code == 0 and f"{face.score:.2f}" in done.output
    drawn = np.asarray(Image.open(tmp_path / "boxes.png"))
    assert drawn.shape == astronaut.shape and (drawn != astronaut).any()
    lines = [json.loads(line) for line in ganchain("faces", photo_file, "--json").output.splitlines()]
    assert lines[0]["number"] == 0 and len(lines[0]["landmarks"]) == 5


def test_stages_and_schema_come_from_the_code() -> None:
    assert all(name in ganchain("stages").output for name in ("makeup", "attributes", "webtoon", "upscale"))
    text = ganchain("stages", "attributes").output
    assert all(word in text for word in ("hair", "blond", "keep", "0 to 1", "StarGAN"))
    assert ganchain("stages", "makup").exit_code == 2
    schema = json.loads(ganchain("schema").output)
    assert schema["required"] == ["stages"]


def test_help_teaches() -> None:
    for command in ([], ["run"], ["faces"], ["stages"], ["train"], ["evaluate"]):
        done = ganchain(*command, "--help")
        assert done.exit_code == 0 and len(done.output) > 200
