"""Detection by cascade: the same faces in the same boxes as dlib's search of the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load

from ganchain.checkpoints import manifest
from ganchain.errors import WeightsError
from ganchain.faces import cascade, proposals
from ganchain.faces.cascade import Cascade, Found, Pyramid
from ganchain.faces.chip import Box
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import HogDetector, LevelDetector, dlib, enlarged
from ganchain.faces.proposals import Proposal, ProposalNet, propose
from ganchain.tensors import Pixels
from ganchain.train import proposals as recipe


def refused(pixels: Pixels) -> Found:
    raise AssertionError("the whole picture is searched")


def share(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - both)


@pytest.fixture(scope="module")
def group(astronaut: Pixels) -> Pixels:
    """A picture with one large face and three small ones."""
    picture = np.full((900, 1200, 3), 140, np.uint8)
    head = astronaut[10:230, 105:345]
    picture[50:710, 20:740] = cv2.resize(head, (720, 660), interpolation=cv2.INTER_CUBIC)
    for number, side in enumerate((170, 200, 240)):
        top = 20 + 290 * number
        picture[top : top + side, 900 : 900 + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    return picture


def test_the_same_boxes_as_in_the_whole_picture(group: Pixels) -> None:
    whole, own = HogDetector()(group), Cascade(whole=refused)(group)
    assert len(own) == len(whole) == 4
    for (box, score), (other, other_score) in zip(own, whole, strict=True):
        assert share(box, other) > 0.99 and abs(score - other_score) < 0.25
    assert [score for _, score in own] == sorted((score for _, score in own), reverse=True)


def test_part_of_a_level_is_what_dlib_makes(group: Pixels) -> None:
    level, picture = group, Pyramid(group)
    for number in range(5):
        patch = picture.around(400, 300, number)
        ((_, part),) = picture.cut([patch])
        expected = level[patch.top : patch.bottom, patch.left : patch.right]
        assert part.shape == expected.shape
        apart = part.astype(int) - expected
        assert np.abs(apart - apart.mean()).mean() < 0.8, number
        assert -0.1 < apart.mean() < 0.6 * number + 0.1, number  # dlib rounds down
        assert tuple(picture.sizes[number]) == level.shape[1::-1]
        level = dlib.pyramid_down(6)(level)


def test_one_level_of_the_detector(astronaut: Pixels) -> None:
    """A face of the window's size is found, one of twice that is not."""
    (large,) = HogDetector()(astronaut)
    factor = cascade.WINDOW / (large[0][2] - large[0][0])
    for grow, number in ((factor, 1), (2 * factor, 0)):
        sized = cv2.resize(astronaut, None, fx=grow, fy=grow, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        found = LevelDetector()(sized)
        assert len(found) == number
        assert all(box[2] - box[0] + 1 == cascade.WINDOW for box, _ in found)
    assert enlarged((10, 20, 82, 92), 0) == (10, 20, 82, 92)


@contextmanager
def counted() -> Iterator[Any]:
    """Count how often the whole picture is searched."""
    calls: list[int] = []

    def whole(pixels: Pixels) -> Found:
        calls.append(1)
        return HogDetector()(pixels)

    yield Cascade(whole=whole), calls


def test_the_whole_picture_is_searched_where_nothing_is_sure(landscape: Pixels, astronaut: Pixels) -> None:
    with counted() as (detect, calls):
        assert detect(landscape) == HogDetector()(landscape) and len(calls) == 1
        assert len(detect(astronaut)) == 1 and len(calls) == 1


@pytest.mark.parametrize("places", [[], [Proposal(400, 100, 90, 3.0)], [Proposal(i, i, 90, 0.0) for i in range(500)]])
def test_wrong_proposals_lose_no_face(astronaut: Pixels, places: list[Proposal]) -> None:
    """None, one beside the face, and too many."""
    with counted() as (detect, calls):
        found = Cascade(lambda _: places, whole=detect.whole)(astronaut)
        assert found == HogDetector()(astronaut) and len(calls) == 1


def test_a_doubtful_face_is_searched_for_in_the_whole_picture(astronaut: Pixels) -> None:
    """Small differences of pixels decide whether it is edited."""
    with counted() as (detect, calls):
        doubtful = [((0.0, 0.0, 72.0, 72.0), 0.2)]
        found = Cascade(level=lambda pixels, threshold: doubtful, whole=detect.whole)(astronaut)
        assert found == HogDetector()(astronaut) and len(calls) == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 64), (63, 500), (80, 81)])
def test_small_pictures(shape: tuple[int, int]) -> None:
    assert Cascade()(np.full((*shape, 3), 120, np.uint8)) == []


def test_a_face_at_the_edge_is_found(astronaut: Pixels) -> None:
    cut = np.ascontiguousarray(astronaut[78:, 150:])
    whole = [face for face in DlibDetector(hog=HogDetector())(cut) if face.left_out is None]
    own = [face for face in DlibDetector()(cut) if face.left_out is None]
    assert len(own) == len(whole) == 1
    assert np.abs(own[0].landmarks - whole[0].landmarks).max() < 0.02 * whole[0].eye_distance


def test_proposals_lie_on_faces(group: Pixels) -> None:
    places = propose(group)
    for box, _ in HogDetector()(group):
        middle, side = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), box[2] - box[0]
        assert any(
            abs(place.x - middle[0]) < 0.25 * side
            and abs(place.y - middle[1]) < 0.25 * side
            and 0.7 < place.size / side < 1.4
            for place in places[:8]
        )


def test_a_changed_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((proposals.resources.files("ganchain.weights") / proposals.BUNDLED).read_bytes())
    assert manifest.entry("proposals").sha256 == proposals.BUNDLED_SHA256
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match="No such file"):
        proposals._bundled.__wrapped__()
    content[-1] ^= 1
    (tmp_path / proposals.BUNDLED).write_bytes(content)
    with pytest.raises(WeightsError, match=r"proposals\.safetensors: the file was changed or cut"):
        proposals._bundled.__wrapped__()


def test_what_is_learnt_lies_where_the_faces_are() -> None:
    boxes = np.array([(30.0, 40.0, 54.0, 64.0, 1.0), (70.0, 10.0, 90.0, 30.0, 0.1), (5.0, 5.0, 12.0, 12.0, 2.0)])
    face, weight, place = recipe.answer(boxes)
    assert face[6, 5] == 1 and weight[6, 5] == 1 and face.sum() <= 4  # the face's middle, 42, 52
    x, y, size = place[:, 6, 5]
    assert abs(5.5 * 8 - 0.5 + x * 16 - 42) < 1e-4 and abs(6.5 * 8 - 0.5 + y * 16 - 52) < 1e-4
    assert abs(np.exp(size) * 26 - 24.25) < 0.01
    assert weight[2, 9] == 0 and face[2, 9] == 0  # nobody is sure of it
    assert weight[1, 1] == 1 and face[1, 1] == 0  # too small: for the next picture, reduced less


@pytest.mark.slow
def test_the_recipe_learns_and_repeats_itself(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "BATCH", 4)
    photos = heads / "photos_cc0"
    photos.mkdir(exist_ok=True)
    for name in "abcdefgh":
        cv2.imwrite(str(photos / f"{name}.png"), np.full((300, 300, 3), ord(name), np.uint8))
    for name in ("first", "again"):
        recipe.train(heads, tmp_path / name, seed=1, scenes=3, steps=6)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    loaded = load((tmp_path / "first").read_bytes())
    net = ProposalNet.from_tensors({name: value.float() for name, value in loaded.items()})
    assert ProposalNet.recognise(loaded) and net(torch.zeros(1, 1, 65, 40)).shape == (1, 4, 9, 5)
