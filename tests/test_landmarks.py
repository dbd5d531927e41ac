"""The five landmarks: near the teacher's, steady under light, size and turning, and trained by a recipe that runs."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ganchain.checkpoints import manifest
from ganchain.errors import WeightsError
from ganchain.faces import dlib_models
from ganchain.faces.align import Aligner
from ganchain.faces.chip import CHIP_SIDE, Box, Chip, mirrored
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import (
    BUNDLED,
    BUNDLED_SHA256,
    Embedder,
    FivePoints,
    Landmarks,
    from_both_sides,
    model_file,
)
from ganchain.faces.face import Face, similarity
from ganchain.framing import HEAD, TEMPLATE
from ganchain.tensors import Pixels, to_pixels
from ganchain.train import shape
from tests.pools import InThisProcess

needs_teacher = pytest.mark.usefixtures("dlib_models")


@pytest.fixture(scope="session")
def box(astronaut: Pixels) -> Box:
    return DlibDetector()(astronaut)[0].box


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance in % of the eye distance of ``b``."""
    eyes = np.linalg.norm(b[:2].mean(axis=0) - b[2:4].mean(axis=0))
    return float(100 * np.linalg.norm(a - b, axis=1).mean() / eyes)


def test_bundled_file_is_small_and_the_one_of_its_card() -> None:
    content = model_file(BUNDLED).read_bytes()
    card = model_file(BUNDLED).with_suffix(".md").read_text()
    assert len(content) <= 2_000_000 and f"{len(content):,} bytes" in card
    assert sha256(content).hexdigest() in card and "Apache-2.0" in card


def test_points_lie_as_in_the_template(astronaut: Pixels, box: Box) -> None:
    points = FivePoints()(astronaut, box)
    matrix = similarity(points)
    assert apart(TEMPLATE @ matrix[:, :2].T + matrix[:, 2], points) < 6
    assert all(box[0] < x < box[2] and box[1] < y < box[3] for x, y in points)


@needs_teacher
def test_points_are_near_the_teachers(astronaut: Pixels, box: Box) -> None:
    ours, theirs = FivePoints()(astronaut, box), Landmarks()(astronaut, box)
    assert apart(ours, theirs) < 3
    a, b = similarity(ours), similarity(theirs)
    moved = np.linalg.norm((a - b) @ np.append(TEMPLATE.mean(axis=0), 1)) / Face(box, 1, theirs).eye_distance
    assert moved < 0.02  # of the eye distance: where the canvas lies
    assert abs(np.hypot(*a[:, 0]) / np.hypot(*b[:, 0]) - 1) < 0.03


def test_points_do_not_depend_on_exposure_size_or_side(astronaut: Pixels, box: Box) -> None:
    read = FivePoints()
    points = read(astronaut, box)
    dark = (astronaut * 0.2).round().astype(np.uint8)
    assert apart(read(dark, box), points) < 2
    pale = (astronaut * 0.3 + 150).round().astype(np.uint8)
    assert apart(read(pale, box), points) < 2
    large = cv2.resize(astronaut, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    left, top, right, bottom = ((edge + 0.5) * 4 - 0.5 for edge in box)
    assert apart(read(large, (left, top, right, bottom)), (points + 0.5) * 4 - 0.5) < 2
    last = astronaut.shape[1] - 1
    turned = read(astronaut[:, ::-1], (last - box[2], box[1], last - box[0], box[3]))
    assert apart(mirrored(turned, last + 1), points) < 1


def test_chip_maps_there_and_back(astronaut: Pixels) -> None:
    chip = Chip.cut(astronaut, (180, 80, 280, 180))
    assert chip.pixels.shape == (CHIP_SIDE, CHIP_SIDE)
    points = np.array([[180.0, 80.0], [230.5, 131.25]])
    np.testing.assert_allclose(chip.outward(chip.inward(points)), points)
    np.testing.assert_allclose(chip.inward(np.array([164.5, 64.5])), -0.5)  # 15 px left of the box, 15 above it


@pytest.mark.parametrize("place", [(-60, -60, 40, 40), (500, 500, 600, 600), (900, 0, 1000, 100), (7, 7, 7, 7)])
def test_boxes_at_the_edge_and_beyond_give_points(astronaut: Pixels, place: Box) -> None:
    assert np.isfinite(FivePoints()(astronaut, place)).all()


def test_a_flat_picture_gives_points() -> None:
    assert FivePoints()(np.full((100, 100, 3), 9, np.uint8), (10, 10, 90, 90)).shape == (5, 2)


def test_a_cut_file_is_refused(tmp_path: Path, astronaut: Pixels, box: Box) -> None:
    file = tmp_path / "cut.dat"
    file.write_bytes(model_file(BUNDLED).read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cut\.dat"):
        FivePoints(file)(astronaut, box)


def test_a_changed_bundled_file_is_refused(
    tmp_path: Path, astronaut: Pixels, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(model_file(BUNDLED).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / BUNDLED).write_bytes(content)
    (tmp_path / "manifest.yaml").write_text((model_file(BUNDLED).parent / "manifest.yaml").read_text())
    assert manifest.problem("landmarks") is None and manifest.entry("landmarks").sha256 == BUNDLED_SHA256
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match=r"landmarks\.dat: the file was changed or cut"):
        FivePoints()(astronaut, box)
    assert "changed or cut" in str(manifest.problem("landmarks"))
    (tmp_path / BUNDLED).unlink()
    with pytest.raises(WeightsError, match="No such file"):
        FivePoints()(astronaut, box)
    with pytest.raises(WeightsError, match="no network"):
        manifest.load("landmarks")


def test_dlibs_detector_is_unpacked_once(monkeypatch: pytest.MonkeyPatch, astronaut: Pixels) -> None:
    DlibDetector()(astronaut)
    monkeypatch.setattr(dlib_models.dlib, "get_frontal_face_detector", lambda: pytest.fail("unpacked again"))
    DlibDetector()(astronaut)


def test_without_the_extra_the_embedder_is_missing(
    monkeypatch: pytest.MonkeyPatch, astronaut: Pixels, box: Box
) -> None:
    monkeypatch.setattr(dlib_models, "find_spec", lambda name: None)
    assert FivePoints()(astronaut, box).shape == (5, 2)
    with pytest.raises(WeightsError, match=r"pip install 'ganchain\[evaluate\]'"):
        Embedder()


@needs_teacher
def test_what_the_recipe_is_taught_is_near_dlibs_own_reading(astronaut: Pixels) -> None:
    face = DlibDetector()(astronaut)[0]
    pixels = to_pixels(Aligner(HEAD).chip(astronaut, face, 256))[0]
    unit = 256 / HEAD.side
    box = tuple((np.array([0, 0, 1, 1]) - 2 * (HEAD.left, HEAD.top)) * unit)
    taught, dlibs = shape.teacher_points(pixels, HEAD), from_both_sides(Landmarks(), pixels, box)
    assert apart(taught, dlibs) < 4


@pytest.mark.slow
def test_recipe_learns_a_face_and_repeats_itself(
    astronaut: Pixels, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = DlibDetector()(astronaut)[0]
    for folder, framing in shape.FOLDERS.items():
        (tmp_path / folder).mkdir()
        picture = Image.fromarray(to_pixels(Aligner(framing).chip(astronaut, face, 256))[0])
        for name in "abcdefgh":  # some of them are for validation and test
            picture.save(tmp_path / folder / f"{name}.png")
    small = {"cascade_depth": 5, "num_trees_per_cascade_level": 30, "num_test_splits": 20, "num_threads": 1}
    monkeypatch.setattr(shape, "OPTIONS", shape.OPTIONS | small)
    shape.train(tmp_path, tmp_path / "first.dat", seed=3, processes=1)
    monkeypatch.setattr(shape, "ProcessPoolExecutor", InThisProcess)
    shape.train(tmp_path, tmp_path / "second.dat", seed=3, processes=1)
    assert (tmp_path / "first.dat").read_bytes() == (tmp_path / "second.dat").read_bytes()
    assert apart(FivePoints(tmp_path / "first.dat")(astronaut, box), face.landmarks) < 8
