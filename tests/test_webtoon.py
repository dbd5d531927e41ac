"""The webtoon's two layers: what the teacher draws, what the recipe makes of it, the two looks of the stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ganchain.chains import registry
from ganchain.drawing.tones import DEPTH, LOOKS, draw_colour, draw_ink, layers, plain_background
from ganchain.faces.detect import DlibDetector
from ganchain.pipeline.pipeline import Pipeline
from ganchain.pipeline.reader import FaceReader
from ganchain.stage import Stage
from ganchain.stages.webtoon import Webtoon as Drawing
from ganchain.tensors import Pixels, to_faces
from ganchain.testing import FakeDetector
from ganchain.train.adversary import Adversary
from ganchain.train.datasets.drawings import Drawings, Source, degrade
from ganchain.train.landmarks import Points, marked
from ganchain.train.teachers.webtoon import webtoon
from ganchain.train.webtoon import Webtoon


def make(**options: Any) -> Stage:
    stage: Any = registry.stage("webtoon")
    made: Stage = stage(**options)
    return made


@pytest.fixture
def wall() -> Pixels:
    """A plain wall in uneven light, with a camera's noise."""
    y, x = np.mgrid[0:96, 0:96]
    light = 150 + 0.25 * x + 0.1 * y + np.random.default_rng(0).normal(0, 4, (96, 96))
    return np.dstack([light, light, light + 12]).round().astype(np.uint8)


def test_a_plain_wall_stays_plain(wall: Pixels) -> None:
    flat, ink = webtoon(wall)
    assert flat.shape == (192, 192, 3) and ink.shape == (192, 192)
    assert ink.max() < 13
    light = flat.astype(float).mean(axis=2)
    rest = light - cv2.GaussianBlur(light, (0, 0), 12)
    assert np.abs(rest[20:-20, 20:-20]).max() < 4  # neither steps nor mottling


def test_a_line_is_inked_and_a_speck_is_not(wall: Pixels) -> None:
    picture = np.full_like(wall, 200)
    cv2.line(picture, (10, 30), (85, 40), (60, 50, 50), 2)
    cv2.circle(picture, (60, 75), 1, (90, 90, 90), -1)
    _, ink = webtoon(picture)
    assert ink[66:74, 60:130].max(axis=0).min() > 200
    assert ink[130:].max() < 26


def test_dark_pictures_keep_their_lines() -> None:
    picture = np.full((96, 96, 3), 40, np.uint8)
    cv2.line(picture, (10, 50), (85, 50), (8, 8, 8), 2)
    _, ink = webtoon(picture)
    assert ink[96:106, 40:150].max(axis=0).min() > 128


@pytest.fixture(scope="module")
def head(small_head: Pixels) -> tuple[Pixels, Points]:
    """A head and its 68 landmarks."""
    face = DlibDetector()(small_head)[0]
    reading = FaceReader(torch.device("cpu")).of(small_head, face)
    return small_head, marked(replace(face, reading=reading))


@pytest.mark.slow
def test_eyes_get_catch_lights_and_no_ink_on_them(head: tuple[Pixels, Points]) -> None:
    picture, face = head
    flat, ink = webtoon(picture, [face])
    plain, _ = webtoon(picture)
    for eye in (face[36:42], face[42:48]):
        left, top = (eye.min(axis=0) * 2).astype(int)
        right, bottom = (eye.max(axis=0) * 2).astype(int)
        inside = (slice(top, bottom), slice(left, right))
        assert flat[inside].min(axis=2).max() > 200 > plain[inside].min(axis=2).max()
        assert ink[inside][flat[inside].min(axis=2) > 225].max(initial=0) < 80


def test_the_looks() -> None:
    flat, ink = torch.rand(2, 3, 8, 8) * 3 - 1.5, torch.rand(2, 1, 8, 8)
    drawn = draw_colour(flat, ink)
    torch.testing.assert_close((drawn + 1) / 2, (flat.clamp(-1, 1) + 1) / 2 * (1 - DEPTH * ink))
    grey = draw_ink(flat, ink)
    assert grey.shape == flat.shape and torch.equal(grey[:, 0], grey[:, 2])
    assert grey.min() >= -1 and grey.max() <= 1
    assert draw_ink(torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)).min() > 0.99
    assert draw_ink(torch.ones(1, 3, 4, 4), torch.ones(1, 1, 4, 4)).max() < -0.99
    ramp = torch.linspace(-1, 1, 201).expand(1, 3, 4, 201)
    greys = draw_ink(ramp, torch.zeros(1, 1, 4, 201))[0, 0, 0].diff()
    assert greys.min() > -1e-6 and greys.max() > 2 * greys.mean()  # the lighter the tone, the lighter; in steps


@pytest.mark.parametrize("look", LOOKS)
def test_the_bundled_weights_draw_both_looks(small_head: Pixels, look: str) -> None:
    stage = make(look=look, scope="photo")
    drawn = np.asarray(Pipeline([stage])(small_head).image).astype(float)
    assert (np.ptp(drawn, axis=2).max() < 4) == (look == "ink")
    assert np.abs(drawn - small_head).mean() > 5


def test_a_look_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="look"):
        make(look="oil")


def test_layers_have_twice_the_side() -> None:
    torch.manual_seed(0)
    flat, ink = layers(Webtoon(Path()).networks["student"].eval(), torch.rand(1, 3, 32, 48) * 2 - 1)
    assert flat.shape == (1, 3, 64, 96) and ink.shape == (1, 1, 64, 96)
    assert ink.min() >= 0 and ink.max() <= 1


def test_drawings_are_cached_and_cropped_together(astronaut: Pixels, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    assert cv2.imwrite(str(path), np.ascontiguousarray(astronaut[..., ::-1]))
    source = Source(path, 128, (), tmp_path / "cache" / "one.jpg")
    source.make()
    flat, ink = source.drawing()
    assert flat.shape == (256, 256, 3) and ink.shape == (256, 256, 1)
    torch.manual_seed(0)
    for fixed in (True, False):
        picture, tones, lines = Drawings([source], 64, fixed)[0]
        assert picture.shape == (3, 64, 64) and tones.shape == (3, 128, 128) and lines.shape == (1, 128, 128)
        assert lines.min() >= 0 and lines.max() <= 1
        small = torch.nn.functional.avg_pool2d(tones[None], 2)[0]
        assert torch.corrcoef(torch.stack([small.flatten(), picture.flatten()]))[0, 1] > 0.8


def test_spoilt_pictures_keep_shape_and_dtype(astronaut: Pixels) -> None:
    torch.manual_seed(0)
    picture = astronaut[:64, :64]
    made = [degrade(picture) for _ in range(100)]
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in made)
    assert min(one.mean() for one in made) < 0.8 * picture.mean()
    assert min(one.std() for one in made) < 0.5 * picture.std()


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Three plain pictures and what might be drawings of them, each of one grey of its own."""
    made = []
    for grey in (40, 120, 200):
        photo, drawing = tmp_path / f"{grey}.png", tmp_path / f"{grey}.jpg"
        assert cv2.imwrite(str(photo), np.full((40, 40, 3), grey, np.uint8))
        assert cv2.imwrite(str(drawing), np.full((160, 80, 3), grey, np.uint8))
        made.append(Source(photo, 40, (), drawing))
    return made


def test_what_the_discriminator_takes_for_real_is_unpaired(sources: list[Source]) -> None:
    torch.manual_seed(0)
    dataset = Drawings(sources * 2, 32, fixed=False, unpaired=True)
    seen = set()
    for index in range(60):
        _, tones, _, other, ink = dataset[index % 6]
        assert other.shape == tones.shape and ink.shape == (1, 64, 64)
        assert (other - tones).abs().min() > 0.5
        seen.add((index % 3, round(float(other.mean()), 1)))
    assert len(seen) == 6  # both others of each
    assert len(Drawings(sources, 32, fixed=False)[0]) == 3
    assert len(Drawings(sources[:1] * 2, 32, fixed=False, unpaired=True)[0]) == 3  # there is no other


@pytest.fixture
def batch() -> tuple[torch.Tensor, ...]:
    """Two pictures, their drawings, and drawings of others."""
    torch.manual_seed(0)
    picture, tones, others = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    ink, others_ink = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64)
    return picture * 2 - 1, tones * 2 - 1, ink, others * 2 - 1, others_ink


@pytest.mark.parametrize("term", ["perceptual", "adversarial"])
def test_each_added_term_moves_the_student(batch: tuple[torch.Tensor, ...], term: str) -> None:
    recipe = Webtoon(Path(), crop=32, **{term: 0.5})  # type: ignore[arg-type]
    student = recipe.networks["student"]
    value = recipe.losses("student", batch)[term]
    value.backward()  # type: ignore[no-untyped-call]
    moved = student.get_parameter("head.weight").grad  # the others get none while the head is zero
    assert moved is not None and moved.abs().sum() > 0 and value > 0
    assert term not in Webtoon(Path(), crop=32).losses("student", batch)
    twice = Webtoon(Path(), crop=32, **{term: 1.0})  # type: ignore[arg-type]
    for name, net in {**recipe.networks, **recipe.frozen}.items():
        {**twice.networks, **twice.frozen}[name].load_state_dict(net.state_dict())
    values = []
    for one in (recipe, twice):
        torch.manual_seed(1)
        values.append(float(one.losses("student", batch)[term].detach()))
    assert values[1] == pytest.approx(2 * values[0], rel=0.05)


@pytest.mark.slow
def test_the_discriminator_learns_from_others_drawings_and_leaves_the_student_alone(
    batch: tuple[torch.Tensor, ...],
) -> None:
    recipe = Webtoon(Path(), crop=32, adversarial=0.5)
    student, judge = recipe.networks["student"], recipe.networks["discriminator"]
    adam = torch.optim.Adam(judge.parameters(), lr=3e-3)
    values = []
    for _ in range(30):
        (value,) = recipe.losses("discriminator", batch).values()
        adam.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        adam.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.5 * values[0]
    assert all(parameter.grad is None for parameter in student.parameters())
    own = [one.clone() for one in batch]
    own[1], own[2] = own[1] * 0, own[2] * 0  # the student's own targets play no part
    assert realness(recipe, tuple(own)) == pytest.approx(realness(recipe, batch), rel=1e-3)
    own[3], own[4] = own[3] * 0, own[4] * 0
    assert realness(recipe, tuple(own)) != pytest.approx(realness(recipe, batch), rel=1e-2)


def realness(recipe: Webtoon, batch: tuple[torch.Tensor, ...]) -> float:
    torch.manual_seed(1)
    recipe.networks["discriminator"].eval()
    with torch.no_grad():
        return float(*recipe.losses("discriminator", batch).values())


def test_the_discriminator_sees_a_checkerboard() -> None:
    torch.manual_seed(0)
    judge = Adversary(4, 8).eval()
    plain = torch.zeros(1, 4, 64, 64)
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 - 0.5).expand_as(plain)
    assert (judge(plain + 0.2 * board) - judge(plain)).abs().mean() > 1e-4
    assert judge(plain).shape == (1, 1, 8, 8)


def test_faces_are_drawn_unless_the_whole_photo_is_asked_for() -> None:
    assert [Drawing(look="filter").scope, Drawing(look="ink").scope] == ["face", "face"]
    assert Drawing(look="ink", scope="photo").resolved().scope == "photo"


FIELDS = {
    "green": (20, 90, 30),
    "light green": (60, 160, 70),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "sky": (120, 170, 220),
}


def field(name: str, kind: str, side: int = 256) -> Pixels:
    """A flat field of a colour, or nearly one: a sky that brightens, a wall with a camera's noise."""
    y, rng = np.mgrid[0:side, 0:side][0], np.random.default_rng(0)
    change = {"flat": 0 * y, "gradient": y / 16, "noise": rng.normal(0, 3, (side, side))}[kind]
    return (np.array(FIELDS[name]) + change[..., None]).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["flat", "gradient", "noise"])
@pytest.mark.parametrize("name", FIELDS)
def test_a_plain_field_around_a_face_stays_plain(name: str, kind: str) -> None:
    """The window of a face that was drawn stood out as a dome of another light."""
    photo = field(name, kind)
    result = np.asarray(Pipeline([Drawing(look="filter")], detector=FakeDetector())(photo).image)
    difference = cv2.blur(result.astype(np.float32) - photo, (9, 9))
    assert np.abs(difference).max() < 5


@pytest.mark.parametrize("name", FIELDS)
def test_a_plain_photo_is_drawn_plain(name: str) -> None:
    result = np.asarray(Pipeline([Drawing(scope="photo")], detector=FakeDetector([]))(field(name, "flat")).image)
    assert np.ptp(result, axis=(0, 1)).max() <= 4


def test_a_head_before_a_plain_wall_has_no_halo(small_head: Pixels) -> None:
    y, x = np.mgrid[: small_head.shape[0], : small_head.shape[1]]
    radius = np.hypot((x - 120) / 52, (y - 100) / 78)[..., None]
    photo = np.where(radius < 1, small_head, np.array(FIELDS["light green"])).astype(np.uint8)
    result = np.asarray(Pipeline([Drawing(look="filter")])(photo).image).astype(int)
    wall = (radius > 1.14) & (y[..., None] < 180)
    assert (result[radius[..., 0] < 0.8] != photo[radius[..., 0] < 0.8]).any()
    assert np.abs(np.where(wall, result - photo, 0)).max() <= 6


def test_the_face_is_no_plain_background(small_head: Pixels) -> None:
    light = torch.nn.functional.adaptive_avg_pool2d(to_faces(small_head), 32)
    light[:, :, 10:20, 10:20] = 0.9  # a forehead without a shade: plain, but the head lies around it
    assert plain_background(light)[..., 9:21, 9:21].max() == 0
    assert plain_background(torch.full((1, 3, 32, 32), 0.3)).min() == 1
