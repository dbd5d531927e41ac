"""Painter of makeup: soft region maps and a look in, a painted face out.

Colours are in CIE Lab. Those of lids and cheeks are relative to the skin, and those of lips take on a share of how it
differs from usual skin, so that a look fits every skin colour and light. Regions are matched by their moments, a soft
form of BeautyGAN's histogram matching (Li et al. 2018): a region that already has the look's colour stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import ImageColor
from torch import Tensor

from ganchain.colour.filters import extent
from ganchain.colour.lab import from_lab, to_lab
from ganchain.tensors import resampled, to_faces

Lab = tuple[float, float, float]

# the channels of all maps, in this order; "inner" and "outline" are those of the lips, "surface" is all uncovered skin
REGIONS = ("lips", "lids", "liner", "brows", "cheeks", "skin")
FINER = ("inner", "outline", "contour", "highlight", "surface")
AMOUNTS = ("lips_amount", "lids_amount", "cheeks_amount", "liner", "brows", "evenness", "contour", "highlight")
SKIN: Lab = (65.0, 14.0, 18.0)  # the skin that plain colours are meant for
CONTOUR, HIGHLIGHT = (-11.0, 1.5, 2.5), (9.0, 0.5, 2.0)  # Lab, the same on such skin
OUTLINE = (-14.0, 3.0, 0.0)  # Lab, of lips
BARE_LASHES, LINED_LASHES = 0.27, 0.55  # by how much a lash line is darker than the lid, without and with liner
BARE_BROWS, FILLED_BROWS = 0.40, 0.60  # the same for brows against the skin; bare: the median of women
COVER = 0.6  # share of the lips' own uneven lightness that lipstick hides
FAINT = 0.06  # share from which a pixel counts as lips
COARSE, RADIUS = 128, 7 / 128  # px: the side at which skin is evened; share of it around a place that is looked at


@dataclass(frozen=True)
class Look:
    """Makeup look; every amount is 0 (nothing) .. 1 (fully).

    Attributes:
        lips: the Lab colour the lips' mean moves to.
        adapted: share of the difference in a and b between the face's skin and ``SKIN`` that this colour takes on.
        gradient: how much less of it the lips' rim has than their inside.
        outline: how much darker their outline is.
        lids, cheeks: Lab difference from the face's own skin that their mean moves to (L for skin of L = 65).
        liner, brows: how much they are darkened.
        contour, highlight: how much the hollow of the cheeks is darkened, and cheekbones and nose are lightened.
        evenness: how much of the skin's blotches goes; pores and edges stay.
    """

    lips: Lab = SKIN
    adapted: float = 0.0
    lips_amount: float = 0.0
    gradient: float = 0.0
    outline: float = 0.0
    lids: Lab = (0.0, 0.0, 0.0)
    lids_amount: float = 0.0
    cheeks: Lab = (0.0, 0.0, 0.0)
    cheeks_amount: float = 0.0
    liner: float = 0.0
    brows: float = 0.0
    contour: float = 0.0
    highlight: float = 0.0
    evenness: float = 0.0

    def scaled(self, strength: float, only: frozenset[str] = frozenset(AMOUNTS)) -> Look:
        """Return this look with the amounts named in ``only`` multiplied by ``strength``, and all others 0."""
        return replace(self, **{name: getattr(self, name) * strength * (name in only) for name in AMOUNTS})


class Laid(NamedTuple):
    """Makeup of another face, laid onto faces.

    Attributes:
        change: (N, 3, H, W) Lab, of the skin.
        lips: (N, 3, H, W) Lab, the colours that lips move to; None for the look's.
    """

    change: Tensor
    lips: Tensor | None


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


def paint(faces: Tensor, maps: Tensor, look: Look, laid: Laid | None = None) -> Tensor:
    """Paint a look on faces.

    Args:
        faces: (N, 3, H, W) -1..1.
        maps: (N, 11, H, W) 0..1, the regions ``REGIONS`` and ``FINER``.
        look: the look.
        laid: what is painted beside it; its lips take the place of the look's.

    Returns:
        Painted faces (N, 3, H, W) -1..1; places that no region reaches keep their bits.
    """
    lab = to_lab(faces)
    lips, lids, liner, brows, cheeks, skin, inner, outline, contour, highlight, _ = maps[:, :, None].unbind(dim=1)
    own_skin = mean_colour(lab, skin)
    if laid is None or laid.lips is None:
        target = _of(look.lips, lab) + look.adapted * (own_skin - _of(SKIN, lab)) * _of((0.0, 1.0, 1.0), lab)
    else:
        target = laid.lips
    if look.evenness:
        change = skin * (look.evenness * _evening_change(lab, skin))
    else:
        change = torch.zeros_like(lab)
    if look.lips_amount and (box := extent(lips)):
        target = (target if target.shape[2] == 1 else target[box]) + look.outline * outline[box] * _of(OUTLINE, lab)
        amount = look.lips_amount * (lips[box] - look.gradient * 0.75 * (lips[box] - inner[box]))
        change[box] += amount * _lips_change(
            lab[box], lips[box], mean_colour(lab, lips, own_skin), target, len(lab[0, 0])
        )
    if look.lids_amount and (box := extent(lids)):
        change[box] += lids[box] * (look.lids_amount * _towards(lab, lids, own_skin, look.lids))
    if look.cheeks_amount and (box := extent(cheeks)):
        change[box] += cheeks[box] * (look.cheeks_amount * _towards(lab, cheeks, own_skin, look.cheeks))
    if look.contour and (box := extent(contour)):
        change[box] += contour[box] * (look.contour / SKIN[0] * own_skin[:, :1] * _of(CONTOUR, lab))
    if look.highlight and (box := extent(highlight)):
        change[box] += highlight[box] * (look.highlight * _of(HIGHLIGHT, lab))
    if look.liner or look.brows:
        change -= (0.7 * look.liner * liner + 0.4 * look.brows * brows) * lab
    if laid is not None:
        change += laid.change
    painted = from_lab(lab + change)
    return torch.where((change != 0).any(dim=1, keepdim=True), painted, faces).clamp(-1, 1)


def read_look(faces: Tensor, maps: Tensor) -> Look:
    """Read how far lash lines and brows of a painted face are drawn: (1, 3, H, W) -1..1, in regions (1, 11, H, W)."""
    lab = to_lab(faces)
    own_skin = mean_colour(lab, maps[:, 5:6])
    lid = mean_colour(lab, maps[:, 1:2], own_skin)[0, 0].clamp(min=1)
    dark = 1 - float(mean_colour(lab, maps[:, 2:3], lid.expand(1, 3, 1, 1))[0, 0] / lid)
    line = (dark - BARE_LASHES) / (LINED_LASHES - BARE_LASHES)
    dark = 1 - float(mean_colour(lab, maps[:, 3:4].square(), own_skin)[0, 0] / own_skin[0, 0].clamp(min=1))
    filled = (dark - BARE_BROWS) / (FILLED_BROWS - BARE_BROWS)
    return Look(liner=min(max(line, 0.0), 1.0), brows=min(max(filled, 0.0), 1.0))


def _of(colour: Lab, like: Tensor) -> Tensor:
    return like.new_tensor(colour)[None, :, None, None]


def mean_colour(lab: Tensor, weight: Tensor, fallback: Tensor | None = None) -> Tensor:
    """Compute the weighted mean colour (N, 3, 1, 1); an (almost) empty region takes the ``fallback``."""
    total, sums = weight.sum(dim=(2, 3), keepdim=True), (lab * weight).sum(dim=(2, 3), keepdim=True)
    trust = 1e-3 * weight.shape[2] * weight.shape[3] / 4
    return sums / total.clamp(min=1e-3) if fallback is None else (sums + trust * fallback) / (total + trust)


def _lips_change(lab: Tensor, lips: Tensor, mean: Tensor, colour: Tensor, side: int) -> Tensor:
    """Compute the change that moves the lips' mean to ``colour``.

    ``colour`` is one for all, (1, 3, 1, 1), or that of each place, (N, 3, H, W). The lightness keeps its detail, the
    colour follows it, highlights stay white. Lipstick covers: a dark upper lip above a pale lower one, as on dark skin,
    takes its colour as well. ``side`` is that of the whole face in px.
    """
    light, weight = (_box(plane, side // 32) for plane in (lab[:, :1] * lips, lips))
    local_mean = light / weight.clamp(min=1e-2)
    covered = COVER * (mean[:, :1] - local_mean).clamp(-8, 16) * (lips > FAINT)
    lightness = lab[:, :1] + covered + 0.9 * (colour[:, :1] - mean[:, :1]).clamp(max=8)
    shade = (lightness / colour[:, :1].clamp(min=15)).clamp(0.4, 1.1)  # darker folds are less colourful
    shine = ((100 - lab[:, :1]) / 25).clamp(0, 1)
    return (torch.cat([lightness, shade * colour[:, 1:].expand_as(lab[:, 1:])], dim=1) - lab) * shine


def _towards(lab: Tensor, region: Tensor, skin: Tensor, shift: Lab) -> Tensor:
    """Compute the change that moves the mean of lids or cheeks to the face's own skin plus ``shift``.

    They never become much lighter than they were. The greyer the look's colour, the less of the skin's own colour is
    left in it: black must not turn blue on pale skin.
    """
    mean, usual, apart = mean_colour(lab, region, skin), _of(SKIN, lab), _of(shift, lab)
    chroma = usual[:, 1:] + apart[:, 1:]
    skin_share = (chroma.norm(dim=1, keepdim=True) / usual[:, 1:].norm()).clamp(max=1)
    lightness = skin[:, :1] * (1 + apart[:, :1] / SKIN[0]) - mean[:, :1]
    return torch.cat([lightness.clamp(max=3), chroma + skin_share * (skin - usual)[:, 1:] - mean[:, 1:]], dim=1)


def _evening_change(lab: Tensor, skin: Tensor, edge: float = 7.0) -> Tensor:
    """Compute the low-frequency change that evens skin, by a guided filter (He et al. 2010) led by lightness.

    It runs on a copy of at most ``COARSE`` px (fast guided filter, He & Sun 2015), so what is finer is never touched.
    Lightness differences well above ``edge`` (in L) stay.
    """
    side = min(COARSE, lab.shape[3])
    small, weight = (resampled(plane, (side, side)) for plane in (lab, skin))
    weight, px = weight + 1e-3, max(1, round(RADIUS * side))
    total = _box(weight, px)
    guide = small[:, :1]
    mean = _box(small * weight, px) / total
    covariance = _box(small * guide * weight, px) / total - mean * mean[:, :1]
    slope = covariance / (covariance[:, :1] + edge**2)
    offset = mean - slope * mean[:, :1]
    slope, offset = (_box(part * weight, px) / total for part in (slope, offset))
    return resampled(_box(slope * guide + offset - small, 1), lab.shape[2:])


def _box(x: Tensor, radius: int) -> Tensor:
    """Average over a square window of 2 * radius + 1 px, cut off at the rim; on a CPU OpenCV does it much faster."""
    side = 2 * radius + 1
    if x.device.type == "cpu" and not x.requires_grad:
        planes = x.reshape(-1, *x.shape[2:]).numpy()
        box: dict[str, Any] = {
            "ddepth": -1,
            "ksize": (side, side),
            "normalize": False,
            "borderType": cv2.BORDER_CONSTANT,
        }
        count = cv2.boxFilter(np.ones(x.shape[2:], np.float32), **box)
        return torch.from_numpy(np.stack([cv2.boxFilter(plane, **box) / count for plane in planes])).reshape(x.shape)
    rows = F.avg_pool2d(x, (side, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, side), 1, (0, radius), count_include_pad=False)
