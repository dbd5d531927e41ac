"""Painting: the only file that imports Skia, which fills the paths of a drawing at any size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from ganchain.drawing.paths import UNITS, Drawing, Fade, Ring, Shape


def paint(drawing: Drawing, side: int) -> NDArray[np.uint8]:
    """Paint a drawing: (side, side, 3) uint8 RGB. Equal drawings give equal bytes."""
    pixels = np.full((side, side, 4), 255, np.uint8)
    ground = None
    if drawing.ground is not None:
        flat = drawing.ground
        if flat.shape[0] != side:
            flat = np.asarray(cv2.resize(flat, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
        pixels[..., :3] = (flat * 255 + 0.5).clip(0, 255)
        ground = skia.Image.fromarray(pixels.copy(), skia.kRGBA_8888_ColorType)
    surface = skia.Surface.MakeRasterDirect(
        skia.ImageInfo.Make(side, side, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType), pixels
    )
    canvas = surface.getCanvas()
    canvas.scale(side / UNITS, side / UNITS)
    for shapes in drawing.layers.values():
        for shape in shapes:
            _fill(canvas, shape, ground, side)
    surface.flushAndSubmit()
    return pixels[..., :3]


def _fill(canvas: skia.Canvas, shape: Shape, ground: skia.Image | None, side: int) -> None:
    """Fill one shape."""
    canvas.save()
    if len(shape.within):
        canvas.clipPath(_path(shape.within, holes=False), skia.ClipOp.kIntersect, True)
    if shape.colour is None:
        if ground is not None:
            canvas.clipPath(_path(shape.rings, shape.holes), skia.ClipOp.kIntersect, True)
            canvas.scale(UNITS / side, UNITS / side)
            canvas.drawImage(ground, 0, 0)
    else:
        brush = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*shape.colour, shape.opacity))
        if shape.fade:
            brush.setShader(_shader(shape, shape.fade))
        outline = _path(shape.rings, shape.holes)
        if shape.hatch:
            canvas.clipPath(outline, skia.ClipOp.kIntersect, True)
            brush.setStyle(skia.Paint.kStroke_Style)
            brush.setStrokeWidth(0.3 * shape.hatch)
            _hatch(canvas, brush, shape.hatch)
        else:
            canvas.drawPath(outline, brush)
    canvas.restore()


def _hatch(canvas: skia.Canvas, brush: skia.Paint, apart: float) -> None:
    """Draw slanted lines over all of the window; those of different shapes lie on each other."""
    for start in np.arange(-UNITS, UNITS, apart * np.sqrt(2)).tolist():
        canvas.drawLine(start, UNITS, start + UNITS, 0, brush)


def _shader(shape: Shape, fade: Fade) -> skia.Shader:
    assert shape.colour is not None
    colours = [skia.Color4f(*shape.colour, shape.opacity), skia.Color4f(*fade.to, fade.opacity)]
    colours = [colour.toColor() for colour in colours]
    if not fade.stretch:
        return skia.GradientShader.MakeLinear([skia.Point(*fade.start), skia.Point(*fade.end)], colours)
    radius = float(np.hypot(fade.end[0] - fade.start[0], fade.end[1] - fade.start[1]))
    turn = float(np.degrees(np.arctan2(fade.end[1] - fade.start[1], fade.end[0] - fade.start[0])))
    place = skia.Matrix()
    place.setTranslate(*fade.start)
    place.preRotate(turn)
    place.preScale(1, fade.stretch)
    return skia.GradientShader.MakeRadial(skia.Point(0, 0), radius, colours, localMatrix=place)


def _path(rings: Sequence[Ring], holes: bool) -> skia.Path:
    """Make the path of outlines."""
    path = skia.Path()
    path.setFillType(skia.PathFillType.kEvenOdd if holes else skia.PathFillType.kWinding)
    for ring in rings:
        first = True
        for run in ring.beziers():
            places = run.reshape(len(run), 8).tolist()
            if first:
                path.moveTo(places[0][0], places[0][1])
                first = False
            else:
                path.lineTo(places[0][0], places[0][1])
            for _, _, x1, y1, x2, y2, x3, y3 in places:
                path.cubicTo(x1, y1, x2, y2, x3, y3)
        path.close()
    return path
