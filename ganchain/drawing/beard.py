"""Beards: a shade as soft and as dark as they are; full ones have locks, as hair."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ganchain.drawing.hair import locks, smoothed
from ganchain.drawing.paths import Drawing, Planes, Ring, Shape
from ganchain.drawing.planes import blurred, closed, grown, rgb
from ganchain.drawing.study import Study
from ganchain.drawing.trace import contours, soft_shapes

FULL = 0.5  # hairiness from which a beard has locks


def draw_beard(study: Study, drawing: Drawing, tones: int) -> None:
    """Draw a beard: layer "beard"."""
    matte = study.matte("beard")
    if float(matte.sum()) < 0.03 * study.width**2:
        return
    chosen = matte > 0.7
    measured = np.median(study.calm[chosen], axis=0) if chosen.sum() > 30 else study.hair
    gap = float(study.skin[0] - measured[0])
    light = np.asarray(cv2.bilateralFilter(study.lab[..., 0], 5, 10, 3), np.float32)
    light, soft = smoothed(light, _downwards(study), 3), blurred(matte, 1.2)
    white = gap < 2 and float(np.hypot(*(study.skin[1:] - measured[1:]))) > 7
    if chosen.sum() > 0.25 * study.width**2 and (white or _hairiness(study, chosen, gap) >= FULL):
        _draw_full(study, drawing, measured, (light, soft), chosen, tones)
        return
    soft = closed(soft, 0.07 * study.width) * (1 - study.mouth)
    soft = soft * blurred(grown(study.oval, 0.02 * study.width), 1.5)  # below the jaw it is in the chin's shadow
    darkness = (float(study.skin[0]) - light).clip(0, None)
    usual = float(np.median(darkness[chosen])) if chosen.any() else float((darkness * soft).sum() / soft.sum())
    shade = rgb((0.45 * float(study.hair[0]) + 8, 0.6 * float(study.paper[1]), 0.55 * float(study.paper[2])))
    opacity = float(np.clip(usual / 65, 0.1, 0.5))
    settings = {"smooth": 1.6, "spacing": 2.5, "least": 0.05 * study.width**2}
    drawing.put("beard", *soft_shapes(soft, 0.45, 0.26, shade, opacity, within=(), **settings))


def _draw_full(
    study: Study, drawing: Drawing, measured: Planes, seen: tuple[Planes, Planes], chosen: NDArray[Any], tones: int
) -> None:
    """Draw a full beard as hair.

    Args:
        measured: (3,) its Lab.
        seen: (SIDE, SIDE) each, L* along its hairs, and its matte 0..1.
        chosen: (SIDE, SIDE), where it is for sure.
    """
    light, soft = seen
    red, yellow = (float(0.8 * measured[k] + 0.3 * study.paper[k]) for k in (1, 2))
    colour = (float(np.clip(measured[0] + 0.5 * (study.paper[0] - study.skin[0]), 8, 90)), red, yellow)
    for level in (0.25, 0.45, 0.65):
        found = contours(soft, level, smooth=2.0, spacing=2.0, least=0.05 * study.width**2)
        rings = [Ring((k,)) for k in found]
        drawing.put("beard", Shape(rings, rgb(colour), 0.7, holes=True, rim=level != 0.45))
    relative = np.asarray((light - np.median(light[chosen])) * soft, np.float32)
    relative /= float(np.clip(np.std(relative[chosen]), 2.5, 12))
    amount = float(np.clip(5 + 0.2 * colour[0], 7, 15))
    drawing.put("beard", *locks(relative, colour, amount, rings, tones, 0.008 * study.width**2))


def _hairiness(study: Study, chosen: NDArray[np.bool_], gap: float) -> float:
    """Tell stubble (0) from a beard (1): it is hardly darker than skin, and has no strands that are seen.

    Args:
        chosen: (S, S), where the beard is.
        gap: L* by which it is darker than the skin.
    """
    light = study.lab[..., 0]
    strands = float(np.std((light - blurred(light, 2.0))[chosen])) if chosen.any() else 0.0
    return float(np.clip((gap - 20) / 14 + np.clip((strands - 4.6) / 2.5, -0.25, 0.7), 0, 1))


def _downwards(study: Study) -> tuple[Planes, Planes]:
    """Compute the way in which a beard grows: down and away from below the nose."""
    nose = study.points[2] - np.array([0.0, 0.35 * study.width])
    y, x = np.mgrid[: study.lab.shape[0], : study.lab.shape[1]].astype(np.float32)
    dx, dy = x - float(nose[0]), y - float(nose[1])
    length = np.hypot(dx, dy) + 1e-3
    return (dx / length).astype(np.float32), (dy / length).astype(np.float32)
