"""Painting: the only file that imports Skia, which fills the paths of a drawing at any size."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import groupby

import cv2
import numpy as np
import skia
from numpy.typing import NDArray

from ganchain.drawing.paths import HATCH, UNITS, Colour, Drawing, Fade, Matrix, Page, Ring, Shape, hatched, joined

VERSION = 5  # of the form in which Skia keeps paths
MOVE, LINE, CUBIC, CLOSE = b"\0", b"\1", b"\4", b"\5"  # in it


def paint(drawing: Drawing, side: int) -> NDArray[np.uint8]:
    """Paint a drawing: (side, side, 3) uint8 RGB, plane after plane in memory. Equal drawings give equal bytes."""
    ground = drawing.ground
    if ground is not None and ground.shape[0] != side:
        ground = np.asarray(cv2.resize(ground, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    step = side / UNITS
    pixels = paint_page(Page((side, side), ground, [(drawing, np.array([[step, 0, 0], [0, step, 0]]))]))
    return np.asarray(np.stack(cv2.split(pixels)[:3]).transpose(1, 2, 0), np.uint8)


def paint_page(page: Page) -> NDArray[np.uint8]:
    """Paint a page: (H, W, 4) uint8 RGBA, multiplied by alpha. Equal pages give equal bytes."""
    width, height = page.size
    if page.ground is None:
        pixels = np.full((height, width, 4), 255 * page.paper, np.uint8)
    else:
        pixels = np.asarray(cv2.cvtColor(page.ground, cv2.COLOR_RGB2RGBA), np.uint8)
    surface = skia.Surface.MakeRasterDirect(
        skia.ImageInfo.Make(width, height, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType), pixels
    )
    painter = Painter(surface.getCanvas(), page)
    for drawing, matrix in page.drawings:
        painter.paint(drawing, matrix)
    surface.flushAndSubmit()
    return pixels


class Painter:
    """Painter of drawings.

    Args:
        canvas: is painted on.
        page: the page that the drawings are on.
    """

    def __init__(self, canvas: skia.Canvas, page: Page) -> None:
        self.canvas, self.page = canvas, page
        self.outlines = Outlines(
            shape for drawing, _ in page.drawings for layer in drawing.layers.values() for shape in layer
        )

    def paint(self, drawing: Drawing, matrix: Matrix) -> None:
        """Paint a drawing through a matrix."""
        self.canvas.setMatrix(_matrix(matrix))
        shapes = [shape for layer in drawing.layers.values() for shape in layer]
        for _, group in groupby(shapes, lambda shape: (id(shape.within), shape.colour is None)):
            self._draw(list(group))

    def _draw(self, shapes: Sequence[Shape]) -> None:
        """Draw shapes that are cut off by the same outlines, or one after the other what the ground is seen in."""
        self.canvas.save()
        if len(shapes[0].within):
            self._clip(shapes[0].within, holes=False)
        for shape in shapes:
            if shape.colour is not None:
                self._fill(shape, shape.colour)
                continue
            self.canvas.save()
            self._clip(shape.rings, shape.holes)
            self._uncover()
            self.canvas.restore()
        self.canvas.restore()

    def _clip(self, rings: Sequence[Ring], holes: bool) -> None:
        self.canvas.clipPath(self.outlines.path(rings, holes), skia.ClipOp.kIntersect, True)

    def _uncover(self) -> None:
        """Paint the ground again."""
        self.canvas.resetMatrix()
        if self.page.ground is not None:
            pixels = cv2.cvtColor(self.page.ground, cv2.COLOR_RGB2RGBA)
            self.canvas.drawImage(skia.Image.fromarray(pixels, skia.kRGBA_8888_ColorType), 0, 0)
            return
        if self.page.paper:
            self.canvas.drawColor(skia.ColorWHITE)
        first, matrix = self.page.drawings[0]
        self.canvas.setMatrix(_matrix(matrix))
        for layer in ("ground", "screen"):
            for shape in first.layers.get(layer, ()):
                if shape.colour is not None:
                    self._draw([shape])

    def _fill(self, shape: Shape, colour: Colour) -> None:
        """Fill one shape."""
        brush = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*colour, shape.opacity))
        if shape.fade:
            brush.setShader(_shader(shape, shape.fade))
        if not (shape.hatch and shape.rings):
            self.canvas.drawPath(self.outlines.path(shape.rings, shape.holes), brush)
            return
        brush.setStyle(skia.Paint.kStroke_Style)
        brush.setStrokeWidth(HATCH * shape.hatch)
        self.canvas.save()
        self._clip(shape.rings, shape.holes)
        for start, end in hatched(shape):
            self.canvas.drawLine(*start, *end, brush)
        self.canvas.restore()


def _matrix(matrix: Matrix) -> skia.Matrix:
    (a, c, e), (b, d, f) = matrix.tolist()
    return skia.Matrix.MakeAll(a, c, e, b, d, f, 0, 0, 1)


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


class Outlines:
    """Outlines of all shapes in the form in which Skia keeps paths: point by point they would take ten times as long.

    Args:
        shapes: of a page, which keeps them.
    """

    def __init__(self, shapes: Iterable[Shape]) -> None:
        areas = {id(rings): rings for shape in shapes for rings in (shape.rings, shape.within)}
        places, counts = joined([ring for rings in areas.values() for ring in rings])
        self._places = places.astype("<f4")
        self._kept: dict[int, tuple[NDArray[np.float32], bytes]] = {}
        first, ring = 0, 0
        for key, rings in areas.items():
            own = counts[ring : ring + len(rings)]
            last = first + sum(1 + 3 * count for runs in own for count in runs)
            self._kept[key] = self._places[first:last], b"".join(map(_verbs, own))
            first, ring = last, ring + len(rings)

    def path(self, rings: Sequence[Ring], holes: bool) -> skia.Path:
        """Make the path of the outlines of a shape."""
        places, verbs = self._kept[id(rings)]
        path, fill = skia.Path(), skia.PathFillType.kEvenOdd if holes else skia.PathFillType.kWinding
        path.setFillType(fill)
        if verbs:
            head = struct.pack("<4i", VERSION | int(fill) << 8, len(places), 0, len(verbs))
            if not path.readFromMemory(head + places.tobytes() + verbs + bytes(-len(verbs) % 4)):
                _add(path, places.tolist(), verbs)  # a later Skia may keep paths otherwise
        return path


def _verbs(runs: Sequence[int]) -> bytes:
    """Say how the places of a ring are joined, whose runs have so many curves."""
    return b"".join((LINE if number else MOVE) + CUBIC * count for number, count in enumerate(runs)) + CLOSE


def _add(path: skia.Path, places: list[list[float]], verbs: bytes) -> None:
    """Add outlines to a path, point by point."""
    steps = {
        MOVE[0]: (path.moveTo, 1),
        LINE[0]: (path.lineTo, 1),
        CUBIC[0]: (path.cubicTo, 3),
        CLOSE[0]: (path.close, 0),
    }
    place = iter(places)
    for verb in verbs:
        add, count = steps[verb]
        add(*(value for _ in range(count) for value in next(place)))
