"""Grids: each cell is what a run of that setting gives, each photo is looked at once, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganchain import Pipeline, chains
from ganchain.checkpoints import manifest
from ganchain.cli.main import main
from ganchain.errors import ChainError, FaceError
from ganchain.faces.detect import DlibDetector
from ganchain.photos import images
from ganchain.sheets import grid_file, people
from ganchain.sheets.grid import Grid
from ganchain.sheets.people import Window
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels

SIDE = 160


@pytest.fixture
def photo_file(small_head: Pixels, tmp_path: Path) -> Path:
    """The head alone: most of these tests draw many pictures of it."""
    path = tmp_path / "astronaut.png"
    Image.fromarray(small_head).save(path)
    return path


def alone(photo: Path, *stages: Stage) -> Pixels:
    """What a run of these stages shows of the best face."""
    result = Pipeline(list(stages))(photo)
    assert result.photo is not None
    source = images.read(photo)
    return Window.head(result.faces[0], source.size).shown(result.photo, SIDE)


def same(cell: Pixels | None, wanted: Pixels | None) -> bool:
    return cell is not None and wanted is not None and np.array_equal(cell, wanted)


@pytest.fixture
def painted(photo_file: Path, tmp_path: Path) -> Path:
    """A folder of two reference photos."""
    folder = tmp_path / "looks"
    for look in ("evening", "rose"):
        folder.mkdir(exist_ok=True)
        Pipeline([Makeup(look=look)])(photo_file).save(folder / f"{look}.png")
    return folder


@pytest.mark.slow
def test_cells_hold_what_they_say(photo_file: Path) -> None:
    grid = Grid.of(
        vary={"attributes.hair": ["black", "blond"], "webtoon": None, "makeup": {"look": "rose", "eyes": 0.5}}
    )
    assert grid.captions == ["photo", "hair black", "hair blond", "webtoon", "makeup: rose, eyes 0.5"]
    (row,) = grid.cells(photo_file, SIDE)
    assert row.name == photo_file.name
    expected = [
        alone(photo_file),
        alone(photo_file, Attributes(hair="black")),
        alone(photo_file, Attributes(hair="blond")),
        alone(photo_file, Webtoon()),
        alone(photo_file, Makeup(look="rose", eyes=0.5)),
    ]
    assert len(row.pictures) == len(expected)
    for cell, wanted in zip(row.pictures, expected, strict=True):
        assert same(cell, wanted)
    assert len({cell.tobytes() for cell in row.pictures if cell is not None}) == len(expected)


@pytest.mark.slow
def test_a_second_setting_makes_rows(photo_file: Path) -> None:
    grid = Grid.of(vary={"webtoon.look": ["filter", "ink"]}, by={"attributes.hair": ["black", "brown"]})
    rows = grid.cells(photo_file, SIDE)
    assert [(row.name, row.label) for row in rows] == [(photo_file.name, f"hair {hair}") for hair in ("black", "brown")]
    wanted = alone(photo_file, Attributes(hair="brown"), Webtoon(look="ink"))  # in the usual order of stages
    assert same(rows[1].pictures[2], wanted)


@pytest.mark.slow
def test_strengths_are_the_columns(photo_file: Path) -> None:
    grid = Grid.of(vary={"makeup.look": ["evening"], "attributes.hair": "black"}, strengths=[0, 0.5, 1])
    assert grid.captions == ["photo", "strength 0", "strength 0.5", "strength 1"]
    makeup, hair = grid.cells(photo_file, SIDE)
    assert same(makeup.pictures[1], makeup.pictures[0])
    assert same(makeup.pictures[2], alone(photo_file, Makeup(look="evening", strength=0.5)))
    assert same(hair.pictures[3], alone(photo_file, Attributes(hair="black")))


@pytest.mark.slow
def test_a_chain_is_changed_and_the_rest_of_it_stays(photo_file: Path, tmp_path: Path) -> None:
    chain = tmp_path / "base.yaml"
    chain.write_text("stages:\n- makeup: {look: evening, eyes: 0.5}\n- attributes: {hair: black, strength: 0.7}\n")
    grid = Grid.of(vary={"attributes.hair": ["blond"], "attributes": {"age": "old"}}, chain=chain)
    (row,) = grid.cells(photo_file, SIDE)
    base = Makeup(look="evening", eyes=0.5)
    assert same(row.pictures[1], alone(photo_file, base, Attributes(hair="blond", strength=0.7)))
    assert same(row.pictures[2], alone(photo_file, base, Attributes(hair="black", age="old", strength=0.7)))
    (whole,) = Grid.of(chain=chain, strengths=[0.5]).cells(photo_file, SIDE)
    both = (Makeup(look="evening", eyes=0.5, strength=0.5), Attributes(hair="black", strength=0.5))
    assert same(whole.pictures[1], alone(photo_file, *both))


@pytest.mark.slow
def test_references_stand_on_one_rim_and_photos_on_the_other(
    photo_file: Path, painted: Path, landscape: Pixels
) -> None:
    grid = Grid.of(references=[painted], photos=[photo_file])
    assert grid.captions == ["photo", "evening.png", "rose.png"]
    (row,) = grid.cells(photo_file, SIDE)
    assert same(row.pictures[1], alone(photo_file, Makeup(reference=painted / "evening.png")))
    reference = images.read(painted / "rose.png")
    window = Window.head(DlibDetector()(reference.pixels)[0], reference.size)
    assert same(grid.rim(SIDE)[1], window.shown(reference, SIDE))
    image = np.asarray(grid.draw(side=SIDE))
    gap = round(0.03 * SIDE)
    corner = image[: SIDE + 30, gap : gap + SIDE]
    assert (corner == corner[0, 0]).all()
    Image.fromarray(landscape).save(painted / "none.png")
    with pytest.raises(FaceError, match=r"none\.png.*no face"):
        Grid.of(references=[painted]).prepare()


@pytest.mark.slow
def test_a_reference_takes_the_place_of_the_look(photo_file: Path, painted: Path, tmp_path: Path) -> None:
    chain = tmp_path / "base.yaml"
    chain.write_text("stages:\n- makeup: {look: smoky, strength: 0.8}\n")
    (row,) = Grid.of(references=[painted / "rose.png"], chain=chain).cells(photo_file, SIDE)
    wanted = alone(photo_file, Makeup(reference=painted / "rose.png", strength=0.8))
    assert same(row.pictures[1], wanted)


@pytest.mark.slow
def test_faces_are_found_once_and_weights_are_read_once(photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, loaded = [], []
    found, load = DlibDetector.__call__, manifest.load

    def count(self: DlibDetector, pixels: Pixels) -> Any:
        looked.append(pixels.shape)
        return found(self, pixels)

    def read(ref: str) -> manifest.Weights:
        loaded.append(ref)
        return load(ref)

    monkeypatch.setattr(DlibDetector, "__call__", count)
    monkeypatch.setattr(manifest, "load", read)
    grid = Grid.of(vary={"webtoon.look": ["filter", "ink"]}, by={"attributes.hair": ["black", "blond"]})
    grid.cells(photo_file, SIDE)
    assert len(looked) == 1
    assert loaded.count("webtoon") == 1 and set(loaded) == {"points", "parts", "webtoon"}  # ink is drawn without
    reads = len(loaded)
    grid.cells(photo_file, SIDE)
    assert len(loaded) == reads


@pytest.mark.slow
def test_each_face_has_its_rows_and_a_photo_without_one_is_shown(
    astronaut: Pixels, landscape: Pixels, tmp_path: Path
) -> None:
    two, none = tmp_path / "two.png", tmp_path / "none.png"
    Image.fromarray(np.concatenate([astronaut, astronaut[:, ::-1]], axis=1)).save(two)
    Image.fromarray(landscape).save(none)
    grid = Grid.of(vary={"makeup.look": ["rose"]}, by={"attributes.age": ["young", "old"]})
    assert [(row.name, row.label) for row in grid.cells(two, SIDE)] == [
        ("two.png, face 0", "young"),
        ("two.png, face 0", "old"),
        ("two.png, face 1", "young"),
        ("two.png, face 1", "old"),
    ]
    (shown,) = Grid.of(vary={"makeup.look": ["rose"], "webtoon.scope": ["photo"]}).cells(none, SIDE)
    assert shown.name == "none.png: no face"
    assert [None if picture is None else picture.shape for picture in shown.pictures] == [
        (120, 160, 3),
        None,
        (120, 160, 3),
    ]


def test_captions_of_a_grid_differ() -> None:
    grid = Grid.of(vary={"makeup.strength": [0.5, 1], "webtoon.strength": [0.5]})
    assert grid.captions == ["photo", "makeup: strength 0.5", "strength 1", "webtoon: strength 0.5"]


@pytest.mark.parametrize("name", grid_file.bundled())
def test_bundled_grids_are_whole(name: str) -> None:
    grid = Grid.read(name)
    assert len(set(grid.captions)) == len(grid.captions) > 3
    assert name not in chains.bundled()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "vary:\n  attributes.hair: [black, purpel]\n",
            "g.yaml:2: attributes.hair: 'purpel' is no colour of hair; did you mean 'purple'?",
        ),
        ("vary:\n- makeup\n- attribute.hair: black\n", "g.yaml:3: no stage 'attribute'; did you mean"),
        (
            "vary:\n  attributes.hare: [black]\n",
            "no such option; did you mean 'hair'? available: age, beard, gender, hair",
        ),
        ("vary:\n\n  makeup: rose\n", "g.yaml:3: 'rose': which option of makeup? As in makeup.reference"),
        ("vary: [1]\n", "g.yaml:1: 1: as in '- attributes.hair"),
        ("vary: hair\n", "g.yaml:1: vary: 'hair': a mapping is needed"),
        ("varie: {}\n", "g.yaml:1: varie: no such option; did you mean 'vary'? available: by, chain"),
        ("\nstrengths: [0.5, 2]\n", "g.yaml:2: strengths: 2: a strength is a number from 0 to 1"),
        ("strengths: [0.5]\n", "g.yaml:1: strengths: of what?"),
        (
            "by: {makeup.look: rose}\n\nstrengths: [1]\nvary: {webtoon.look: ink}\n",
            "g.yaml:3: strengths: they are the col",
        ),
        ("chain: no\nvary: {makeup.look: rose}\n", "g.yaml:1: chain: no chain 'no'; available: faces"),
        ("chain: upscale\nvary:\n  makeup.look: rose\n", "g.yaml:3: "),
        ("references: [missing]\n", "g.yaml:1: references: no file "),
        ("vary: {webtoon.style: missing.png}\n", "g.yaml:1: webtoon.style: no file "),
        ("vary: {makeup.look: []}\n", "g.yaml:1: no values, as in makeup.look: [0.5, 1]"),
        ("vary: {makeup.look: }\nby: [\n", "g.yaml:3: not valid YAML"),
        ("by: {makeup.look: rose}\n", "a grid needs something that is varied"),
        ("- vary\n", "g.yaml:1: a grid is a mapping"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(text)
    with pytest.raises(ChainError) as raised:
        Grid.read("g.yaml")
    assert said in str(raised.value)


@pytest.mark.slow
def test_a_file_draws_the_same_as_options(photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    Path("sub/base.yaml").write_text("stages: [makeup: {look: evening}]")
    Path("sub/g.yaml").write_text(
        f"photos: {photo_file}\nchain: base.yaml\nvary: {{makeup.eyes: [0.5, 1]}}\nby: {{makeup.strength: [0.5, 1]}}\n"
    )
    options = ["--vary", "makeup.eyes=0.5,1", "--by", "makeup.strength=0.5,1", "--chain", "sub/base.yaml"]
    for asked, out in ((["sub/g.yaml"], "file.png"), ([str(photo_file), *options], "options.png")):
        done = CliRunner().invoke(main, ["grid", *asked, "-o", out, "--side", "96"])
        assert done.exit_code == 0, done.output
        assert done.output.splitlines() == [f"{photo_file}: 2 rows of 2 settings", f"-> {out}"]
    by_file, by_options = (np.asarray(Image.open(out).convert("RGB")) for out in ("file.png", "options.png"))
    assert np.array_equal(by_file, by_options)
    drawn = Grid.read("sub/g.yaml").draw(side=96)
    assert np.array_equal(np.asarray(drawn), by_file)


@pytest.mark.slow
def test_the_plain_command_draws_the_row_of_stargan(
    photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    done = CliRunner().invoke(main, ["grid", str(photo_file), "bad.jpg", "-o", "grid.html"])
    assert done.exit_code == 1
    assert "bad.jpg: failed: not a picture" in done.output
    text = Path("grid.html").read_text(encoding="utf-8")
    for caption in ("hair black", "hair blond", "hair brown", "female", "male", "young", "old", "webtoon: ink"):
        assert f"<span>{caption}</span>" in text
    assert text.count("<section>") == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ["--vary", "attributes.hair=purpel"],
            "--vary attributes.hair=purpel: attributes.hair: 'purpel' is no colour of hair; did you mean 'purple'?",
        ),
        (["--vary", "hair=black"], "--vary hair=black: "),
        (["--vary", "upscale.factor=3"], "--vary upscale.factor=3: upscale.factor: these weights enlarge"),
        (["--strengths", "0.5,x"], "--strengths 0.5,x: 'x': a strength is a number"),
        (["--by", "makeup.look=rose"], "a grid needs something that is varied"),
        (["--references", "missing", "--vary", "webtoon"], "keep vary or references"),
        (["--vary", "makeup.eyes=" + ",".join("0" * 41)], "41 x 1 settings are too many to look at: 40 at most"),
        (["--vary", "makeup", "--chain", "upscale"], "has no stage 'makeup'; available: upscale"),
        (["-o", "grid.gif"], "must end in .png"),
    ],
)
def test_wrong_options_are_named(
    asked: list[str], said: str, photo_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo_file.parent)
    monkeypatch.setattr("ganchain.sheets.grid.LARGEST", 40)
    done = CliRunner().invoke(main, ["grid", str(photo_file), *asked])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_grid_file_and_options_do_not_mix(photo_file: Path) -> None:
    done = CliRunner().invoke(main, ["grid", "overview", str(photo_file), "--vary", "webtoon"])
    assert done.exit_code == 2
    assert "leave --vary out" in done.output
    assert CliRunner().invoke(main, ["grid"]).exit_code == 2


def test_one_row_is_broken_into_lines_of_the_same_length(astronaut: Pixels) -> None:
    row = people.Row("a", [astronaut] * 10)
    image = people.draw([row], ["photo", *map(str, range(9))], (), 50)
    assert image.width < 6 * 60
    assert image.height > 2 * 50
