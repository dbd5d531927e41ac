"""Upscaling: networks merged after training, the choice between fidelity and detail, and its two recipes' losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.checkpoints import manifest
from ganchain.nets.upscaler import Upscaler
from ganchain.stages.upscale import Upscale as Stage
from ganchain.tensors import Pixels, bicubic, to_faces
from ganchain.train import mergeable, recipes
from ganchain.train.upscale import Upscale
from ganchain.train.upscale_detail import UpscaleDetail, texture


@pytest.fixture
def small(astronaut: Pixels) -> Tensor:
    return to_faces(astronaut[100:148, 200:248])


def varied(net: nn.Module) -> nn.Module:
    """Every parameter moved, so that no branch adds nothing."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def test_branches_merge_to_the_same_pictures(small: Tensor) -> None:
    net = varied(mergeable.add_branches(Upscaler(8, 3)))
    merged = Upscaler.from_tensors(mergeable.merge_branches(net))
    for factor in (2, 4):
        torch.testing.assert_close(merged(small, factor), net(small, factor))
    assert set(merged.state_dict()) == set(Upscaler(8, 3).state_dict())


@pytest.mark.slow
def test_branches_begin_by_adding_nothing_and_all_of_them_learn(small: Tensor) -> None:
    torch.manual_seed(0)
    plain = Upscaler(8, 3)
    varied(plain)
    net = mergeable.add_branches(Upscaler(8, 3))
    mergeable.load(net, plain.state_dict())
    torch.testing.assert_close(net(small, 4), plain(small, 4), rtol=0, atol=0)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(2):  # the second 3 x 3 begins at zero, so its 1 x 1 learns from the second step on
        optimiser.zero_grad()
        (net(small, 4).square().mean() + net(small, 2).square().mean()).backward()
        optimiser.step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in net.named_parameters())


def test_weights_of_another_shape_are_refused() -> None:
    net = mergeable.add_branches(Upscaler(8, 3))
    with pytest.raises(KeyError, match=r"body\.8"):
        mergeable.load(net, Upscaler(8, 4).state_dict())
    with pytest.raises(RuntimeError, match="size"):
        mergeable.load(net, Upscaler(6, 3).state_dict())


def test_detail_goes_from_one_training_to_the_other(small: Tensor) -> None:
    with torch.inference_mode():
        ends = [Upscaler.from_tensors(manifest.load(key).tensors)(small, 4) for key in ("upscale", "upscale-detail")]
        shown = {detail: Stage(detail=detail)(small) for detail in (0.0, 0.25, 0.5, 1.0)}
        plain = Stage()(small)
    torch.testing.assert_close(shown[0.0], ends[0])
    torch.testing.assert_close(shown[1.0], ends[1])
    torch.testing.assert_close(shown[0.5], plain)
    away = [float((shown[detail] - ends[0]).abs().mean()) for detail in shown]
    assert 0 == away[0] < away[1] < away[2] < away[3]
    assert texture(ends[1]) > 1.05 * texture(ends[0])


def test_detail_belongs_to_the_bundled_weights() -> None:
    with pytest.raises(ValueError, match=r"detail: '0\.3' is not served"):
        Stage(weights="upscale-detail", detail=0.3)
    assert Stage(detail=0, restore=0).weights == ("upscale",)
    assert Stage(detail=1).weights == ("upscale-detail", "restore")
    assert Stage().weights == ("upscale", "upscale-detail", "restore")
    assert Stage(weights="upscale").weights == ("upscale",)


def test_luma_weighs_green_most() -> None:
    recipe = Upscale(Path())
    red, green = (torch.eye(3)[c][None, :, None, None].expand(1, 3, 4, 4) for c in (0, 1))
    assert float(recipe.pixel_loss(red)) == pytest.approx((1 / 3 + 0.299) / 2)
    assert float(recipe.pixel_loss(green)) == pytest.approx((1 / 3 + 0.587) / 2)


def test_the_adversary_sees_other_windows_than_the_student(heads: Path) -> None:
    torch.manual_seed(0)
    recipe = recipes.build("upscale-detail", heads, ["crop=16", "batch=2"])
    assert isinstance(recipe, UpscaleDetail)
    batch = torch.utils.data.default_collate([recipe.dataset("train")[i] for i in (0, 5)])
    seen: list[Tensor] = []
    recipe.networks["discriminator"].register_forward_pre_hook(lambda net, given: seen.append(given[0].detach()))
    terms = recipe.losses("discriminator", batch)
    assert torch.equal(seen[0], batch[0][1])  # the real ones: not the pair's own photos
    assert seen[1].shape == batch[1][1].shape
    assert list(terms) == ["adversarial"]
    terms = recipe.losses("student", batch)
    assert list(terms) == ["pixel", "features", "adversarial"]
    for term in terms.values():  # each of them moves the student
        first = recipe.networks["student"].get_parameter("body.0.weight")
        (gradient,) = torch.autograd.grad(term, first, retain_graph=True)
        assert bool(gradient.isfinite().all())
        assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize("factor", [2, 4])  # of a third torch rounds the coordinates: 3e-6
def test_bicubic_is_torch_s_own(factor: int) -> None:
    picture = torch.rand(2, 3, 17, 23, generator=torch.Generator().manual_seed(factor)) * 2 - 1
    own = bicubic(picture, factor)
    learning = bicubic(picture.requires_grad_(), factor)
    assert learning.requires_grad
    torch.testing.assert_close(own, learning.detach(), rtol=0, atol=1e-6)
    picture = picture.detach()
    plain = F.interpolate(picture, scale_factor=float(factor), mode="bicubic", align_corners=False)
    torch.testing.assert_close(own, plain, rtol=0, atol=1e-6)
