"""Pictures of what is read of the faces of a photo: their points, and their parts as coloured mattes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from ganchain.faces import mesh
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.parts import PARTS
from ganchain.framing import HEAD
from ganchain.photos.photo import Photo
from ganchain.tensors import Pixels, to_faces

COLOURS = {
    "hair": (230, 60, 60),
    "beard": (200, 90, 230),
    "skin": (70, 190, 90),
    "glasses": (250, 220, 40),
    "cover": (50, 110, 250),
}
SHARE = 0.55  # of a part's colour in its pixels
SURFACE, FEATURES = (255, 255, 255), (255, 70, 150)
LINES = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.LIPS, mesh.IRISES)


def draw_points(photo: Photo, faces: Sequence[Face]) -> Photo:
    """Draw the 478 points of the faces that are not left out; those of eyes, irises and lips in another colour."""
    pixels = photo.pixels.copy()
    features = {point for line in LINES for point in line}
    for face in faces:
        if face.left_out is None:
            radius = max(1, round(face.eye_distance / 100))
            for number, (x, y) in enumerate(face.points):
                colour = FEATURES if number in features else SURFACE
                cv2.circle(pixels, (round(x * 16), round(y * 16)), radius * 16, colour, -1, cv2.LINE_AA, 4)
    return replace(photo, pixels=pixels)


def draw_parts(photo: Photo, faces: Sequence[Face]) -> Photo:
    """Colour the parts of each head whose face is not left out."""
    pixels = photo.pixels
    for face in faces:
        if face.left_out is None:
            pixels = _coloured(pixels, face)
    return replace(photo, pixels=pixels)


def _coloured(pixels: Pixels, face: Face) -> Pixels:
    """Colour the parts of one head."""
    canvas = Aligner(HEAD).canvas(pixels, face)
    names = [name for name in PARTS if name in COLOURS]
    mattes = face.parts.within(HEAD, canvas.before, names)
    after = canvas.before
    for matte, name in zip(torch.split(mattes, 1, dim=1), names, strict=True):
        colour = to_faces(np.array([[COLOURS[name]]], np.uint8))
        after = torch.lerp(after, colour.expand_as(after), SHARE * matte)
    return Aligner.paste(pixels, replace(canvas, after=after))
