"""L*a*b*, the painter and the dye, against scikit-image and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from ganchain.colour.dyes import DYES, ramp
from ganchain.colour.filters import blur
from ganchain.colour.hair import dye
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.makeup import Look, colour, paint
from ganchain.colour.strands import SIDE_COMBED, combed
from ganchain.tensors import Pixels, to_faces, to_pixels


def test_lab_agrees_with_scikit_image(astronaut: Pixels) -> None:
    ours = to_lab(to_faces(astronaut))[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - rgb2lab(astronaut)).max() < 0.15


def test_lab_and_back_is_the_same_picture(astronaut: Pixels) -> None:
    assert (to_pixels(from_lab(to_lab(to_faces(astronaut))))[0] == astronaut).all()


def test_colours_are_written_as_in_css() -> None:
    assert colour("#ff0000") == pytest.approx((53.2, 80.1, 67.2), abs=0.1)
    assert colour("crimson") == pytest.approx(colour("#dc143c"))
    with pytest.raises(ValueError, match="'reddish' is no colour"):
        colour("reddish")


def test_a_scaled_look_keeps_its_colours_and_shapes() -> None:
    look = Look((40, 50, 20), lids_amount=0.4, gradient=0.7, liner=1.0, contour=0.2)
    half = look.scaled(0.5)
    assert (half.lips, half.gradient) == (look.lips, look.gradient)
    assert (half.lids_amount, half.liner, half.contour) == (0.2, 0.5, 0.1)
    assert look.scaled(1, frozenset({"liner"})) == Look((40, 50, 20), gradient=0.7, liner=1.0)


def test_paint_changes_only_where_its_maps_are(astronaut: Pixels) -> None:
    face = to_faces(astronaut[60:188, 160:288])
    maps = torch.zeros(1, 11, 128, 128)
    maps[:, 0, 80:95, 50:80] = 1
    look = Look(lips=colour("#a02030"), lips_amount=1.0)
    painted = paint(face, maps, look)
    changed = (painted - face).abs().amax(dim=1)[0] > 1e-5
    assert changed[80:95, 50:80].float().mean() > 0.95
    changed[80:95, 50:80] = False
    assert not changed.any()
    assert torch.equal(paint(face, maps, Look()), face)


@pytest.mark.parametrize("name", DYES)
def test_dyed_hair_has_the_colour_and_keeps_its_strands(astronaut: Pixels, name: str) -> None:
    face = to_faces(astronaut[20:84, 190:254])  # hair
    matte = torch.zeros(1, 1, 64, 64)
    matte[:, :, :, 16:] = 1
    dyed = dye(face, matte, DYES[name])
    assert torch.equal(dyed[..., :16], face[..., :16])
    lightness = to_lab(dyed)[0, 0, :, 16:]
    assert abs(float(lightness.mean()) - DYES[name].lightness) < 8
    before = to_lab(face)[0, 0, :, 16:]
    assert np.corrcoef(lightness.flatten(), before.flatten())[0, 1] > 0.9


def test_natural_hair_is_as_rich_as_the_photo_and_other_colours_are_as_asked() -> None:
    """Blond beside an orange face would else look grey."""
    chroma = {}
    for skin in ((62.0, 12.0, 14.0), (62.0, 30.0, 35.0)):
        lab = torch.tensor(skin).view(1, 3, 1, 1).expand(1, 3, 128, 128).clone()
        lab[:, :, :40] = torch.tensor((12.0, 1.0, 2.0)).view(1, 3, 1, 1)
        matte = torch.zeros(1, 1, 128, 128)
        matte[:, :, :40] = 1
        for name in ("blond", "blue"):
            chroma[name, skin[1]] = to_lab(dye(from_lab(lab), matte, DYES[name]))[0, 1:, 4:36].mean(dim=(1, 2)).norm()
    assert 1.05 < chroma["blond", 30.0] / chroma["blond", 12.0] < 1.3
    assert abs(chroma["blue", 30.0] / chroma["blue", 12.0] - 1) < 1e-3


def test_faint_strands_come_out_when_dark_hair_is_bleached() -> None:
    """Those that the photo shows, not drawn ones."""
    columns = torch.arange(128.0).expand(128, 128)
    own = torch.sin(columns / 0.9)
    lab = torch.stack([12 + 1.2 * own, 1 + 0 * own, 2 + 0 * own])[None]
    made = to_lab(dye(from_lab(lab), torch.ones(1, 1, 128, 128), DYES["blond"]))[0, 0]
    strength = (made * own).mean() / own.square().mean()
    assert strength > 1.5 * 2.4 * 1.2


@pytest.mark.parametrize(("sigma", "apart"), [(0.7, 1e-5), (5.0, 1e-5), (24.0, 4e-3)])
def test_a_blur_is_the_same_with_gradients_and_without(sigma: float, apart: float) -> None:
    planes = torch.rand(2, 3, 150, 201, generator=torch.Generator().manual_seed(0))
    slow = blur(planes.requires_grad_(), sigma).detach()
    assert slow.shape == planes.shape and (blur(planes.detach(), sigma) - slow).abs().max() < apart


def test_strands_of_a_part_are_those_of_the_whole() -> None:
    angle = torch.full((1, 1, SIDE_COMBED // 4, SIDE_COMBED // 4), 1.2)  # drawn twice as large
    whole = combed(angle, (3.0, 5.0), (..., slice(0, 576), slice(0, 576)))
    part = combed(angle, (3.0, 5.0), (..., slice(100, 230), slice(310, 500)))
    assert torch.allclose(whole[..., 200:460, 620:1000], part, atol=1e-4) and 0.7 < whole.std() < 1


def test_a_ramp_is_straight_between_its_points_and_flat_beyond() -> None:
    dyed = DYES["blond"]
    points = torch.tensor(dyed.ramp)
    at = torch.linspace(-20, 120, 281)[None, None, None]
    for channel in (1, 2):
        wanted = np.interp(at.flatten().numpy(), points[:, 0].numpy(), points[:, channel].numpy())
        assert np.abs(ramp(at, dyed)[0, channel - 1, 0].numpy() - wanted).max() < 1e-3
