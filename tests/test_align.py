"""Detection and alignment: which faces, where, and why not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from typing import Any

import cv2
import dlib as untyped_dlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ganchain.errors import ChainError
from ganchain.faces import align
from ganchain.faces.align import Aligner, Canvas
from ganchain.faces.detect import DlibDetector, choose, in_reading_order
from ganchain.faces.face import Face, similarity
from ganchain.framing import HEAD, TEMPLATE, TIGHT, Framing
from ganchain.photos.photo import Photo
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.testing import FakeDetector

dlib: Any = untyped_dlib


def usable(faces: list[Face]) -> list[Face]:
    return [face for face in faces if face.left_out is None]


def eyes(face: Face) -> np.ndarray:
    return np.stack([face.landmarks[:2].mean(axis=0), face.landmarks[2:4].mean(axis=0)])


def test_astronaut_has_one_face_and_the_false_one_says_why(astronaut: Pixels) -> None:
    faces = DlibDetector()(astronaut)
    assert len(usable(faces)) == 1
    left, top, right, bottom = faces[0].box
    assert left < 225 < right and top < 130 < bottom
    assert faces[0].score == max(face.score for face in faces)
    assert all("below 0.2" in (face.left_out or "") for face in faces[1:])


def test_landmarks_of_small_photos_are_finer_than_their_pixels(astronaut: Pixels) -> None:
    assert (DlibDetector()(astronaut)[0].landmarks % 1 != 0).any()


@pytest.mark.parametrize("framing", [TIGHT, HEAD])
def test_a_reduced_canvas_needs_no_more_of_the_photo_than_it_shows(
    astronaut: Pixels, framing: Framing, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, face = astronaut.repeat(3, 0).repeat(3, 1), FakeDetector()(astronaut)[0].enlarged(3)
    cut = Aligner(framing, side=64).canvas(photo, face).before
    monkeypatch.setattr(align, "_needed", lambda matrix, side, shape, step: (slice(0, shape[0]), slice(0, shape[1])))
    whole = Aligner(framing, side=64).canvas(photo, face).before
    torch.testing.assert_close(cut, whole, rtol=0, atol=1.1 / 127.5)


def test_an_enlarged_face_keeps_its_pixel_centres() -> None:
    face = Face((0, 1, 2, 3), 1.0, np.array([[0.0, 0.0], [10.0, 20.0], [0, 0], [0, 0], [0, 0]])).enlarged(4)
    assert face.box == (1.5, 5.5, 9.5, 13.5)
    assert face.landmarks[:2].tolist() == [[1.5, 1.5], [41.5, 81.5]]


THREADS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np, skimage.data
from ganchain.faces.detect import DlibDetector

astronaut = np.asarray(skimage.data.astronaut())
photos = [np.ascontiguousarray(astronaut[: 200 + 8 * n, 100 + 2 * n : 340 + 8 * n]) for n in range(10)] * 3
detector = DlibDetector()
def found(pixels):
    return [(face.box, face.score, face.landmarks.tolist()) for face in detector(pixels)]
alone = [found(pixels) for pixels in photos[:10]] * 3
with ThreadPoolExecutor(4) as threads:
    assert list(threads.map(found, photos)) == alone
print(sum(map(len, alone)))
"""


@pytest.mark.slow
def test_threads_find_what_one_thread_finds() -> None:
    """In a process of its own: dlib's detector, used by two threads at once, ended it."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert int(done.stdout) >= 30


def test_small_faces_are_left_out_with_their_size(astronaut: Pixels) -> None:
    faces = DlibDetector(min_size=300)(astronaut)
    assert "smaller than 300 px" in (faces[0].left_out or "")


def test_landmarks_do_not_depend_on_the_size_of_the_photo(astronaut: Pixels) -> None:
    """The copy the detector sees is bounded; the geometry must come back to the photo's own px."""
    large = cv2.resize(astronaut, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small_face, large_face = DlibDetector()(astronaut)[0], DlibDetector()(large.astype(np.uint8))[0]
    expected = (small_face.landmarks + 0.5) * 4 - 0.5
    assert np.abs(expected - large_face.landmarks).max() < 6  # px of the large photo, whose eyes are 170 px apart


@pytest.mark.parametrize("angle", [-25, 25])
def test_rotated_face_is_found_and_stands_upright_on_its_canvas(astronaut: Pixels, angle: float) -> None:
    turn = cv2.getRotationMatrix2D((225, 130), angle, 1)
    rotated = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
    face = usable(DlibDetector()(rotated))[0]
    canvas = Aligner(TIGHT).canvas(rotated, face)
    plain = Aligner(TIGHT).canvas(astronaut, DlibDetector()(astronaut)[0])
    assert abs(np.degrees(np.arctan2(*canvas.matrix[:, 0][::-1]))) > 18
    a, b = (
        to_pixels(torch.nn.functional.interpolate(c.before, size=(64, 64)))[0].astype(float) for c in (canvas, plain)
    )
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_face_that_touches_the_edge_is_found(astronaut: Pixels) -> None:
    cut = np.ascontiguousarray(astronaut[78:, :])  # the picture ends at the forehead
    face = usable(DlibDetector()(cut))[0]
    assert np.abs(eyes(face) - (eyes(DlibDetector()(astronaut)[0]) - (0, 78))).max() < 6


def test_several_faces_are_found_best_first(astronaut: Pixels) -> None:
    three = np.hstack([astronaut[:300, 60:380]] * 3)
    faces = usable(DlibDetector()(three))
    assert len(faces) == 3
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    assert sorted(round(face.box[0] / 320) for face in faces) == [0, 1, 2]


def test_no_face_in_a_landscape(landscape: Pixels) -> None:
    assert not usable(DlibDetector()(landscape))


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 3)])
def test_tiny_photos_have_no_face_and_do_not_crash(shape: tuple[int, int]) -> None:
    assert DlibDetector()(np.zeros((*shape, 3), np.uint8)) == []


def faces_of_sizes(*sizes: float) -> list[Face]:
    return [Face((0, 0, size, size), 1 - i / 10, TEMPLATE * size) for i, size in enumerate(sizes)]


def test_choose() -> None:
    faces = faces_of_sizes(50, 90, 70)
    assert usable(choose(faces, "all")) == faces
    assert [face.size for face in usable(choose(faces, "largest"))] == [90]
    assert [face.size for face in usable(choose(faces, [0, 2]))] == [50, 70]
    assert choose(faces, [0])[1].left_out == "not chosen by faces"
    assert len(choose(faces, "largest")) == 3
    with pytest.raises(ChainError, match="biggest"):
        choose(faces, "biggest")  # type: ignore[arg-type]


def test_choose_the_best() -> None:
    faces = faces_of_sizes(50, 90, 70)
    faces = [replace(faces[2], score=0.4), faces[1], replace(faces[0], left_out="small")]
    assert [face.size for face in usable(choose(faces, "best"))] == [90]
    assert usable(choose(faces[2:], "best")) == []


def at(x: float, y: float, size: float = 100, score: float = 1.0) -> Face:
    corner = np.array([x, y]) - size / 2
    return Face((corner[0], corner[1], x + size / 2, y + size / 2), score, TEMPLATE * size + corner)


def test_numbers_follow_the_place() -> None:
    """Rows from above, each from the left, however the heads bob and whatever the scores are."""
    rows = [at(100, 130), at(260, 100, 80), at(400, 140, 120), at(90, 330), at(250, 300), at(420, 340)]
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(6)
        moved = [
            at(float(x), float(y), rows[i].size, rng.random())
            for i in order
            for x, y in [rows[i].landmarks.mean(axis=0) + rng.uniform(-6, 6, 2)]
        ]
        assert [int(np.flatnonzero(order == i)[0]) for i in range(6)] == [
            moved.index(f) for f in in_reading_order(moved)
        ]
    weak = replace(at(0, 215), left_out="score 0.10 below 0.2")  # it must not join two rows, nor count
    assert in_reading_order([weak, *reversed(rows)]) == [*rows, weak]
    assert in_reading_order([]) == []


@pytest.mark.slow
def test_numbers_survive_that_a_photo_is_saved_again(small_head: Pixels) -> None:
    group = np.full((620, 1000, 3), (120, 150, 180), np.uint8)
    for number in range(6):  # two rows of three heads of different sizes, some mirrored
        head = small_head[:, :: -1 if number % 2 else 1]
        head = cv2.resize(head, None, fx=0.9 + number % 3 / 10, fy=0.9 + number % 3 / 10)
        x, y = 20 + number % 3 * 330, 20 + number // 3 * 300 + (number * 17) % 40
        group[y : y + len(head), x : x + head.shape[1]] = head
    places = []
    for quality, factor in ((None, 1.0), (95, 1.0), (80, 1.0), (None, 0.9)):
        pixels = cv2.resize(group, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(np.uint8)
        if quality is not None:
            file = BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality)
            pixels = np.asarray(Image.open(file))
        faces = usable(in_reading_order(DlibDetector()(pixels)))
        places.append(np.array([face.landmarks.mean(axis=0) for face in faces]) / factor)
        assert len(faces) == 6
        assert np.abs(places[-1] - places[0]).max() < 12
    assert (np.diff(places[0].reshape(2, 3, 2)[..., 0]) > 0).all() and places[0][:3, 1].max() < places[0][3:, 1].min()


def test_faces_that_overlap_are_pasted_by_score(astronaut: Pixels) -> None:
    """Whatever their numbers are, the surest face lies on top."""
    face = DlibDetector()(astronaut)[0]
    left = replace(face, landmarks=face.landmarks - (40, 0), score=0.9)
    for score, on_top in ((0.5, 1.0), (1.5, -1.0)):
        faces = [left, replace(face, score=score)]
        stage = ByPlace()
        result = Pipeline([stage], detector=FakeDetector(faces))(astronaut)
        x, y = (left.landmarks.mean(axis=0) + face.landmarks.mean(axis=0)).round().astype(int) // 2
        assert np.asarray(result.image)[y, x, 0] == (255 if on_top > 0 else 0)
        assert [item.score for item in result.faces] == [0.9, score]


class ByPlace(Stage):
    """Paints its first face white, its second one black."""

    effect = "replace"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, faces: Tensor) -> Tensor:
        self.calls += 1
        return torch.full_like(faces, 1.0 if self.calls == 1 else -1.0)


def test_faces_photos_and_canvases_can_be_compared(astronaut: Pixels) -> None:
    face = at(100, 100)
    same = replace(face, landmarks=face.landmarks.copy())
    assert face == same and len({face, same}) == 1 and [face].index(same) == 0
    assert face != replace(face, landmarks=face.landmarks + 1) and face != replace(face, score=0.5) and face != "face"
    photo = Photo(astronaut)
    assert (
        photo == Photo(astronaut.copy())
        and photo in [Photo(astronaut.copy())]
        and hash(photo) == hash(Photo(astronaut))
    )
    assert photo != Photo(astronaut[1:]) and photo != Photo(255 - astronaut)
    assert photo != Photo(astronaut, astronaut[..., 0]) and Photo(astronaut, astronaut[..., 0]) != photo
    canvas = Aligner(TIGHT).canvas(astronaut, face)
    again = Aligner(TIGHT).canvas(astronaut, face)
    assert canvas == again and hash(canvas) == hash(again) and canvas != replace(canvas, after=canvas.after + 1)
    result = Pipeline([ByPlace()], detector=FakeDetector([face]))(astronaut)
    assert result == result and len({result}) == 1 and result != replace(result)


@pytest.mark.slow
def test_canvas_agrees_with_dlib(large_face: Pixels) -> None:
    """The canvas in dlib's framing is dlib's chip, but for interpolation (dlib reduces through a pyramid)."""
    photo = cv2.resize(cv2.GaussianBlur(large_face, (0, 0), 4), None, fx=0.25, fy=0.25).astype(np.uint8)
    face = usable(DlibDetector()(photo))[0]
    parts = dlib.points([dlib.point(int(x), int(y)) for x, y in face.landmarks.round()])
    whole = Face(face.box, face.score, face.landmarks.round())
    canvas = Aligner(Framing.chip(0.35)).canvas(photo, whole)
    shape = dlib.full_object_detection(dlib.rectangle(*(round(edge) for edge in face.box)), parts)
    chip = dlib.get_face_chip(photo, shape, size=canvas.side, padding=0.35)
    difference = np.abs(to_pixels(canvas.before)[0].astype(int) - chip)
    inner = difference[4:-4, 4:-4]  # beyond the photo's edge dlib paints black and we mirror
    assert inner.mean() < 1.0
    assert np.percentile(inner, 99) <= 6


def test_similarity_recovers_a_known_one() -> None:
    angle, scale = 0.4, 130.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(TEMPLATE @ turn.T + (40, 70))
    np.testing.assert_allclose(found, np.column_stack([turn, (40, 70)]), atol=1e-9)


def test_framings_are_where_they_say() -> None:
    assert Framing.chip(0.25).side == 1.5
    x, y, side = TIGHT.within(HEAD, 256)
    assert 0 < x < y < 256 - side  # the face stands in the lower middle of the head
    assert side == round(256 * TIGHT.side / HEAD.side)
    for eye in TEMPLATE[:4]:  # an eye lies at the same place of the head, reached through the tight window or not
        through = np.array([x, y]) + (eye - (TIGHT.left, TIGHT.top)) / TIGHT.side * side
        assert np.abs(through - (eye - (HEAD.left, HEAD.top)) / HEAD.side * 256).max() < 1
    both = Framing.around([TIGHT, HEAD, Framing.chip(0.9)])
    for framing in (TIGHT, HEAD, Framing.chip(0.9)):
        x, y, side = framing.within(both, 1000)
        assert min(x, y) >= 0 and max(x, y) + side <= 1000
        assert abs(side - 1000 * framing.side / both.side) <= 1


def test_paste_adds_only_the_change(astronaut: Pixels) -> None:
    canvas = Aligner(TIGHT).canvas(astronaut, DlibDetector()(astronaut)[0])
    assert (Aligner.paste(astronaut, canvas) == astronaut).all()
    after = canvas.before.clone()
    after[:, :, 40:60, 40:60] += 0.2
    changed = Aligner.paste(astronaut, Canvas(canvas.before, after, canvas.cover, canvas.matrix, canvas.framing))
    rows, columns = np.nonzero((changed != astronaut).any(axis=2))
    assert 300 < len(rows) < 500
    assert np.ptp(rows) < 26 and np.ptp(columns) < 26


def test_pasting_a_replacement_brings_its_pixels(astronaut: Pixels) -> None:
    canvas = Aligner(TIGHT).canvas(astronaut, DlibDetector()(astronaut)[0])
    flat = to_faces(np.full((canvas.side, canvas.side, 3), (30, 200, 90), np.uint8))
    cover = torch.ones_like(canvas.cover)
    pasted = Aligner.paste(astronaut, Canvas(canvas.before, flat, cover, canvas.matrix, canvas.framing))
    x, y = canvas.matrix @ (canvas.side / 2, canvas.side / 2, 1)
    assert pasted[round(y), round(x)].tolist() == [30, 200, 90]


def test_face_outside_the_photo_is_not_pasted(landscape: Pixels) -> None:
    away = Face((900, 900, 1000, 1000), 1.0, TEMPLATE * 100 + 900)
    canvas = Aligner(TIGHT).canvas(landscape, away)
    lit = Canvas(canvas.before, canvas.after + 0.5, canvas.cover, canvas.matrix, canvas.framing)
    assert (Aligner.paste(landscape, lit) == landscape).all()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_photo_has_its_face_where_it_is(astronaut: Pixels, quarters: int) -> None:
    upright = DlibDetector()(astronaut)[0]
    found = DlibDetector()(np.ascontiguousarray(np.rot90(astronaut, -quarters)))
    assert [face.turned for face in found if face.left_out is None] == [90 * quarters]
    chip = Aligner(TIGHT).chip(astronaut, upright, 64)
    again = Aligner(TIGHT).chip(np.ascontiguousarray(np.rot90(astronaut, -quarters)), found[0], 64)
    assert float((chip - again).abs().mean()) < 0.06  # the same upright face


def test_an_upright_photo_is_not_turned(astronaut: Pixels) -> None:
    assert {face.turned for face in DlibDetector()(astronaut)} == {0}
    assert DlibDetector()(np.full((200, 300, 3), 90, np.uint8)) == []
