"""Looks of one drawing: in colour as it is, in black and white with hatching, in lines alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ganchain.drawing.paths import Colour, Drawing, Line, Shape
from ganchain.drawing.planes import to_levels
from ganchain.drawing.study import Study
from ganchain.tensors import Pixels

BLACK: Colour = (0.055, 0.055, 0.055)
WHITE: Colour = (1.0, 1.0, 1.0)
DARK_HAIR = 36.0  # L* below which hair is black in ink
PALE = 0.6  # light from which lines are too faint for black ones
SHADE, SHADE_HAIR = 2.4, 2.8  # units between hatched lines
STEPS = ((0.72, 0.08), (0.55, 0.14), (0.36, 0.22), (0.2, 0.3))  # light of the ground, and how much darker paper is


def light_of(colour: Colour) -> float:
    """Compute how light a colour is, 0..1."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def coloured(drawing: Drawing, study: Study | None) -> Drawing:
    """Return the drawing as it is."""
    del study
    return drawing


def inked(drawing: Drawing, study: Study | None) -> Drawing:
    """Draw in black on white, shadows hatched, dark hair black with white locks.

    Args:
        study: of the head that is drawn; None where none is.
    """
    ink = Drawing(ground=None if drawing.ground is None else _paper(drawing.ground))
    dark = study is not None and float(study.hair[0]) < DARK_HAIR
    skin = _first(drawing, "skin")
    hair = _first(drawing, "hair")
    for name, shapes in drawing.layers.items():
        for shape in (shape for shape in shapes if not shape.rim):
            if name in ("ground", "screen"):
                drawn: Shape | None = shape
            elif shape.colour is None or name == "skin":
                drawn = shape if shape.colour is None else _in(shape, WHITE)
            elif name == "blush" or (name == "shadow" and light_of(shape.colour) > skin):
                drawn = None
            elif name == "shadow":
                drawn = replace(_in(shape, BLACK), hatch=SHADE)
            elif isinstance(shape, Line) and name == "mouth" and light_of(shape.colour) >= PALE:
                drawn = None
            elif name == "hair":
                drawn = _hair(shape, dark, hair)
            elif name == "strands" or isinstance(shape, Line):
                lighter = name == "strands" and light_of(shape.colour) > hair
                drawn = _in(shape, WHITE if lighter else BLACK)
                drawn = None if name == "strands" and lighter != dark else drawn
            elif name == "beard":
                drawn = replace(_in(shape, BLACK), hatch=SHADE / 2)
            elif name == "mouth":
                drawn = _mouth(shape)
            else:
                drawn = shape if name == "eyes" and shape.fade else _in(shape, _nearer(shape.colour))
            if drawn:
                ink.put(name, drawn)
    return _grey(ink)


def lined(drawing: Drawing, study: Study | None) -> Drawing:
    """Draw lines alone, on white."""
    del study
    lines = Drawing(ground=None if drawing.ground is None else np.full_like(drawing.ground, 255))
    hair = _first(drawing, "hair")
    for name, shapes in drawing.layers.items():
        for shape in shapes:
            colour = shape.colour or WHITE
            if shape.rim:
                continue
            if name == "ground":
                lines.put(name, shape)
            elif isinstance(shape, Line):
                if light_of(colour) < (hair if name == "strands" else PALE):
                    lines.put(name, _in(shape, BLACK))
            elif name in ("eyes", "glasses"):
                lines.put(name, _in(shape, WHITE if shape.fade else _nearer(colour)))
            elif name in ("skin", "hair", "cover") or (name == "mouth" and light_of(colour) > 0.8):
                lines.put(name, _in(shape, WHITE))
    return lines


def _first(drawing: Drawing, layer: str) -> float:
    """Return how light the first fill of a layer is; 1 where there is none."""
    shapes = drawing.layers.get(layer, [])
    return light_of(shapes[0].colour) if shapes and shapes[0].colour else 1.0


def _in(shape: Shape, colour: Colour) -> Shape:
    return replace(shape, colour=colour, opacity=1.0, fade=None)


def _nearer(colour: Colour) -> Colour:
    return BLACK if light_of(colour) < 0.45 else WHITE


def _hair(shape: Shape, dark: bool, fill: float) -> Shape | None:
    """Draw the hair's fill and its locks: black with white ones, or white with hatched ones."""
    light = light_of(shape.colour) if shape.colour else fill
    lighter = light > fill
    if light == fill:
        return _in(shape, BLACK if dark else WHITE)
    if dark:
        return replace(_in(shape, WHITE), hatch=SHADE_HAIR) if lighter else None
    return None if lighter else replace(_in(shape, BLACK), hatch=SHADE_HAIR)


def _mouth(shape: Shape) -> Shape:
    assert shape.colour is not None
    light = light_of(shape.colour)
    if shape.fade or 0.3 < light < 0.8:  # lips, also dark ones
        return replace(_in(shape, BLACK), hatch=SHADE / 2)
    return _in(shape, _nearer(shape.colour))


def _paper(ground: Pixels) -> Pixels:
    """Paint the ground in a few greys."""
    light = (ground.mean(axis=2, dtype=np.float32) + ground.max(axis=2)) / 510
    paper = np.ones_like(light)
    for below, step in STEPS:
        paper -= step / (1 + np.exp((light - below) / 0.012))
    return np.repeat(to_levels(paper)[..., None], 3, axis=2)


def _grey(drawing: Drawing) -> Drawing:
    """Take the colour out of what is left of it."""

    def grey(colour: Colour) -> Colour:
        light = light_of(colour)
        return light, light, light

    for shapes in drawing.layers.values():
        for index, shape in enumerate(shapes):
            if shape.colour is not None and shape.fade:
                fade = replace(shape.fade, to=grey(shape.fade.to))
                shapes[index] = replace(shape, colour=grey(shape.colour), fade=fade)
    return drawing


LOOKS: dict[str, Callable[[Drawing, Study | None], Drawing]] = {"webtoon": coloured, "ink": inked, "line": lined}
