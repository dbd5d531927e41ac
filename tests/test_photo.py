"""Cut-outs and grey photos: what lies under the alpha is no picture, and what is grey comes back grey."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from ganchain.faces.detect import DlibDetector
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from ganchain.testing import FakeDetector

FILL = 170
HIDDEN = ("black", "white", "noise")
Y, X = np.mgrid[0:64, 0:80]
DISC = np.hypot(X - 40, Y - 32)
ALPHAS = {"hard": (DISC < 24) * 255, "soft": ((26 - DISC) * 80).clip(0, 255), "faint": (DISC < 24) * 90}


def under(kind: str, hidden: np.ndarray, pixels: Pixels) -> Pixels:
    """Put black, white or noise where ``hidden`` is true."""
    noise = np.random.default_rng(0).integers(0, 256, pixels.shape)
    return np.where(hidden[..., None], {"black": 0, "white": 255, "noise": noise}[kind], pixels).astype(np.uint8)


def cut_out(kind: str, alpha: str = "soft") -> Photo:
    """A disc of one colour on nothing."""
    plane = ALPHAS[alpha].astype(np.uint8)
    return Photo(under(kind, plane == 0, np.full((64, 80, 3), FILL, np.uint8)), plane)


def saved(photo: Photo, path: Path) -> Path:
    images.write(photo, path)
    return path


def apart(pixels: Pixels) -> int:
    """The largest difference of two channels, in levels."""
    return int((pixels.max(axis=2).astype(int) - pixels.min(axis=2)).max())


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("kind", HIDDEN)
def test_colours_spread_under_the_alpha(kind: str, alpha: str) -> None:
    photo = cut_out(kind, alpha)
    assert (photo.visible() == FILL).all() and photo.is_grey()
    assert replace(photo, alpha=None).visible() is photo.pixels


def test_the_nearest_colour_spreads() -> None:
    pixels, alpha = np.zeros((3, 9, 3), np.uint8), np.zeros((3, 9), np.uint8)
    pixels[:, 1], pixels[:, 7], alpha[:, 1], alpha[:, 7] = (200, 10, 10), (10, 10, 200), 255, 40
    visible = Photo(pixels, alpha).visible()
    assert (visible[:, :4] == (200, 10, 10)).all() and (visible[:, 5:] == (10, 10, 200)).all()
    empty = Photo(pixels, np.zeros_like(alpha))
    assert empty.visible() is pixels


@pytest.mark.parametrize("stage", [Upscale(), Upscale(factor=2, detail=1.0)], ids=["4", "2"])
@pytest.mark.parametrize("kind", HIDDEN)
def test_an_enlarged_cut_out_has_no_rim(kind: str, stage: Stage, tmp_path: Path) -> None:
    result = np.asarray(Pipeline([stage])(saved(cut_out(kind), tmp_path / "a.png")).image)
    assert result.shape[2] == 4 and 0 < (result[..., 3] == 255).mean() < 0.5
    assert np.abs(result[..., :3].astype(int) - FILL).max() <= 20


@pytest.mark.parametrize("mode", ["LA", "P", "colour key"])
def test_other_transparent_files_have_no_rim(mode: str, tmp_path: Path) -> None:
    image = images.to_image(cut_out("black", "hard"))
    if mode == "colour key":
        image.convert("RGB").save(tmp_path / "a.png", transparency=(0, 0, 0))
    else:
        (image.convert("LA") if mode == "LA" else image.quantize(8)).save(tmp_path / "a.png")
    photo = images.read(tmp_path / "a.png")
    assert photo.alpha is not None and photo.alpha.min() == 0
    result = np.asarray(Pipeline([Upscale(factor=2)])(tmp_path / "a.png").image)
    assert result.shape[2] == 4 and np.abs(result[..., :3].astype(int) - FILL).max() <= 20


@pytest.mark.parametrize("stage", [Webtoon(), Makeup(look="evening"), Attributes(age="old")], ids=lambda s: s.name)
def test_the_face_of_a_cut_out_does_not_depend_on_what_is_hidden(stage: Stage, small_head: Pixels) -> None:
    y, x = np.mgrid[: small_head.shape[0], : small_head.shape[1]]
    alpha = ((((x - 120) / 75) ** 2 + ((y - 115) / 100) ** 2 < 1) * 255).astype(np.uint8)
    photos = [Photo(under(kind, alpha == 0, small_head), alpha) for kind in HIDDEN]
    detector = FakeDetector(DlibDetector()(photos[0].visible()))
    results = [np.asarray(Pipeline([stage], detector=detector)(images.to_image(photo)).image) for photo in photos]
    shown = alpha > 0
    assert not np.array_equal(results[0][shown][:, :3], small_head[shown])
    for result in results[1:]:
        assert np.array_equal(result[shown], results[0][shown])


def test_hidden_pixels_that_no_stage_changed_keep_their_bits(small_head: Pixels) -> None:
    alpha = np.full(small_head.shape[:2], 255, np.uint8)
    alpha[:, :30] = alpha[:8] = 0
    photo = Photo(under("noise", alpha == 0, small_head), alpha)
    result = Pipeline([Makeup()])(images.to_image(photo))
    changed = (np.asarray(result.image)[..., :3] != photo.pixels).any(axis=2)
    assert result.status == "ok" and changed.any() and not changed[alpha == 0].any()


def test_faces_under_the_alpha_are_not_found(small_head: Pixels) -> None:
    alpha = np.zeros(small_head.shape[:2], np.uint8)
    alpha[:10] = 255
    assert Pipeline([Makeup()])(Image.fromarray(np.dstack([small_head, alpha]))).status == "no_face"


GREY = {
    "L": lambda grey: Image.fromarray(grey),
    "LA": lambda grey: Image.merge("LA", [Image.fromarray(grey), Image.fromarray(grey // 2 + 128)]),
    "1": lambda grey: Image.fromarray(grey).convert("1"),
    "16 bits": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "equal channels": lambda grey: Image.fromarray(grey).convert("RGB"),
    "grey palette": lambda grey: Image.fromarray(grey).convert("P"),
}


@pytest.mark.parametrize("mode", GREY)
def test_grey_files_are_known(mode: str, small_head: Pixels, tmp_path: Path) -> None:
    GREY[mode](np.asarray(Image.fromarray(small_head).convert("L"))).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").is_grey()
    assert not Photo(small_head).is_grey()


def test_a_grey_jpeg_with_a_profile_is_grey(small_head: Pixels, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(small_head).convert("L").convert("RGB").save(tmp_path / "a.jpg", icc_profile=profile, quality=80)
    assert images.read(tmp_path / "a.jpg").is_grey()


@pytest.fixture(scope="module")
def grey_head(small_head: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(small_head).convert("L").convert("RGB"))


@pytest.mark.parametrize(
    "stage",
    [
        Attributes(age="young"),
        Attributes(age="old", gender="male"),
        Attributes(hair="black"),
        Makeup(look="coral", lips=1.0),
        Webtoon(),
        Webtoon(scope="photo"),
        Upscale(factor=2, detail=1.0),
        Upscale(factor=2, scope="face"),
    ],
    ids=lambda stage: f"{stage.name} {stage.scope}",
)
def test_a_grey_photo_comes_back_grey(stage: Stage, grey_head: Pixels) -> None:
    result = np.asarray(Pipeline([stage])(grey_head).image)
    assert apart(result) == 0
    assert result.shape != grey_head.shape or (stage.effect == "enlarge") or (result != grey_head).any()


def test_a_named_colour_is_painted_and_nothing_else(grey_head: Pixels) -> None:
    lips = np.asarray(Pipeline([Makeup(look="evening", lips="crimson")])(grey_head).image)
    coloured = np.argwhere(np.ptp(lips, axis=2) > 12)
    (top, left), (bottom, right) = coloured.min(axis=0), coloured.max(axis=0)
    assert len(coloured) > 50 and bottom - top < 40 and right - left < 60, "only the mouth"
    mouth = lips[coloured[:, 0], coloured[:, 1]].mean(axis=0)
    assert mouth[0] > mouth[1] + 30 and mouth[0] > mouth[2]


def test_later_stages_keep_a_named_colour_and_add_none(grey_head: Pixels) -> None:
    blond = np.asarray(Pipeline([Attributes(hair="blond", age="young")])(grey_head).image)
    enlarged = Pipeline([Attributes(hair="blond", age="young"), Upscale(factor=2, detail=1.0)])(grey_head)
    before, after = np.ptp(blond, axis=2), np.ptp(np.asarray(enlarged.image), axis=2)
    assert before.max() > 50 and after.max() > 50
    near_colour = cv2.dilate((before > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
    assert near_colour.mean() < 0.8 and not (after * (1 - near_colour.repeat(2, 0).repeat(2, 1))).any()


def test_grey_and_coloured_photos_share_a_group(grey_head: Pixels, small_head: Pixels) -> None:
    pipeline = Pipeline([Attributes(age="young")])
    both = pipeline.group([grey_head, small_head])
    for result, photo in zip(both, (grey_head, small_head), strict=True):
        assert np.array_equal(np.asarray(result.image), np.asarray(pipeline(photo).image))
