"""``ganchain evaluate``: its figures are what they say, two files stand side by side, and the sheet is whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ganchain.cli.main import main
from ganchain.errors import ChainError, PhotoError
from ganchain.evaluate import edits, painted, report, standard, years
from ganchain.evaluate.cost import cost
from ganchain.evaluate.edits import Edit, People
from ganchain.sheets import sheet
from ganchain.stages.upscale import Upscale
from ganchain.tensors import Pixels


def test_luma_is_matlabs() -> None:
    greys = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    np.testing.assert_allclose(standard.luma(greys)[0], [16, 235, 81.481], atol=1e-6)


def test_psnr_shaves_the_border() -> None:
    photo = np.full((20, 20, 3), 100, np.uint8)
    made = photo + np.uint8(1)
    expected = 20 * np.log10(255 / (219 / 255))  # one grey level is 219 / 255 of luma
    assert standard.psnr(made, photo, 4) == pytest.approx(expected)
    made[:4] = 0
    assert standard.psnr(made, photo, 4) == pytest.approx(expected)
    assert standard.psnr(made, photo, 3) < expected - 10


def test_standard_sets_are_measured_and_the_network_beats_bicubic(astronaut: Pixels, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="neither Set5 nor Set14"):
        standard.figures(Upscale(), 4, tmp_path)
    (tmp_path / "Set5").mkdir()
    Image.fromarray(astronaut[0:203, 100:301]).save(tmp_path / "Set5" / "odd.png")  # 203 x 201: cut to 200 x 200
    plain = standard.figures(Upscale(strength=0), 4, tmp_path)
    ours = standard.figures(Upscale(detail=0), 4, tmp_path)
    assert list(ours) == ["Set5 x4, luma dB"]
    assert 20 < plain["Set5 x4, luma dB"] < ours["Set5 x4, luma dB"] - 1


def test_cost_counts_every_multiplication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganchain.evaluate.cost.RUNS", 1)
    side, width, depth = 256, 16, 13  # 3 x 3 convolutions: into the body, within it, out of its head
    found = cost("upscale")
    learned = side**2 * 9 * (3 * width + depth * width**2 + width * 48)
    assert found["GMAC"] == pytest.approx(learned / 1e9)
    assert found["ms"] > 0


@pytest.mark.usefixtures("dlib_models")
@pytest.mark.slow
def test_an_edit_of_no_strength_keeps_the_person(heads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Edit("nothing", "makeup", {"strength": 0.0}, 0.4)
    monkeypatch.setitem(edits.EDITS, "makeup", (nothing, Edit("smoky", "makeup", {"look": "smoky"}, 0.001)))
    figures = edits.identity("makeup", None, People(heads, "wide256", limit=1))
    assert figures["nothing: embedding distance"] == 0
    assert figures["nothing: share below 0.4"] == 1
    assert figures["smoky: embedding distance"] > 0.01
    assert figures["smoky: share below 0.001"] == 0


@pytest.mark.slow
def test_the_judge_is_asked_of_those_of_the_other_class(heads: Path) -> None:
    figures = edits.success_rates(None, People(heads, "faces256", limit=2))
    assert all(0 <= share <= 1 for share in figures.values())
    assert {"old: taken for it", "old: taken for it, of the opposite"} <= figures.keys()


@pytest.mark.slow
def test_years_are_in_order_and_teeth_stay(heads: Path) -> None:
    figures = years.figures(None, People(heads, "faces256", limit=1))
    assert figures["age: judged in the order of years"] == 1  # the astronaut
    assert all(0 < figures[f"{name}: change in an open mouth, dE"] < 3 for name in edits.AIMS)


def test_people_need_faces(tmp_path: Path) -> None:
    for name in "abcdefgh":
        Image.new("RGB", (64, 64), "navy").save(tmp_path / f"{name}.png")
    with pytest.raises(PhotoError, match="no face"):
        _ = People(tmp_path, "wide256").all


@pytest.mark.slow
def test_painted_lips_and_dyed_hair_are_measured_against_the_labels(heads: Path) -> None:
    with torch.inference_mode():
        lips, hair = painted.makeup(heads, limit=1), painted.hair(heads, limit=1)
    assert lips["faces"] == hair["heads"] == 1
    assert all(lips[f"removed in {name}"] > 0.8 for name in ("lips", "lids", "cheeks"))  # the labels are our own points
    assert lips["change outside, dE"] < 0.1
    assert 0 < hair["chroma of the way"] < 1 and 0 < hair["beside, %"] < 100  # an ellipse is labelled
    assert 0 < hair["change in a band around the hair, dE"] < 50


@pytest.mark.usefixtures("dlib_models")
@pytest.mark.slow
def test_two_files_side_by_side(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganchain.evaluate.cost.RUNS", 1)
    other, out = "upscale-detail", tmp_path / "figures.json"
    asked = ["evaluate", "upscale", "--data", str(heads), "--against", f"upscale={other}", "-o", str(out)]
    shown = CliRunner().invoke(main, [*asked, "--limit", "2", "--sheet", "sheet.png", "--rows", "2"])
    assert shown.exit_code == 0, shown.output
    found = json.loads(out.read_text())
    assert found == json.loads(next(row for row in shown.output.splitlines() if row.startswith("{")))
    assert list(found["upscale"]) == ["bundled", other]
    assert found["upscale"]["bundled"]["gain over bicubic, dB"] > 1
    assert "wanted" in shown.output
    columns = 3  # source, the bundled weights' picture, that of the others
    with Image.open("sheet.png") as image:
        assert image.width == report.sheet.sheet([], [""] * columns).width


@pytest.mark.parametrize("option", ["-o", "--sheet"])
def test_evaluate_overwrites_nothing(heads: Path, tmp_path: Path, option: str) -> None:
    photo, other, weights = heads / "wide256" / "0.png", tmp_path / "other.png", tmp_path / "mine.safetensors"
    other.write_bytes(b"mine")
    weights.write_bytes(b"weights")
    asked = ["evaluate", "upscale", "--data", str(heads), "--against", f"upscale={weights}", option]
    for path, said in (
        (photo, "lies among the data"),
        (other, "is there already, and not from this chain; --overwrite"),
        (weights, "would overwrite a photo or another input"),
    ):
        done = CliRunner().invoke(main, [*asked, str(path)])
        assert done.exit_code == 2 and said in done.output, done.output
    assert other.read_bytes() == b"mine" and weights.read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["webtoons"], "did you mean 'webtoon'"),
        (["--against", "webtoon"], "write KEY=WEIGHTS"),
        (["--against", "nose=webtoon"], "available"),
        (["--against", "webtoon=runs/gone.safetensors"], "neither a key nor a file"),
    ],
)
def test_what_is_not_there_is_said(heads: Path, asked: list[str], said: str) -> None:
    shown = CliRunner().invoke(main, ["evaluate", "--data", str(heads), *asked])
    assert shown.exit_code == 2
    assert said in shown.output


def test_what_the_crops_do_not_serve_is_left_out(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in sorted((heads / "faces256").glob("*.png")):
        (tmp_path / file.name).write_bytes(file.read_bytes())  # tight crops without labels
    monkeypatch.setattr(report, "measured", lambda *given: {"GMAC": 0.1})
    found = report.run(tmp_path)
    sizes = ["upscale-fast", "upscale-standard", "upscale-best"]
    assert list(found) == ["upscale", "upscale-detail", "webtoon", *sizes, "restore", "restore-face"]
    said = capsys.readouterr().out
    assert "makeup: left out" in said and "points-faces256.npz" in said and "hair: left out" in said
    assert "age-gender: left out" in said
    monkeypatch.undo()
    with pytest.raises(ChainError, match="labels are needed"):
        report.run(tmp_path, ["age-gender"])
    with pytest.raises(PhotoError, match="no labels"):
        report.run(tmp_path, ["makeup"])
    with pytest.raises(ChainError, match="evaluate hair"):
        report.run(tmp_path, against={"hair": "webtoon"})


def test_unmet_wishes_are_red() -> None:
    table = report._table("upscale", {"bundled": {"GMAC": 3.0, "Set5 x4, luma dB": 32.0}})
    cells = list(table.columns[1].cells)
    assert cells == ["[red]3[/red]", "32"]


def test_sheets_stretch_and_cut_nothing(astronaut: Pixels) -> None:
    wide = astronaut[:100, :200]
    drawn = np.asarray(sheet.sheet([[wide, astronaut]], ["a", "b"], side=128))
    marked = (drawn != np.array(sheet.PAPER)).any(axis=2)[20:]
    left, right = np.split(marked, [drawn.shape[1] // 2], axis=1)
    assert [int((half.mean(axis=1) > 0.5).sum()) for half in (left, right)] == [64, 128]  # half as high as wide


def test_keys_without_a_recipe_are_not_measured() -> None:
    with pytest.raises(ChainError, match="evaluate beautygan"):
        report.run(Path(), ["beautygan"])
