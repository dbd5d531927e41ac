"""Painter of makeup: soft region maps and a look in, a painted face out.

A look is fifteen numbers in CIE Lab. Colours of lips are absolute; those of lids and cheeks are relative to the face's
own skin, so that a look fits every skin colour. Regions are matched by their moments, a soft form of BeautyGAN's
histogram matching (Li et al. 2018): a region that already has the colour of the look stays as it is.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageColor
from torch import Tensor

from ganchain.colour.lab import from_lab, to_lab
from ganchain.tensors import to_faces

Lab = tuple[float, float, float]

REGIONS = ("lips", "lids", "liner", "brows", "cheeks", "skin")  # the channels of all maps, in this order
AMOUNTS = (3, 7, 11, 12, 13, 14)  # places of the amounts in a look's fifteen numbers
SKIN: Lab = (65.0, 14.0, 18.0)  # the skin that plain colours are meant for
BARE_LASHES, LINED_LASHES = 0.27, 0.55  # by how much a lash line is darker than the lid, without and with liner
BARE_BROWS, FILLED_BROWS = 0.40, 0.60  # the same for brows against the skin; bare: the median of women
BOLDER = 1.3  # eyeshadow fades towards its rim; its middle is this much stronger than the mean that is read
COVER = 0.6  # share of the lips' own uneven lightness that lipstick hides
FAINT = 0.06  # share from which a pixel counts as lips


@dataclass(frozen=True)
class Look:
    """Makeup look; every amount is 0 (nothing) .. 1 (fully).

    Attributes:
        lips: the Lab colour the lips' mean moves to.
        lids, cheeks: Lab difference from the face's own skin that their mean moves to (L for skin of L = 65).
        liner, brows: how much they are darkened.
        evenness: how much of the skin's blotches goes; pores and edges stay.
    """

    lips: Lab = SKIN
    lips_amount: float = 0.0
    lids: Lab = (0.0, 0.0, 0.0)
    lids_amount: float = 0.0
    cheeks: Lab = (0.0, 0.0, 0.0)
    cheeks_amount: float = 0.0
    liner: float = 0.0
    brows: float = 0.0
    evenness: float = 0.0

    def tensor(self) -> Tensor:
        """Return the fields in order, colours as three numbers each: (15,) float32."""
        parts = (field if isinstance(field, tuple) else (field,) for field in astuple(self))
        return torch.tensor([number for part in parts for number in part])

    @classmethod
    def from_tensor(cls, numbers: Tensor) -> Look:
        """Build the look whose ``tensor()`` is ``numbers`` (15,)."""
        n = [float(number) for number in numbers]
        colours = ((n[0], n[1], n[2]), (n[4], n[5], n[6]), (n[8], n[9], n[10]))
        return cls(colours[0], n[3], colours[1], n[7], colours[2], n[11], n[12], n[13], n[14])


def colour(text: str) -> Lab:
    """Convert a colour, "#rrggbb" or its name in CSS, to Lab.

    Raises:
        ValueError: it is neither.
    """
    try:
        pixel = np.array([[ImageColor.getrgb(text)[:3]]], dtype=np.uint8)
    except ValueError as error:
        raise ValueError(f'{text!r} is no colour; write "#a02030" (in quotes) or a name such as crimson') from error
    lightness, a, b = to_lab(to_faces(pixel)).flatten().tolist()
    return lightness, a, b


def on_skin(text: str) -> Lab:
    """Convert a colour to its Lab difference from ``SKIN``: lids and cheeks are painted with it."""
    lightness, a, b = colour(text)
    return lightness - SKIN[0], a - SKIN[1], b - SKIN[2]


def scale_amounts(looks: Tensor, strength: float) -> Tensor:
    """Multiply all amounts of looks (N, 15) by ``strength``; the colours stay."""
    factor = looks.new_ones(15)
    factor[list(AMOUNTS)] = strength
    return looks * factor


def paint(faces: Tensor, maps: Tensor, looks: Tensor) -> Tensor:
    """Paint ``looks`` (N, 15) on ``faces`` (N, 3, H, W) -1..1 in the regions ``maps`` (N, 6, H, W) 0..1.

    Returns:
        Painted faces (N, 3, H, W) -1..1.
    """
    lab = to_lab(faces)
    lips, lids, liner, brows, cheeks, skin = maps[:, :, None].unbind(dim=1)
    numbers = looks[:, :, None, None]
    own_skin = _mean(lab, skin)
    lips_look, lids_look, cheeks_look = numbers[:, 0:4], numbers[:, 4:8], numbers[:, 8:12]
    change = (
        lips * lips_look[:, 3:] * _lips_change(lab, lips, _mean(lab, lips, own_skin), lips_look[:, :3])
        + lids * lids_look[:, 3:] * _skin_change(_mean(lab, lids, own_skin), own_skin, lids_look[:, :3])
        + cheeks * cheeks_look[:, 3:] * _skin_change(_mean(lab, cheeks, own_skin), own_skin, cheeks_look[:, :3])
        + skin * numbers[:, 14:15] * _evening_change(lab, skin)
        - (0.7 * numbers[:, 12:13] * liner + 0.4 * numbers[:, 13:14] * brows) * lab
    )
    return (faces + (from_lab(lab + change) - from_lab(lab))).clamp(-1, 1)


def read_look(faces: Tensor, maps: Tensor) -> Tensor:
    """Read the look that painted ``faces`` (N, 3, H, W) -1..1 wear, in the regions ``maps`` (N, 6, H, W) -> (N, 15).

    Differences of lightness are taken as on skin of L = 65, that of the lips halfway: how dark a lip is
    depends on the lipstick and on the exposure.
    """
    lab = to_lab(faces)
    lips, lids, liner, brows, cheeks, skin = maps[:, :, None].unbind(dim=1)
    own_skin = _mean(lab, skin)
    lid = _mean(lab, lids, own_skin)
    light = SKIN[0] / own_skin[:, :1].clamp(min=30)
    gain = torch.cat([light, torch.ones_like(light), torch.ones_like(light)], dim=1)
    shadow, blush = (gain * (_mean(lab, m.square(), own_skin) - own_skin) for m in (lids, cheeks))
    mouth = _mean(lab, lips, own_skin)
    mouth = torch.cat([light.sqrt() * mouth[:, :1], mouth[:, 1:]], dim=1)
    dark = 1 - _mean(lab, liner, lid)[:, :1] / lid[:, :1].clamp(min=1)
    line = ((dark - BARE_LASHES) / (LINED_LASHES - BARE_LASHES)).clamp(0, 1)
    dark = 1 - _mean(lab, brows.square(), own_skin)[:, :1] / own_skin[:, :1].clamp(min=1)
    filled = ((dark - BARE_BROWS) / (FILLED_BROWS - BARE_BROWS)).clamp(0, 1)
    full = torch.ones_like(line)
    parts = [mouth, 0.9 * full, BOLDER * shadow, full, blush, full, line, filled, 0.5 * full]
    return torch.cat(parts, dim=1)[:, :, 0, 0]


def _mean(lab: Tensor, weight: Tensor, fallback: Tensor | None = None) -> Tensor:
    """Compute the weighted mean colour (N, 3, 1, 1); an (almost) empty region takes the ``fallback``."""
    total, sums = weight.sum(dim=(2, 3), keepdim=True), (lab * weight).sum(dim=(2, 3), keepdim=True)
    trust = 1e-3 * weight.shape[2] * weight.shape[3] / 4
    return sums / total.clamp(min=1e-3) if fallback is None else (sums + trust * fallback) / (total + trust)


def _lips_change(lab: Tensor, lips: Tensor, mean: Tensor, colour: Tensor) -> Tensor:
    """Compute the change that moves the lips' mean to ``colour``.

    The lightness keeps its detail, the colour follows it, highlights stay white. Lipstick covers: a dark upper lip
    above a pale lower one, as on dark skin, takes its colour as well.
    """
    radius = lab.shape[3] // 32
    local_mean = _box(lab[:, :1] * lips, radius) / _box(lips, radius).clamp(min=1e-2)
    covered = COVER * (mean[:, :1] - local_mean).clamp(-8, 16) * (lips > FAINT)
    lightness = lab[:, :1] + covered + 0.9 * (colour[:, :1] - mean[:, :1]).clamp(max=8)
    shade = (lightness / colour[:, :1].clamp(min=15)).clamp(0.4, 1.1)  # darker folds are less colourful
    shine = ((100 - lab[:, :1]) / 25).clamp(0, 1)
    return (torch.cat([lightness, shade * colour[:, 1:].expand_as(lab[:, 1:])], dim=1) - lab) * shine


def _skin_change(mean: Tensor, skin: Tensor, shift: Tensor) -> Tensor:
    """Compute the change that moves the mean of lids or cheeks to the face's own skin plus ``shift``.

    They never become much lighter than they were. The greyer the look's colour, the less of the skin's own colour is
    left in it: black must not turn blue on pale skin.
    """
    usual = shift.new_tensor(SKIN)[None, :, None, None]
    chroma = usual[:, 1:] + shift[:, 1:]
    skin_share = (chroma.norm(dim=1, keepdim=True) / usual[:, 1:].norm()).clamp(max=1)
    lightness = skin[:, :1] * (1 + shift[:, :1] / SKIN[0]) - mean[:, :1]
    return torch.cat([lightness.clamp(max=3), chroma + skin_share * (skin - usual)[:, 1:] - mean[:, 1:]], dim=1)


def _evening_change(lab: Tensor, skin: Tensor, radius: int = 7, edge: float = 7.0) -> Tensor:
    """Compute the low-frequency change that evens skin, by a guided filter (He et al. 2010) led by lightness.

    It runs at half size (fast guided filter, He & Sun 2015), so the finer half of the spectrum is never touched.
    Lightness differences well above ``edge`` (in L) stay.
    """
    small, weight = F.avg_pool2d(lab, 2), F.avg_pool2d(skin, 2) + 1e-3
    total = _box(weight, radius)
    guide = small[:, :1]
    mean = _box(small * weight, radius) / total
    covariance = _box(small * guide * weight, radius) / total - mean * mean[:, :1]
    slope = covariance / (covariance[:, :1] + edge**2)
    offset = mean - slope * mean[:, :1]
    slope, offset = (_box(part * weight, radius) / total for part in (slope, offset))
    change = _box(slope * guide + offset - small, 1)
    return F.interpolate(change, scale_factor=2.0, mode="bilinear", align_corners=False)


def _box(x: Tensor, radius: int) -> Tensor:
    """Average over a square window of 2 * radius + 1 px, cut off at the rim."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(x, (side, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, radius), count_include_pad=False)
