"""Figures of drawn faces: colours of eyes, order of skins, short strokes, and the time of a face."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from ganchain.drawing import eyes
from ganchain.drawing.draw import SHORT, Style, draw
from ganchain.drawing.paint import paint
from ganchain.drawing.paths import UNITS, Drawing, Knots, Line, Planes, Ring
from ganchain.drawing.planes import reduced
from ganchain.drawing.study import Study
from ganchain.evaluate.edits import People
from ganchain.faces.align import Aligner
from ganchain.faces.parts import PARTS
from ganchain.framing import HEAD
from ganchain.pipeline.reader import FaceReader

SIDE = 512  # px of the drawings
COLOURED = 6.0  # chroma from which an iris has a hue
NEAR = 25.0  # degrees between the hues of two irises that count as the same
SKINS = 20  # people whose skins are brought into order
TOUCH = 0.02  # of the same: strokes that are as near as that are one
FREE = ("eyes", "mouth")  # layers in which strokes may be short


def figures(people: People) -> dict[str, float]:
    """Measure drawings of test heads.

    "iris hue within 25": share of the irises with a hue that keep it. "skin order": Spearman's correlation of the
    lightness of skin in photos and drawings, of 20 people picked evenly. "short strokes": strokes outside eyes and
    mouth that are shorter than a tenth of the eyes' distance, a face. "drawn: ms": a face at 512 px, on one thread.
    """
    hues, skins, short, seconds = [], [], 0, []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    studies = list(_studies(people))
    for study in studies:
        start = time.process_time()
        drawing = draw(study.picture, study.points, study.mattes, Style(eyes=0))
        painted = paint(drawing, SIDE)
        seconds.append(time.process_time() - start)
        short += _short(drawing, study.width)
        shown = Study(np.asarray(painted / np.float32(255), np.float32), study.points, study.mattes)
        skins.append(tuple(float(np.median(s.lab[..., 0][study.bare > 0.8])) for s in (study, shown)))
        for eye in eyes.EYES:
            colours = [np.array(eyes.iris_colour(s, eye)[1:]) for s in (study, shown)]
            if np.hypot(*colours[0]) > COLOURED:
                turn = np.degrees(np.arctan2(*colours[0]) - np.arctan2(*colours[1]))
                hues.append(abs((turn + 180) % 360 - 180) <= NEAR)
    cv2.setNumThreads(threads)
    step = max(1, len(skins) // SKINS)
    ranks = np.argsort(np.argsort(np.array(skins[::step][:SKINS]), axis=0), axis=0)
    found = {"iris hue within 25": float(np.mean(hues))} if hues else {}
    if len(ranks) > 2:
        found["skin order"] = float(np.asarray(np.corrcoef(ranks.T))[0, 1])
    return {**found, "short strokes": short / len(studies), "drawn: ms": 1000 * float(np.median(seconds))}


def _studies(people: People) -> Iterator[Study]:
    """Yield what is measured of each head."""
    reader, aligner = FaceReader(torch.device("cpu")), Aligner(HEAD, side=SIDE)
    for person in people.all:
        canvas, reading = aligner.canvas(person.pixels, person.face), reader.of(person.pixels, person.face)
        read = reading.within(HEAD, canvas.before, ("points", *PARTS))
        picture: Planes = reduced(((canvas.before[0].permute(1, 2, 0).numpy() + 1) / 2).astype(np.float32), SIDE)
        points: Knots = (read.pop("points")[0].double().numpy() + 1) * (UNITS / 2)
        yield Study(picture, points, {name: part[0, 0].numpy() for name, part in read.items()})


def _short(drawing: Drawing, width: float) -> int:
    """Count the strokes outside eyes and mouth that are short and touch no other one."""
    lines = [
        ring
        for name, shapes in drawing.layers.items()
        for shape in shapes
        if isinstance(shape, Line) and name not in FREE
        for ring in shape.rings
    ]
    short = [ring for ring in lines if ring.reach < SHORT * width]
    return sum(not any(_touch(ring, other, TOUCH * width) for other in lines if other is not ring) for ring in short)


def _touch(first: Ring, second: Ring, near: float) -> bool:
    a, b = np.concatenate(first.runs), np.concatenate(second.runs)
    return bool((np.linalg.norm(a[:, None] - b, axis=2) < near).any())
