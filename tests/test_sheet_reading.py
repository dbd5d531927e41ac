"""Pictures of points and parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from ganchain.cli.main import main
from ganchain.engines.probe import probe_reading
from ganchain.photos.photo import Photo
from ganchain.sheets.reading import COLOURS, draw_parts, draw_points
from ganchain.testing import FakeDetector, portrait


def test_points_and_parts_are_drawn_where_they_are() -> None:
    photo = Photo(portrait())
    face = replace(FakeDetector()(photo.pixels)[0], reading=probe_reading())
    dotted = draw_points(photo, [face]).pixels
    x, y = face.points[468].round().astype(int)  # the middle of an iris
    assert tuple(dotted[y, x]) == (255, 70, 150)
    coloured = draw_parts(photo, [face]).pixels.astype(int)
    hair = face.points[10] - (0, 0.5 * face.eye_distance)  # above the forehead
    x, y = hair.round().astype(int)
    change = coloured[y, x] - photo.pixels[y, x]
    assert change[0] > 0 > change[1] and COLOURS["hair"][0] > 200  # redder
    corner = np.abs(coloured[:4, :4] - photo.pixels[:4, :4])
    assert corner.max() <= 12


def test_faces_left_out_are_not_read() -> None:
    photo = Photo(portrait())
    face = replace(FakeDetector()(photo.pixels)[0], left_out="too small")
    assert (draw_points(photo, [face]).pixels == photo.pixels).all()
    assert (draw_parts(photo, [face]).pixels == photo.pixels).all()


def test_the_command_draws_and_prints_them(photo_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "boxes.png"
    run = CliRunner().invoke(main, ["faces", str(photo_file), "-o", str(out), "--points", "--parts", "--json"])
    assert run.exit_code == 0, run.output
    lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert len(lines[0]["points"]) == 478 and lines[0]["number"] == 0
    assert (np.asarray(Image.open(out)) != np.asarray(Image.open(photo_file))).any(axis=2).mean() > 0.03
