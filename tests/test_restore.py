"""Restoring: pictures spoilt on purpose, the networks that mend them, their recipes, and the stage."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ganchain.checkpoints import architectures, manifest
from ganchain.evaluate.spoilt import RECIPES
from ganchain.nets.restorer import Restorer, share_needed, spread
from ganchain.nets.upscaler import Upscaler, add_shuffled
from ganchain.photos import images
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.restore import Restore as Stage
from ganchain.stages.upscale import Upscale
from ganchain.tensors import Pixels, bicubic, resize, to_faces, to_pixels
from ganchain.testing import FakeDetector
from ganchain.train import recipes
from ganchain.train.datasets import spoilt
from ganchain.train.upscale import psnr


@pytest.fixture
def portrait(astronaut: Pixels) -> Tensor:
    return to_faces(astronaut[:256, 96:352])


@pytest.mark.parametrize("halved", [True, False])
@pytest.mark.parametrize("quality", [20, 50, 90])
def test_jpeg_is_what_libjpeg_leaves(portrait: Tensor, quality: int, halved: bool) -> None:
    stream = BytesIO()
    Image.fromarray(to_pixels(portrait)[0]).save(stream, "JPEG", quality=quality, subsampling=2 if halved else 0)
    real = to_faces(np.asarray(Image.open(stream)))
    ours = spoilt.jpeg(portrait, torch.full((1, 1, 1, 1), float(quality)), halved)
    assert float(psnr(ours, real)) > 42
    assert float(psnr(real, portrait)) == pytest.approx(float(psnr(ours, portrait)), abs=0.3)


def test_blur_keeps_the_light_and_noise_its_mean(portrait: Tensor) -> None:
    torch.manual_seed(0)
    assert float((spoilt.blurred(portrait, 1.0, 3.0, share=1) - portrait).mean()) == pytest.approx(0, abs=0.01)
    noisy = spoilt.noisy(portrait.expand(8, -1, -1, -1), 1.0, 15.0)
    assert float((noisy - portrait).mean()) == pytest.approx(0, abs=0.002)
    assert float((noisy - portrait).std()) > 0.005


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_spoilt_pictures_have_eight_bits_and_their_size(portrait: Tensor, factor: int) -> None:
    portrait = portrait[:, :, :128, :128]
    torch.manual_seed(factor)
    pictures, quality = spoilt.spoil(portrait.expand(2, -1, -1, -1), factor)
    assert pictures.shape == (2, 3, 128 // factor, 128 // factor)
    torch.testing.assert_close(to_faces(to_pixels(pictures)), pictures, rtol=0, atol=1e-6)
    assert bool(((quality >= 30) & (quality <= 100)).all())
    torch.manual_seed(factor)
    assert torch.equal(spoilt.spoil(portrait.expand(2, -1, -1, -1), factor)[0], pictures)  # all from torch's seed


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_of_the_figures_are_fixed(name: str, astronaut: Pixels) -> None:
    photo = astronaut[:128, 128:256]
    made = RECIPES[name](photo, 3)
    assert made.pixels.shape[0] * made.factor == made.clean.shape[0] == 128
    assert np.array_equal(made.pixels, RECIPES[name](photo, 3).pixels)
    assert not np.array_equal(made.pixels, RECIPES[name](photo, 4).pixels)


@pytest.mark.parametrize("place", [0, 4])
def test_the_network_reads_its_sizes_from_the_tensors(place: int) -> None:
    net = Restorer((8, 12, 16), (1, 0, 2), (1, 4), place)
    again = Restorer.from_tensors(net.state_dict())
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert again.factors == [1, 4]
    for factor in again.factors:
        torch.testing.assert_close(again(picture, factor), net(picture, factor))
    assert architectures.recognise({"a": net.state_dict()})[0] == "restorer"


def test_it_begins_as_bicubic_and_takes_any_size() -> None:
    net = Restorer((8, 12, 16), (1, 1, 1))
    picture = torch.rand(1, 3, 21, 34) * 2 - 1
    with torch.inference_mode():
        for factor in net.factors:
            plain = picture if factor == 1 else bicubic(picture, factor)
            torch.testing.assert_close(net(picture, factor), plain)
        assert net.measure(picture).shape == (1,)


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (10, 12)])
def test_detail_is_added_in_place_as_pixel_shuffle_does(size: tuple[int, int]) -> None:
    height, width = size
    picture, detail = torch.rand(2, 3, height, width), torch.rand(2, 12, -(-height // 4) * 2, -(-width // 4) * 2)
    plain = picture + torch.nn.functional.pixel_shuffle(detail, 2)[:, :, :height, :width]
    assert torch.equal(add_shuffled(picture.clone(), detail, 2), plain)


def test_gradients_go_through_both_ways_of_adding() -> None:
    net = Upscaler(8, 1)
    picture = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        net.get_parameter("heads.4.weight").normal_()
        plain = net(picture, 4)
    torch.testing.assert_close(net(picture, 4), plain)
    net(picture, 4).sum().backward()
    assert net.heads["4"].weight.grad is not None


@pytest.mark.parametrize("size", ["fast", "standard", "best"])
def test_sizes_of_the_upscaler_are_sharper_than_bicubic(size: str, portrait: Tensor) -> None:
    small = to_faces(to_pixels(resize(portrait, (64, 64))))
    with torch.inference_mode():
        stage = Upscale(size=size)  # type: ignore[arg-type]
        gain = psnr(stage(small), portrait) - psnr(bicubic(small, 4), portrait)
    assert stage.weights == (f"upscale-{size}", "restore")
    assert float(gain) > 1.5


def test_a_size_has_neither_detail_nor_other_weights() -> None:
    with pytest.raises(ValueError, match=r"detail: '0\.3' is not served"):
        Upscale(size="fast", detail=0.3)
    with pytest.raises(ValueError, match="weights: 'upscale' is not served"):
        Upscale(size="fast", weights="upscale")


@pytest.mark.parametrize("scope", ["face", "photo"])
def test_a_spoilt_picture_is_mended_and_a_clean_one_left_alone(scope: str, portrait: Tensor) -> None:
    torch.manual_seed(2)
    stage = Stage(scope=scope)  # type: ignore[arg-type]
    noisy = spoilt.jpeg(portrait + torch.randn_like(portrait) * 14 / 127.5, torch.full((1, 1, 1, 1), 40.0))
    with torch.inference_mode():
        assert float(psnr(stage(noisy), portrait) - psnr(noisy, portrait)) > 1
        assert float((stage(portrait) - portrait).abs().max()) < 0.02
        for amount, far in ((0.0, 0.0), (1.0, 0.001)):
            changed = Stage(scope=scope, amount=amount)(portrait) - portrait  # type: ignore[arg-type]
            assert float(changed.abs().mean()) >= far
            assert amount or torch.equal(changed, torch.zeros_like(changed))


def test_grey_stays_grey(portrait: Tensor) -> None:
    grey = portrait.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    noisy = spoilt.rounded(grey + torch.randn_like(grey[:, :1]) * 0.1)
    with torch.inference_mode():
        for scope in ("face", "photo"):
            restored = Stage(scope=scope, amount=1.0)(noisy)  # type: ignore[arg-type]
            assert float((restored.amax(dim=1) - restored.amin(dim=1)).max()) < 1e-6


@pytest.mark.parametrize("name", ["restore", "restore-face"])
def test_both_losses_move_the_student(name: str, heads: Path) -> None:
    torch.manual_seed(0)
    recipe = recipes.build(name, heads, ["batch=2"])
    recipe.load(manifest.load(name).tensors)
    batch = torch.utils.data.default_collate([recipe.dataset("train")[i] for i in (0, 1)])
    terms = recipe.losses("student", batch)
    assert list(terms) == ["pixel", "gauge"]
    first = next(iter(recipe.networks["student"].parameters()))
    for term in terms.values():
        (gradient,) = torch.autograd.grad(term, first, retain_graph=True)
        assert float(gradient.abs().sum()) > 0


def test_the_quality_of_a_file_is_read_off_its_table(portrait: Tensor, tmp_path: Path) -> None:
    pixels = to_pixels(portrait)[0]
    for quality in (30, 50, 75, 92):
        Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=quality)
        assert images.read(tmp_path / "photo.jpg").quality == pytest.approx(quality, abs=1)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert images.read(tmp_path / "photo.png").quality is None and images.read(pixels).quality is None


def resaved(pixels: Pixels, kind: str, quality: int) -> Pixels:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def spoilt_photo(photo: Pixels) -> Pixels:
    """A photo as a messenger sends it on: of half the size, through JPEG, then WebP."""
    height, width = (side // 2 for side in photo.shape[:2])
    return resaved(resaved(np.asarray(Image.fromarray(photo).resize((width, height))), "JPEG", 60), "WEBP", 50)


def test_auto_sees_what_is_spoilt_and_says_so(astronaut: Pixels, tmp_path: Path) -> None:
    pipeline = Pipeline([Upscale(factor=2)], detector=FakeDetector([]))
    clean, spoilt_ = pipeline(astronaut[:256, :256]), pipeline(spoilt_photo(astronaut))
    assert clean.decided == {"upscale": [{"restore": 0.0}]}
    assert spoilt_.decided["upscale"][0]["restore"] > 0.9
    today = Pipeline([Upscale(factor=2, restore=0)], detector=FakeDetector([]))(astronaut[:256, :256])
    assert np.array_equal(np.asarray(clean.image), np.asarray(today.image)) and not today.decided


def test_a_coarse_table_asks_for_repair_by_itself(astronaut: Pixels, tmp_path: Path) -> None:
    net = Restorer.from_tensors(manifest.load("restore").tensors)
    with torch.inference_mode():
        assert share_needed(net, astronaut) == 0
        assert share_needed(net, astronaut, 90) == 0
        assert share_needed(net, astronaut, 60) == pytest.approx(0.6)
        assert share_needed(net, astronaut, 40) == 1


class Measured(Restorer):
    """Knows what windows are measured, by the colour of their first px."""

    def __init__(self, odds: NDArray[np.float32]) -> None:
        super().__init__((8, 8), (1, 1))
        self.odds, self.calls = odds, 0

    def measure(self, x: Tensor) -> Tensor:
        self.calls += 1
        return torch.tensor([self.odds[int((x[0, 0, 0, 0] + 1) * 127.6)]])


@pytest.mark.parametrize("seed", range(30))
def test_no_more_windows_are_measured_than_decide(seed: int) -> None:
    odds = np.random.default_rng(seed).normal((-2, 0, 2)[seed % 3], 2, 9).astype(np.float32)
    net, photo = Measured(odds), np.zeros((900, 900, 3), np.uint8)
    photo[np.ix_(spread(900), spread(900))] = np.arange(9).reshape(3, 3, 1)
    assert share_needed(net, photo) == pytest.approx(float(np.clip(0.5 + np.median(odds) / 2, 0, 1)))
    assert 5 <= net.calls <= 9


@pytest.mark.parametrize(
    ("odds", "share", "calls"), [((-6, 9, 9, 9), 0, 1), ((6, -9, -9, -9), 1, 1), ((-2, 2, 0, -2), 0, 4)]
)
def test_one_window_that_is_sure_is_enough_where_they_overlap(
    odds: tuple[float, ...], share: float, calls: int
) -> None:
    net, photo = Measured(np.array(odds, np.float32)), np.zeros((400, 400, 3), np.uint8)
    photo[np.ix_(spread(400), spread(400))] = np.arange(4).reshape(2, 2, 1)
    assert (share_needed(net, photo), net.calls) == (share, calls)


def test_upscale_restores_while_it_enlarges(astronaut: Pixels) -> None:
    small = to_faces(spoilt_photo(astronaut[:256, 96:352]))
    clean = to_faces(astronaut[:256, 96:352])
    with torch.inference_mode():
        plain, half, full = (Upscale(factor=2, detail=0, restore=share)(small) for share in (0, 0.5, 1))
    torch.testing.assert_close(half, (plain + full) / 2)
    assert float(psnr(full, clean) - psnr(plain, clean)) > 0.5
    with pytest.raises(ValueError, match="restore: 'auto' is not served"):
        Upscale(weights="upscale", restore="auto")


def test_a_photo_without_a_face_is_restored_as_a_whole(astronaut: Pixels) -> None:
    photo = spoilt_photo(astronaut)[:128, :128]
    pipeline = Pipeline([Stage(scope="face"), Stage(scope="photo")], detector=FakeDetector([]))
    result = pipeline(photo)
    assert result.status == "ok" and "restore" not in result.decided
    assert result.decided["restore-2"][0]["amount"] > 0.9
    assert not np.array_equal(np.asarray(result.image), photo)


def test_each_face_says_what_it_took(astronaut: Pixels) -> None:
    decided = Pipeline([Stage()], detector=FakeDetector())(astronaut).decided
    assert [list(row) for row in decided["restore"]] == [["amount"]]


def test_a_window_is_judged_wherever_the_photo_is_larger() -> None:
    assert spread(100) == spread(256) == [0]
    assert spread(300) == [0, 44] and spread(5000) == [0, 2372, 4744]


@pytest.mark.slow
def test_a_restorer_costs_a_twentieth_of_real_esrgan() -> None:
    for name, factor, side in (("restore", 4, 64), ("restore-face", 1, 256)):
        net = Restorer.from_tensors(manifest.load(name).tensors)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, side, side), factor)
        assert counter.get_total_flops() / 2 * (256 / side) ** 2 <= 79e9 / 20


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_restoring_moves_nothing(factor: int, astronaut: Pixels) -> None:
    clean = astronaut[:256, 96:352]
    small = cv2.resize(clean, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA).astype(np.uint8)
    net = Restorer.from_tensors(manifest.load("restore").tensors)
    with torch.inference_mode():
        restored = to_pixels(net(to_faces(resaved(small, "JPEG", 70)), factor))[0]
    window = cv2.createHanningWindow((256, 256), cv2.CV_64F)
    (right, down), _ = cv2.phaseCorrelate(restored.mean(axis=2), clean.mean(axis=2), window)
    assert abs(right) < 0.1 and abs(down) < 0.1
