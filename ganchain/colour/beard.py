"""Beards: stubble, short and full ones, drawn strand by strand on the skin where they grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.colour.filters import Box, blur, extent
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.strands import combed, softened
from ganchain.tensors import pooled, resampled, resize


@dataclass(frozen=True)
class Cut:
    """Cut of a beard.

    Attributes:
        cover: share of the skin that its hairs hide where they lie closest.
        gaps: standard deviations of the drawn strands below which skin is seen between them where it is densest.
        within: the zone's plane where it begins: 0.5 is the zone's edge, more lies inside.
        soft: over how much of the zone's plane it grows dense.
        shade: change of L of the skin below it, which shows through.
        strand: standard deviation along its hairs, and how broad its locks are at most, in fifths of a millimetre.
        below: how far it reaches below the jaw, as a share of the face's width.
        relief: how much its strands stand out from each other, standard deviation of L.
        cheeks: how dense it is on the cheeks, as a share of the densest, around mouth and chin.
    """

    cover: float
    gaps: float
    within: float
    soft: float
    shade: float
    strand: tuple[float, float]
    below: float
    relief: float
    cheeks: float


CUTS: Mapping[str, Cut] = {
    "stubble": Cut(0.5, 0.1, 0.15, 0.85, -7.0, (4.0, 8.0), 0.06, 0.0, 0.75),
    "short": Cut(0.8, -0.3, 0.42, 0.5, -7.0, (6.0, 7.0), 0.1, 5.0, 0.75),
    "full": Cut(0.97, -2.0, 0.38, 0.45, -10.0, (20.0, 30.0), 0.2, 10.0, 1.0),
}
SPARSE = 2.2  # standard deviations by which gaps widen to where a beard ends
FADED = 0.2  # share of its chroma that skin loses under hairs
EDGE = 2.0  # standard deviations over which a strand covers the skin
DARKER = 0.75  # L of a beard for each L of the hair
GREYISH, DARKER_THAN_SKIN = 40.0, 0.5  # L from which a beard is grey; most L of others for each L of the skin
DARK = 30.0  # most L of a beard that is not grey
DEFAULT = (22.0, 5.0, 7.0)  # L*a*b* where there is no hair to be like
VIOLET = 0.35, -6.0  # hair of any colour has at least this b for each a, and more than that
TUFTS, TOUSLED = 160, 0.22  # across a window: tufts whose hairs lie alike; their turns, standard deviation in radians
RAGGED = 0.1  # of the zone's plane: how uneven a beard's edge is
SHADE = 8.0  # L by which skin may be darker than the cheeks
LIFT = 18.0  # most L by which a beard is lightened that nobody asked to be taken off
FINE = 0.25  # share of its fine detail that shaven skin keeps
SMALL = 256  # px: a window is averaged to a bit more than this for what varies slowly
RELIEF, SHAPED = 9.0, 0.4  # px for a 256th of the tight face, and the share of the relief under a beard that stays
WARM = 0.35  # share of the skin's hue in hairs on it


class Few(NamedTuple):
    """A window at a small size, for what varies slowly or is one for the whole face.

    Attributes:
        lab: (N, 3, S, S) L*a*b*.
        step: px of the window for one of its own.
    """

    lab: Tensor
    step: int

    @classmethod
    def of(cls, faces: Tensor) -> Few:
        """Average a window (N, 3, S, S) -1..1 to a bit more than ``SMALL`` px."""
        step = max(1, faces.shape[3] // SMALL)
        return cls(to_lab(pooled(faces, step)), step)

    def reduced(self, plane: Tensor) -> Tensor:
        """Average a plane (N, 1, S, S) to the same size."""
        return pooled(plane, self.step)

    def enlarged(self, plane: Tensor, side: int, box: Box) -> Tensor:
        """Enlarge a plane of this size to a part of the window."""
        return resampled(plane, (side, side))[box]


def grow(faces: Tensor, zone: Tensor, middle: Tensor, cut: Cut, hair: Tensor) -> Tensor:
    """Grow a beard.

    Args:
        faces: (N, 3, S, S) -1..1.
        zone: (N, 1, S, S) 0..1, where it can grow, less what lies before the skin.
        middle: (N, 1, S, S) 0..1, where beards are dense, around mouth and chin.
        cut: its kind.
        hair: (N, 1, S, S) 0..1, the person's hair; the beard is like it.

    Returns:
        (N, 3, S, S) -1..1; outside the zone the same bits.
    """
    if not (box := extent(zone, 1)):
        return faces
    side, few = faces.shape[3], Few.of(faces)
    colour = tone(few.lab, few.reduced(hair))
    strand = combed(_downwards(zone), cut.strand, box)
    lab, size = to_lab(faces[box]), faces[box].shape[2:]
    dense = resampled(zone[box], strand.shape[2:])
    dense = ((dense - cut.within + RAGGED * strand.clamp(-2, 2)) / cut.soft).clamp(0, 1)
    dense = dense * dense * (3 - 2 * dense)
    hidden = ((strand - cut.gaps - SPARSE * (1 - dense)) / EDGE + 0.5).clamp(0, 1) * dense
    # strands are finer than pixels: what a pixel has is the mean of those in it
    hidden, dense, strand = resize(torch.cat([hidden, dense, strand]), (size[0], size[1])).chunk(3)
    amount = cut.cheeks + (1 - cut.cheeks) * middle[box]
    share = cut.cover * amount * softened(hidden.clamp(0, 1), faces)
    dense = dense * amount
    skin = torch.cat([lab[:, :1] + dense * cut.shade, lab[:, 1:] * (1 - FADED * dense)], dim=1)
    # the face's own light and shade fall on the beard, too
    smooth = blur(few.lab[:, :1], 0.03 * side / few.step)
    zone_few = few.reduced(zone)
    mean = _mean(smooth, zone_few)
    smooth = few.enlarged(smooth, side, box)
    own = colour[:, :1]
    own = torch.where(own < GREYISH, torch.minimum(own, DARKER_THAN_SKIN * _mean(few.lab[:, :1], zone_few)), own)
    light = own + 0.3 * (smooth - mean) + cut.relief * strand * (own / 40).clamp(0.4, 1.2)
    light = light.clamp(3, 95)
    lit = lab[:, 1:] * (light / lab[:, :1].clamp(min=20))  # of the skin's hue, where the light has one
    hairs = torch.cat([light, torch.lerp(colour[:, 1:].expand_as(lit), lit, WARM)], dim=1)
    grown = faces.clone()
    grown[box] = torch.where(zone[box] > 0, from_lab(torch.lerp(skin, hairs, share)), faces[box])
    return grown


def shaved(faces: Tensor, zone: Tensor, beard: Tensor, skin: Tensor, unit: float) -> Tensor:
    """Take a beard off: where it is darker than the skin around, it takes that colour; stubble becomes lighter.

    Args:
        faces: (N, 3, S, S) -1..1.
        zone, beard: (N, 1, S, S) 0..1, where it can grow, and where it is seen.
        skin: (N, 1, S, S) 0..1, the skin that it is to look like.
        unit: px for a 256th of the tight face.

    Returns:
        (N, 3, S, S) -1..1.
    """
    if not (box := extent(zone, round(16 * unit))):
        return faces
    few = Few.of(faces)
    zone_few = few.reduced(zone)
    near = few.reduced(skin) * blur(zone_few, 20.0 * unit / few.step)
    middle = (few.lab[:, :1] * near).sum(dim=(2, 3), keepdim=True) / (near.sum(dim=(2, 3), keepdim=True) + 1e-3)
    near = near * (few.lab[:, :1] > middle)  # cheeks in the light, not the shade below the jaw
    around = (few.lab * near).sum(dim=(2, 3), keepdim=True) / (near.sum(dim=(2, 3), keepdim=True) + 1e-3)
    lab, near_zone = to_lab(faces[box]), zone[box]
    inside = (2 * near_zone).clamp(max=1)
    smooth = blur(lab, 5.0 * unit)
    darker = (around[:, :1] - SHADE / 2 - smooth[:, :1]).clamp(min=0)
    seen = inside * (2 * blur(beard[box], 4.0 * unit)).clamp(max=1) * (darker / 6).clamp(0, 1)
    broad = blur(few.lab[:, :1], RELIEF * unit / few.step)
    shape = SHAPED * few.enlarged(broad - _mean(broad, zone_few), faces.shape[3], box)
    bare = around + F.pad(shape - SHADE / 2, (0, 0, 0, 0, 0, 2)) + FINE * (lab - smooth)
    answer = faces.clone()
    change = inside * near_zone * _removal(lab, smooth, around)
    answer[box] = torch.where(near_zone > 0, from_lab(torch.lerp(lab + change, bare, seen)), faces[box])
    return answer


def beard_removal(lab: Tensor, cheek: Tensor, unit: float) -> Tensor:
    """Compute the change that takes hair off skin: lighter, the chroma of ``cheek``, less detail. (N, 3, S, S).

    Args:
        cheek: (N, 3, 1, 1) L*a*b*.
        unit: px for a 256th of the tight face.
    """
    return _removal(lab, blur(lab, 5.0 * unit), cheek)


def _removal(lab: Tensor, smooth: Tensor, cheek: Tensor) -> Tensor:
    lift = (cheek[:, :1] - SHADE - smooth[:, :1]).clamp(0, LIFT)
    share = (lift / 6).clamp(0, 1)
    light = lift - 0.75 * share * (lab[:, :1] - smooth[:, :1])
    return torch.cat([light, share * 0.7 * (cheek - smooth)[:, 1:]], dim=1)


def tone(lab: Tensor, hair: Tensor) -> Tensor:
    """Tell the colour of a person's beard by the hair: (N, 3, H, W), (N, 1, H, W) 0..1 -> L*a*b* (N, 3, 1, 1).

    What is too violet for hair is a headscarf or a dye.
    """
    weight = hair**8
    total = weight.sum(dim=(2, 3), keepdim=True)
    mean = _mean(lab, weight)
    grown = ((mean[:, 2:] - VIOLET[0] * mean[:, 1:2] - VIOLET[1]) / 4).clamp(0, 1)
    known = (total / (2e-3 * weight[0].numel())).clamp(0, 1) * grown
    light = DARKER * mean[:, :1]
    coloured = ((mean[:, 1:].norm(dim=1, keepdim=True) - 6) / 4).clamp(0, 1)
    like = torch.cat([torch.lerp(light, light.clamp(max=DARK), coloured), mean[:, 1:]], dim=1)
    return torch.lerp(lab.new_tensor(DEFAULT)[:, None, None].expand_as(like), like, known)


def _mean(plane: Tensor, weight: Tensor) -> Tensor:
    """Average a plane over a weight (N, 1, H, W): (N, C, 1, 1)."""
    return (plane * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1)


def _downwards(zone: Tensor) -> Tensor:
    """Comb a beard: down, outwards at its sides, and not too well; directions (N, 1, H, W) in 0..pi."""
    side = zone.shape[3]
    place = torch.arange(side, device=zone.device, dtype=zone.dtype)
    across = ((place - _mean(place, zone)) / (0.25 * side)).clamp(-1, 1)
    turned = resampled(_tousled().to(zone), (side, side))
    return (pi / 2 - 0.5 * across + turned) % pi


@lru_cache(maxsize=1)
def _tousled() -> Tensor:
    """Draw random turns of hairs: (1, 1, TUFTS, TUFTS) radians."""
    return TOUSLED * torch.randn(1, 1, TUFTS, TUFTS, generator=torch.Generator().manual_seed(0))
