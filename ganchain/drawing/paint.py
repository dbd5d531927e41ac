"""Painting: the only file that imports Skia, which fills the paths of a drawing at any size."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from ganchain.drawing.paths import HATCH, UNITS, Colour, Drawing, Fade, Matrix, Page, Ring, Shape, hatched


def paint(drawing: Drawing, side: int) -> NDArray[np.uint8]:
    """Paint a drawing: (side, side, 3) uint8 RGB. Equal drawings give equal bytes."""
    ground = None
    if (flat := drawing.ground) is not None:
        if flat.shape[0] != side:
            flat = np.asarray(cv2.resize(flat, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
        ground = (flat * 255 + 0.5).clip(0, 255).astype(np.uint8)
    step = side / UNITS
    return paint_page(Page((side, side), ground, [(drawing, np.array([[step, 0, 0], [0, step, 0]]))]))[..., :3]


def paint_page(page: Page) -> NDArray[np.uint8]:
    """Paint a page: (H, W, 4) uint8 RGBA, multiplied by alpha. Equal pages give equal bytes."""
    width, height = page.size
    pixels = np.full((height, width, 4), 255 * page.paper, np.uint8)
    ground = None
    if page.ground is not None:
        pixels[..., :3], pixels[..., 3] = page.ground, 255
        ground = skia.Image.fromarray(pixels.copy(), skia.kRGBA_8888_ColorType)
    surface = skia.Surface.MakeRasterDirect(
        skia.ImageInfo.Make(width, height, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType), pixels
    )
    canvas = surface.getCanvas()
    for drawing, matrix in page.drawings:
        canvas.setMatrix(_matrix(matrix))
        for shapes in drawing.layers.values():
            for shape in shapes:
                canvas.save()
                if shape.colour is None:
                    canvas.clipPath(_path(shape.rings, shape.holes), skia.ClipOp.kIntersect, True)
                    _uncover(canvas, page, ground)
                else:
                    _fill(canvas, shape, shape.colour)
                canvas.restore()
    surface.flushAndSubmit()
    return pixels


def _uncover(canvas: skia.Canvas, page: Page, ground: skia.Image | None) -> None:
    """Paint the ground again."""
    canvas.resetMatrix()
    if ground is not None:
        canvas.drawImage(ground, 0, 0)
        return
    if page.paper:
        canvas.drawColor(skia.ColorWHITE)
    first, matrix = page.drawings[0]
    canvas.setMatrix(_matrix(matrix))
    for layer in ("ground", "screen"):
        for shape in first.layers.get(layer, ()):
            if shape.colour is not None:
                canvas.save()
                _fill(canvas, shape, shape.colour)
                canvas.restore()


def _matrix(matrix: Matrix) -> skia.Matrix:
    (a, c, e), (b, d, f) = matrix.tolist()
    return skia.Matrix.MakeAll(a, c, e, b, d, f, 0, 0, 1)


def _fill(canvas: skia.Canvas, shape: Shape, colour: Colour) -> None:
    """Fill one shape."""
    if len(shape.within):
        canvas.clipPath(_path(shape.within, holes=False), skia.ClipOp.kIntersect, True)
    brush = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, shape.opacity))
    if shape.fade:
        brush.setShader(_shader(shape, shape.fade))
    outline = _path(shape.rings, shape.holes)
    if shape.hatch and shape.rings:
        canvas.clipPath(outline, skia.ClipOp.kIntersect, True)
        brush.setStyle(skia.Paint.kStroke_Style)
        brush.setStrokeWidth(HATCH * shape.hatch)
        for start, end in hatched(shape):
            canvas.drawLine(*start, *end, brush)
    else:
        canvas.drawPath(outline, brush)


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
