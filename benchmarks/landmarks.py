"""Distance of our five landmarks from those of dlib's model, from the photo to the canvas, by data source.

    python benchmarks/landmarks.py FOLDER [OTHER.dat]

Both models read the boxes that ``DlibDetector`` finds. Points: mean distance of the five. Canvas: how far the aligned
canvas is moved (at its middle), enlarged and turned (100 % is one radian). All in % of the teacher's eye distance
and as mean / 95th percentile / maximum over the faces. In the dark the teacher errs more than our model does, so there
both are also compared with what the teacher reads in full light. Needs ``pip install 'ganchain[evaluate,train]'``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ganchain.errors import PhotoError
from ganchain.faces import align, detect
from ganchain.faces.chip import Box, Points
from ganchain.faces.dlib_models import BUNDLED, FivePoints, Landmarks
from ganchain.faces.face import Face
from ganchain.framing import TEMPLATE
from ganchain.photos import images
from ganchain.tensors import Pixels
from ganchain.train.data import samples

ALIGNED = ("faces256", "wide256")  # only their test split is read, of the other folders every photo
WHOLE = ("photos", "photos_cc0", "align")


def turn(pixels: Pixels, angle: float) -> Pixels:
    """Turn a picture about its middle, mirrored beyond its edge."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    return cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)


def darken(pixels: Pixels) -> Pixels:
    """Take away four fifths of the light, and add noise of 2 levels."""
    noise = np.random.default_rng(0).normal(0, 2, pixels.shape)
    return (pixels * 0.2 + noise).round().clip(0, 255).astype(np.uint8)


def halve(pixels: Pixels) -> Pixels:
    """Halve a picture's size."""
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)


def jpeg(pixels: Pixels) -> Pixels:
    """Compress a picture to JPEG of quality 20."""
    stream = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), np.uint8)


SPOILT: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda pixels: pixels,
    "turned 15": lambda pixels: turn(pixels, 15),
    "turned -15": lambda pixels: turn(pixels, -15),
    "turned 30": lambda pixels: turn(pixels, 30),
    "turned -30": lambda pixels: turn(pixels, -30),
    "a fifth of the light": darken,
    "half the size": halve,
    "JPEG 20": jpeg,
}


def sources(folder: Path) -> dict[str, list[Path]]:
    """List the pictures of each source."""
    paths: dict[str, list[Path]] = {}
    for name in ALIGNED:
        for sample in samples(folder / name, "test"):
            paths.setdefault(f"{name}, {sample.labels['dataset'].partition('_')[0]}", []).append(sample.path)
    for name in WHOLE:
        paths[name] = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in images.SUFFIXES)
    return paths


def read(path: Path) -> Pixels | None:
    """Read a picture; None where it cannot be read."""
    try:
        return images.read(path).pixels
    except PhotoError:
        return None


def pairs(pixels: Pixels, own: FivePoints, teacher: Landmarks) -> list[tuple[Face, Face]]:
    """Read each usable face with both models, in px of the picture that the detector lets them read."""
    readings: list[tuple[Face, Face]] = []

    def read_both(picture: Pixels, box: Box) -> Points:
        points, teacher_points = own(picture, box), teacher(picture, box)
        readings.append((Face(box, 1, points), Face(box, 1, teacher_points)))
        return points

    faces = detect.DlibDetector(landmarks=read_both)(pixels)
    return [pair for face, pair in zip(faces, readings, strict=True) if face.left_out is None]


def difference(ours: Face, theirs: Face) -> tuple[float, float, float, float]:
    """Compare two readings: points, shift, scale, turn, in % of the teacher's eye distance."""
    points = np.linalg.norm(ours.landmarks - theirs.landmarks, axis=1).mean() / theirs.eye_distance
    a, b = align.similarity(ours.landmarks), align.similarity(theirs.landmarks)
    shift = np.linalg.norm((a - b) @ np.append(TEMPLATE.mean(axis=0), 1)) / theirs.eye_distance
    ratio = complex(*a[:, 0]) / complex(*b[:, 0])
    return 100 * points, 100 * float(shift), 100 * abs(abs(ratio) - 1), 100 * abs(float(np.angle(ratio)))


def show(name: str, rows: list[tuple[float, float, float, float]]) -> None:
    """Print one row of the table."""
    table = np.array(rows)
    cells = [f"{c.mean():5.2f} {np.percentile(c, 95):5.2f} {c.max():5.1f}" for c in table.T]
    print(f"{name:40s} {len(rows):4d}  " + "   ".join(cells), flush=True)


def in_the_dark(name: str, pictures: list[Pixels], own: FivePoints, teacher: Landmarks) -> None:
    """Print how far both models in the dark are from the teacher in full light."""
    rows: list[tuple[Face, Face, Face]] = []
    for pixels in pictures:
        night = darken(pixels)
        for face in detect.DlibDetector()(night):
            if face.left_out is None:
                readings = (own(night, face.box), teacher(night, face.box), teacher(pixels, face.box))
                a, b, light = (Face(face.box, face.score, points) for points in readings)
                rows.append((a, b, light))
    show(f"{name}, dark, ours to full light", [difference(a, light) for a, _, light in rows])
    show(f"{name}, dark, teacher to full light", [difference(b, light) for _, b, light in rows])


def main(folder: Path, model: str | Path) -> None:
    cv2.setNumThreads(1)
    own, teacher = FivePoints(model), Landmarks()
    print(f"{'source':40s} faces {'points':>17s} {'shift':>19s} {'scale':>19s} {'turn':>19s}")
    aligned: dict[str, list[tuple[float, float, float, float]]] = {}
    for source, paths in sources(folder).items():
        pictures = [pixels for path in paths if (pixels := read(path)) is not None]
        for kind, spoil in SPOILT.items():
            if kind != "as it is" and source in ("photos_cc0", "align"):
                continue
            rows = [difference(*pair) for pixels in pictures for pair in pairs(spoil(pixels), own, teacher)]
            show(f"{source}, {kind}", rows)
            if source.startswith(ALIGNED):
                aligned.setdefault(kind, []).extend(rows)
        if source not in ("photos_cc0", "align"):
            in_the_dark(source, pictures, own, teacher)
    for kind, rows in aligned.items():
        show(f"all aligned test faces, {kind}", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else BUNDLED)
