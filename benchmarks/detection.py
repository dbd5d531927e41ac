"""Cost and yield of the detector's copy by its side, against ``detector(photo, 1)`` on the full photo.

    python benchmarks/detection.py FOLDER [SIDE ...]

The truth are the faces that dlib finds at upsample 1 with a score of 0.5 or more; a face counts as found when a
detection of ours overlaps it by 0.4 (IoU). Times are medians on an enlarged 12-megapixel copy of the first photo with a
face.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np

from ganchain.errors import PhotoError
from ganchain.faces.detect import DlibDetector
from ganchain.photos import images

Box = tuple[float, float, float, float]


def overlap(a: Box, b: Box) -> float:
    """Compute the intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def seconds(call: Callable[[], object], runs: int = 3) -> float:
    """Return the median time of ``runs`` calls."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(folder: Path, sides: list[int]) -> None:
    detector = dlib.get_frontal_face_detector()
    photos: list[np.ndarray] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in images.SUFFIXES:
            try:
                photos.append(images.read(path).pixels)
            except PhotoError as error:
                print(error)
    truth: list[list[Box]] = []
    for photo in photos:
        boxes, scores, _ = detector.run(photo, 1, 0.0)
        pairs = zip(boxes, scores, strict=True)
        truth.append([(b.left(), b.top(), b.right(), b.bottom()) for b, s in pairs if s >= 0.5])
    first = next(photo for photo, boxes in zip(photos, truth, strict=True) if boxes)
    grow = (12e6 / (first.shape[0] * first.shape[1])) ** 0.5
    large = cv2.resize(first, None, fx=grow, fy=grow, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    full = seconds(lambda: detector(large, 1), 1)
    total = sum(map(len, truth))
    print(f"{len(photos)} photos, {total} faces of score >= 0.5; detector(photo, 1) on 12 MP: {full:.2f} s")
    for side in sides:
        detector_of_side = DlibDetector(side=side, min_size=0)
        hits = false_hits = 0
        for photo, boxes in zip(photos, truth, strict=True):
            own_boxes = [face.box for face in detector_of_side(photo) if face.left_out is None]
            hits += sum(any(overlap(box, own_box) > 0.4 for own_box in own_boxes) for box in boxes)
            false_hits += sum(all(overlap(box, own_box) <= 0.4 for box in boxes) for own_box in own_boxes)
        cost = seconds(lambda finder=detector_of_side: finder(large))
        print(f"side {side}: found {hits}/{total}, further {false_hits}, 12 MP {cost:.3f} s, ratio {cost / full:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(side) for side in sys.argv[2:]] or [640, 960, 1280, 1600, 2000])
