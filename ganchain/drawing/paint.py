"""Painting: the only file that imports Skia, which fills the paths of a drawing at any size."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from ganchain.drawing.paths import HATCH, UNITS, Colour, Drawing, Fade, Matrix, Page, Ring, Shape, hatched

VERSION = 5  # of the form in which Skia keeps paths
MOVE, LINE, CUBIC, CLOSE = b"\0", b"\1", b"\4", b"\5"  # in it


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
        shapes = [shape for layer in drawing.layers.values() for shape in layer]
        for _, group in groupby(shapes, lambda shape: (id(shape.within), shape.colour is None)):
            _draw(canvas, list(group), page, ground)
    surface.flushAndSubmit()
    return pixels


def _draw(canvas: skia.Canvas, shapes: Sequence[Shape], page: Page, ground: skia.Image | None) -> None:
    """Draw shapes that are cut off by the same outlines, or one after the other what the ground is seen in."""
    canvas.save()
    if len(shapes[0].within):
        canvas.clipPath(_path(shapes[0].within, holes=False), skia.ClipOp.kIntersect, True)
    for shape in shapes:
        if shape.colour is not None:
            _fill(canvas, shape, shape.colour)
            continue
        canvas.save()
        canvas.clipPath(_path(shape.rings, shape.holes), skia.ClipOp.kIntersect, True)
        _uncover(canvas, page, ground)
        canvas.restore()
    canvas.restore()


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
                _draw(canvas, [shape], page, ground)


def _matrix(matrix: Matrix) -> skia.Matrix:
    (a, c, e), (b, d, f) = matrix.tolist()
    return skia.Matrix.MakeAll(a, c, e, b, d, f, 0, 0, 1)


def _fill(canvas: skia.Canvas, shape: Shape, colour: Colour) -> None:
    """Fill one shape."""
    brush = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, shape.opacity))
    if shape.fade:
        brush.setShader(_shader(shape, shape.fade))
    outline = _path(shape.rings, shape.holes)
    if not (shape.hatch and shape.rings):
        canvas.drawPath(outline, brush)
        return
    brush.setStyle(skia.Paint.kStroke_Style)
    brush.setStrokeWidth(HATCH * shape.hatch)
    canvas.save()
    canvas.clipPath(outline, skia.ClipOp.kIntersect, True)
    for start, end in hatched(shape):
        canvas.drawLine(*start, *end, brush)
    canvas.restore()


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
    """Make the path of outlines, all at once: point by point it takes ten times as long."""
    points, verbs = [], []
    for ring in rings:
        for number, run in enumerate(ring.beziers):
            points += [run[0, :1], run[:, 1:].reshape(-1, 2)]
            verbs += [LINE if number else MOVE, CUBIC * len(run)]
        verbs.append(CLOSE)
    path, fill = skia.Path(), skia.PathFillType.kEvenOdd if holes else skia.PathFillType.kWinding
    path.setFillType(fill)
    if points:
        places, codes = np.concatenate(points).astype("<f4"), b"".join(verbs)
        head = struct.pack("<4i", VERSION | int(fill) << 8, len(places), 0, len(codes))
        if not path.readFromMemory(head + places.tobytes() + codes + bytes(-len(codes) % 4)):
            _add(path, places.tolist(), codes)  # a later Skia may keep paths otherwise
    return path


def _add(path: skia.Path, places: list[list[float]], codes: bytes) -> None:
    """Add outlines to a path, point by point."""
    steps = {
        MOVE[0]: (path.moveTo, 1),
        LINE[0]: (path.lineTo, 1),
        CUBIC[0]: (path.cubicTo, 3),
        CLOSE[0]: (path.close, 0),
    }
    place = iter(places)
    for code in codes:
        add, count = steps[code]
        add(*(value for _ in range(count) for value in next(place)))
