"""Cost and yield of detection: of the cascade against a search of the whole copy, and of the copy by its side.

    python -m benchmarks.detection FOLDER ... [--sides SIDE ...] [--mirrored]

**Without --sides**, each photo is searched twice on one thread: by dlib's detector all over the copy, and by the
cascade (``ganchain.faces.cascade``). A face counts as found again when their boxes overlap by 0.4 (IoU). Printed are
the faces lost and gained, the distance of their five landmarks in per cent of the eye distance, in how many photos the
cascade gave up and searched the whole copy, and the processor's time of both; then the same times for portraits of 1
and of 12 megapixels, the first five photos with one face.

**With --sides**, the copy's side is compared with ``detector(photo, 1)`` on the full photo. The truth are the faces
that dlib finds at upsample 1 with a score of 0.5 or more. Times are medians on an enlarged 12-megapixel copy of the
first photo with a face.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ganchain.errors import PhotoError
from ganchain.faces.cascade import Cascade, Found
from ganchain.faces.detect import DlibDetector
from ganchain.faces.dlib_models import HogDetector, dlib
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.tensors import Pixels

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


def read(folders: list[Path]) -> Iterator[tuple[Path, Pixels]]:
    """Read the photos of folders; those that cannot be read are named."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        if path.suffix.lower() in images.SUFFIXES:
            try:
                yield path, images.read(path).pixels
            except PhotoError as error:
                print(error)


class Counted:
    """Search of the whole copy that counts its calls."""

    def __init__(self) -> None:
        self.calls, self.hog = 0, HogDetector()

    def __call__(self, pixels: Pixels) -> Found:
        self.calls += 1
        return self.hog(pixels)


def timed(detector: DlibDetector, pixels: Pixels) -> tuple[list[Face], float]:
    """Find the faces to be edited, and measure the processor's seconds."""
    start = time.thread_time()
    faces = detector(pixels)
    return [face for face in faces if face.left_out is None], time.thread_time() - start


def sized(pixels: Pixels, megapixels: float) -> Pixels:
    """Enlarge or reduce a photo to a number of megapixels."""
    grow = (megapixels * 1e6 / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    kind = cv2.INTER_AREA if grow < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, None, fx=grow, fy=grow, interpolation=kind), np.uint8)


def compare(folders: list[Path], mirrored: bool) -> None:
    """Compare the cascade with a search of the whole copy."""
    counted = Counted()
    whole, cascade = DlibDetector(hog=HogDetector()), DlibDetector(hog=Cascade(whole=counted))
    portraits: list[Pixels] = []
    photos = faces = gave_up = same = 0
    spent, distances = np.zeros(2), list[float]()
    for path, pixels in read(folders):
        pixels = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
        photos, before = photos + 1, counted.calls
        truth, seconds_whole = timed(whole, pixels)
        own, seconds_cascade = timed(cascade, pixels)
        gave_up += counted.calls > before
        spent += (seconds_whole, seconds_cascade)
        pairs = [(face, max(own, key=lambda other: overlap(face.box, other.box), default=None)) for face in truth]
        again = [(face, other) for face, other in pairs if other and overlap(face.box, other.box) > 0.4]
        faces += len(truth)
        same += sum(face.box == other.box for face, other in again)
        distances += [
            float(np.linalg.norm(face.landmarks - other.landmarks, axis=1).mean()) / face.eye_distance
            for face, other in again
        ]
        found = [other for _, other in again]
        for kind, left in (
            ("lost", [face for face, _ in pairs if all(face is not one for one, _ in again)]),
            ("gained", [face for face in own if all(face is not one for one in found)]),
        ):
            for face in left:
                print(f"{kind}: {path.name}, box {[round(edge) for edge in face.box]}, score {face.score:.2f}")
        if len(portraits) < 5 and len(truth) == 1:
            portraits.append(pixels)
    print(f"{photos} photos, {faces} faces; {same} in the very same box; whole copy searched in {gave_up} photos")
    share = np.array(distances or [0]) * 100
    print(f"landmarks apart, % of the eye distance: mean {share.mean():.3f}, most {share.max():.2f}")
    print(f"ms a photo: whole {1000 * spent[0] / photos:.1f}, cascade {1000 * spent[1] / photos:.1f}")
    for megapixels in (1, 12) if portraits else ():
        resized = [sized(portrait, megapixels) for portrait in portraits]
        times = [[timed(detector, photo)[1] for photo in resized for _ in range(5)] for detector in (whole, cascade)]
        one_way, other_way = (1000 * statistics.median(runs) for runs in times)
        print(f"portraits of {megapixels} MP: whole {one_way:.1f} ms, cascade {other_way:.1f} ms")


def by_side(folders: list[Path], sides: list[int]) -> None:
    """Compare copies of several sides with a search of the full photo."""
    detector = dlib.get_frontal_face_detector()
    photos = [pixels for _, pixels in read(folders)]
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


def main() -> None:
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sides", type=int, nargs="*", help="default: 640 960 1280 1600 2000")
    parser.add_argument("--mirrored", action="store_true", help="search the mirror images")
    arguments = parser.parse_args()
    if arguments.sides is None:
        compare(arguments.folders, arguments.mirrored)
    else:
        by_side(arguments.folders, arguments.sides or [640, 960, 1280, 1600, 2000])


if __name__ == "__main__":
    main()
