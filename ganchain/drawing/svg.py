"""SVG: a page as a file that can be edited. Layers are groups with names, tones and strokes are closed paths."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from ganchain.drawing.paths import HATCH, Colour, Drawing, Matrix, Page, Ring, Shape, hatched

NAMES = {"ground": "background", "screen": "background"}  # layers that lie in another one
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
    'width="{0}" height="{1}" viewBox="0 0 {0} {1}">'
)


def svg(page: Page, metadata: str = "") -> str:
    """Write a page as SVG: what ``paint_page`` paints, as text.

    Args:
        metadata: XML that is put into the file's metadata.
    """
    return "\n".join(_Writer(page).lines(metadata)) + "\n"


class _Writer:
    """Writer of one page; numbers what is referred to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clips: dict[tuple[int, ...], str] = {}
        self.kept: list[Sequence[Ring]] = []  # keeps the ids of rings from being given again
        self.count = 0

    def lines(self, metadata: str) -> Iterator[str]:
        """Yield the lines of the file."""
        width, height = self.page.size
        yield HEAD.format(width, height)
        if metadata:
            yield f"<metadata>{metadata}</metadata>"
        for number, (drawing, matrix) in enumerate(self.page.drawings):
            end = f"-{number}" if number else ""
            yield f'<g transform="{_transform(matrix)}">'
            if not number:
                yield from self._ground(drawing, matrix)
            for name, shapes in _layers(drawing, first=not number).items():
                if shapes:
                    yield f'<g id="{name}{end}" inkscape:groupmode="layer" inkscape:label="{name}">'
                    for shape in shapes:
                        yield from self._shape(shape, matrix)
                    yield "</g>"
            yield "</g>"
        yield "</svg>"

    def _ground(self, drawing: Drawing, matrix: Matrix) -> Iterator[str]:
        """Yield what lies behind everything."""
        width, height = self.page.size
        yield '<g id="background" inkscape:groupmode="layer" inkscape:label="background">'
        yield f'<g transform="{_transform(_inverse(matrix))}">'
        if self.page.ground is not None:
            content = cv2.imencode(".png", self.page.ground[..., ::-1])[1].tobytes()
            picture = base64.b64encode(content).decode()
            yield f'<image width="{width}" height="{height}" href="data:image/png;base64,{picture}"/>'
        elif self.page.paper:
            yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        yield "</g>"
        for name in NAMES:
            for shape in drawing.layers.get(name, ()):
                yield from self._shape(shape, matrix)
        yield "</g>"

    def _shape(self, shape: Shape, matrix: Matrix) -> Iterator[str]:
        if not shape.rings:
            return
        clip = ""
        if len(shape.within):
            name, lines = self._clip(shape.within, holes=False)
            yield from lines
            clip = f' clip-path="url(#{name})"'
        if shape.colour is None or shape.hatch:
            name, lines = self._clip(shape.rings, shape.holes)
            yield from lines
            yield f'<g{clip}><g clip-path="url(#{name})">'
            if shape.colour is None:
                back = f"{_transform(_inverse(matrix))} {_transform(self.page.drawings[0][1])}"
                yield f'<use href="#background" transform="{back}"/>'
            else:
                ways = "".join(f"M{_place(*start)}L{_place(*end)}" for start, end in hatched(shape))
                paint = f'stroke="{_hex(shape.colour)}" stroke-width="{HATCH * shape.hatch:.3f}"'
                yield f'<path d="{ways}" {paint} fill="none"/>'
            yield "</g></g>"
            return
        fill = _hex(shape.colour)
        if shape.fade:
            name = self._name("fade")
            yield self._gradient(shape, name)
            fill = f"url(#{name})"
        opacity = f' fill-opacity="{shape.opacity:.3g}"' if shape.opacity < 1 and not shape.fade else ""
        rule = ' fill-rule="evenodd"' if shape.holes else ""
        yield f'<path d="{_outline(shape.rings)}" fill="{fill}"{opacity}{rule}{clip}/>'

    def _clip(self, rings: Sequence[Ring], holes: bool) -> tuple[str, list[str]]:
        """Return the name of a clip path, and the lines that define it where it is new."""
        key = (*map(id, rings), int(holes))
        if key in self.clips:
            return self.clips[key], []
        name = self.clips[key] = self._name("clip")
        self.kept.append(rings)
        rule = ' clip-rule="evenodd"' if holes else ""
        return name, [f'<clipPath id="{name}"><path d="{_outline(rings)}"{rule}/></clipPath>']

    def _gradient(self, shape: Shape, name: str) -> str:
        fade = shape.fade
        assert fade is not None and shape.colour is not None
        stops = "".join(
            f'<stop offset="{offset}" stop-color="{_hex(colour)}" stop-opacity="{opacity:.3g}"/>'
            for offset, colour, opacity in ((0, shape.colour, shape.opacity), (1, fade.to, fade.opacity))
        )
        (x1, y1), (x2, y2) = fade.start, fade.end
        if not fade.stretch:
            way = f'x1="{x1:.3f}" y1="{y1:.3f}" x2="{x2:.3f}" y2="{y2:.3f}"'
            return f'<linearGradient id="{name}" gradientUnits="userSpaceOnUse" {way}>{stops}</linearGradient>'
        radius, turn = np.hypot(x2 - x1, y2 - y1), np.degrees(np.arctan2(y2 - y1, x2 - x1))
        moved = f"translate({x1:.3f} {y1:.3f}) rotate({turn:.3f}) scale(1 {fade.stretch:.3g})"
        way = f'cx="0" cy="0" r="{radius:.3f}" gradientTransform="{moved}"'
        return f'<radialGradient id="{name}" gradientUnits="userSpaceOnUse" {way}>{stops}</radialGradient>'

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"


def _layers(drawing: Drawing, first: bool) -> dict[str, list[Shape]]:
    """Return the layers that are written one after the other."""
    named = {"lines" if first and name == "background" else name: shapes for name, shapes in drawing.layers.items()}
    return {name: shapes for name, shapes in named.items() if not (first and name in NAMES)}


def _outline(rings: Sequence[Ring]) -> str:
    """Write outlines as a path."""
    parts = []
    for ring in rings:
        runs = ring.beziers
        for number, run in enumerate(runs):
            parts.append(("L" if number else "M") + _place(*run[0, 0]))
            parts += ["C" + " ".join(_place(*place) for place in curve[1:]) for curve in run]
        parts.append("Z")
    return "".join(parts)


def _place(x: float, y: float) -> str:
    return f"{x:.2f} {y:.2f}"


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(255 * min(max(value, 0.0), 1.0)):02x}" for value in colour)


def _transform(matrix: Matrix) -> str:
    (a, c, e), (b, d, f) = matrix.tolist()
    return f"matrix({a:.6g} {b:.6g} {c:.6g} {d:.6g} {e:.6g} {f:.6g})"


def _inverse(matrix: Matrix) -> Matrix:
    linear = np.linalg.inv(matrix[:, :2])
    return np.asarray(np.column_stack([linear, -linear @ matrix[:, 2]]), np.float64)
