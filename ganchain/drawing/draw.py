"""The whole drawing of a face: what is read of it, in; layers of shapes, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from ganchain.drawing import beard, eyes, face, ground, hair, looks, skin
from ganchain.drawing.held import study_of
from ganchain.drawing.paths import Drawing, Knots, Line, Planes
from ganchain.drawing.planes import SIDE, to_levels
from ganchain.drawing.study import Study
from ganchain.faces import mesh
from ganchain.faces.reading import Hold

SHORT = 0.1  # of the eyes' distance: shorter strokes are specks


@dataclass(frozen=True)
class Style:
    """Settings of a drawing.

    Attributes:
        look: webtoon in colour, ink in black and white with hatching, line in lines alone.
        eyes: 0 natural to 1 large.
        line: width of lines; 1 is the usual one, 0 none.
        tones: of skin and hair, 2 or 3.
        blush: 0..1.
        background: "keep" (the photo's own), "simple" (flattened, a little lighter), "none" (transparent; of whole
            photos) or a colour by its name in CSS.
        likeness: 0: the proportions and shadows of the style, 1: the person's own.
    """

    look: Literal["webtoon", "ink", "line"] = "webtoon"
    eyes: float = 0.7
    line: float = 1.0
    tones: int = 3
    blush: float = 0.5
    background: str = "simple"
    likeness: float = 0.4


def draw(
    picture: Planes,
    points: Knots,
    mattes: Mapping[str, Planes],
    style: Style | None = None,
    hold: Hold | None = None,
) -> Drawing:
    """Draw a face.

    Args:
        picture: (S, S, 3) float32 0..1 RGB, a window of the framing ``HEAD``.
        points: (478, 2) in units.
        mattes: (T, T) float32 0..1 by part, of the same window.
        hold: holds what is measured still along a video.
    """
    style = style or Style()
    study = study_of(picture, points, mattes, hold)
    around, drawing = ground.around(study), Drawing()
    if style.background == "simple":
        drawing.ground, where = around.flattened(0.35 * _middle(SIDE)), _middle(SIDE)
    elif style.background == "keep":
        drawing.ground = to_levels(study.picture) if style.look == "webtoon" else around.flattened()
        where = study.head
    else:
        drawing.ground, where = around.painted(style.background), 1 - around.behind
    draw_head(study, style, drawing, where)
    return looks.LOOKS[style.look](drawing, study)


@lru_cache(maxsize=8)
def _middle(side: int) -> Planes:
    """Compute how far each place is from the rim of a window, where a photo goes on: 0 at the rim, 1 inside."""
    axis = np.abs(np.linspace(-1, 1, side, dtype=np.float32))
    return np.asarray(((1 - (axis[:, None] ** 4 + axis**4) ** 0.25) / 0.3).clip(0, 1), np.float32)


def draw_head(study: Study, style: Style, drawing: Drawing, where: Planes) -> Drawing:
    """Draw a head, and lines of what is near it, in front of what is in ``drawing``.

    Args:
        where: (SIDE, SIDE) 0..1, where lines beside the head are drawn.
    """
    placed = _proportions(study.points, style)
    skin.draw_skin(study, drawing, style.tones, style.blush, style.line, style.likeness)
    beard.draw_beard(study, drawing, style.tones)
    skin.draw_jaw(study, drawing, style.line)
    face.draw_nose(study, placed, drawing, style.line, style.likeness)
    face.draw_age(study, placed, drawing, style.line)
    face.draw_mouth(study, placed, drawing, style.line)
    hair.draw_hair(study, drawing, style.tones, style.line)
    face.draw_lines(study, drawing, style.line, style.likeness, where)
    eyes.draw_brows(study, placed, drawing)
    eyes.draw_eyes(study, placed, drawing, style.line)
    face.draw_glasses(study, drawing, style.line)
    face.draw_cover(study, drawing, style.line)
    return _without_short(drawing, SHORT * study.width)


def _without_short(drawing: Drawing, least: float) -> Drawing:
    """Take out strokes shorter than ``least`` units, but for those of eyes and mouth."""
    for name, shapes in drawing.layers.items():
        for index, shape in enumerate(shapes):
            if isinstance(shape, Line) and name not in ("eyes", "mouth", "nose", "brows"):
                long = [ring for ring in shape.rings if ring.reach >= least]
                shapes[index] = replace(shape, rings=long) if len(long) < len(shape.rings) else shape
    return drawing


def _proportions(points: Knots, style: Style) -> Knots:
    """Move the points to the style's proportions: larger eyes, a smaller nose."""
    moved = eyes.enlarged(points, style.eyes)
    small = 0.12 * (1 - style.likeness)
    half = {*face.WING, *face.NOSTRIL}
    nose = sorted({*half, *face.mirrored(tuple(half)), *face.UNDER})
    centre = points[[mesh.MIRROR[242], 242]].mean(axis=0)
    moved[nose] += small * (centre - moved[nose])
    return np.asarray(moved, np.float64)
