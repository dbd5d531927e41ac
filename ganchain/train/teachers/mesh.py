"""Teacher of the points: labels aligned faces with MediaPipe's 478 points, in an environment of its own.

    python3.11 -m venv .venv-mesh && .venv-mesh/bin/pip install mediapipe==0.10.21
    .venv-mesh/bin/python ganchain/train/teachers/mesh.py DATA/faces256 -o DATA/points-faces256.npz

Nothing of ganchain is imported here, because mediapipe wants another numpy than ganchain has. One reading of the
teacher is off by two per cent of the iris distance (that is how far it differs from its reading of the mirrored
picture), so each picture is read eight times: a little turned, enlarged and mirrored, and the answers are averaged.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

POINTS = 478
RIM = 0.25  # mirrored border on each side, as a share of the picture's side
SIDE = 480  # px, the side the teacher sees, border included
VIEWS = ((0.0, 1.0), (5.0, 0.95), (-5.0, 1.05), (0.0, 1.1))  # degrees and enlargement of each reading
ASTRAY = 4.0  # per cent of the iris distance from the median, above which a reading is of another face
ENOUGH = 200  # faces, to tell which points are each other's mirror image
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
Points = NDArray[np.float32]  # (N, 478, 3): x, y, z in px of the picture, whole numbers at centres of pixels


def teacher() -> Any:
    """Build MediaPipe's face mesh with refined lips, eyes and irises."""
    try:
        mediapipe = import_module("mediapipe")
    except ImportError as error:
        raise SystemExit(f"{error}\nthe teacher is installed by: pip install mediapipe==0.10.21") from error
    return mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.3
    )


def read(mesh: Any, pixels: NDArray[np.uint8], side: int = SIDE, turn: float = 0.0, scale: float = 1.0) -> Points:
    """Read (478, 3) points of a square (S, S, 3) uint8 RGB picture; not-a-number where the teacher finds no face.

    Args:
        side: px that the teacher sees, a border of ``RIM`` included.
        turn, scale: of what it sees about the picture's centre, in degrees.
    """
    own = pixels.shape[0]
    centre = (own - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), turn, scale * side / (own * (1 + 2 * RIM)))
    matrix[:, 2] += (side - 1) / 2 - centre
    seen = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    found = mesh.process(seen).multi_face_landmarks
    if not found:
        return np.full((POINTS, 3), np.nan, np.float32)
    points = np.array([(point.x, point.y, point.z) for point in found[0].landmark]) * side
    linear = np.linalg.inv(matrix[:, :2])
    points[:, :2] = (points[:, :2] - 0.5 - matrix[:, 2]) @ linear.T  # the teacher counts from the picture's edge
    points[:, 2] *= np.sqrt(np.linalg.det(linear))
    return points.astype(np.float32)


def picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as (H, W, 3) uint8 RGB."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SystemExit(f"{path} cannot be read")
    return np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def mirrored(points: Points, order: NDArray[np.int64], side: int) -> Points:
    """Place the same points on the mirrored picture of ``side`` px; ``order`` names each point's partner."""
    flipped = points[:, order].copy()
    flipped[..., 0] = side - 1 - flipped[..., 0]
    return flipped


def partners(points: Points, others: Points, side: int) -> NDArray[np.int64]:
    """Find the partner of each point in the mirror: the one that lies nearest on the same faces, all taken together.

    Args:
        points, others: (N, 478, 3) of pictures and of their mirrored copies, in the same order.
        side: of the pictures, px.
    """
    back = others.copy()
    back[..., 0] = side - 1 - back[..., 0]  # where the mirrored copies' points lie on the pictures
    apart = sum(np.linalg.norm(one[:, None] - two[None], axis=-1) for one, two in zip(points, back, strict=True))
    order = (np.asarray(apart) + np.asarray(apart).T).argmin(axis=1)
    if not np.array_equal(order[order], np.arange(len(order))):
        raise SystemExit("too few faces to tell which points are each other's mirror image")
    return order.astype(np.int64)


def average(readings: Points) -> tuple[Points, NDArray[np.float32]]:
    """Average those readings (V, 478, 3) of one picture that agree, and how far apart they are.

    The latter is their mean distance from the mean in per cent of the iris distance, for each point, (478,).
    """
    middle = np.nanmedian(readings, axis=0)
    unit = np.linalg.norm(middle[468, :2] - middle[473, :2]) / 100
    off = np.linalg.norm((readings - middle)[..., :2], axis=-1).mean(axis=-1) / unit
    kept = readings[off < ASTRAY] if (off < ASTRAY).sum() > 1 else readings
    mean = np.nanmean(kept, axis=0)
    return mean, np.nanmean(np.linalg.norm((kept - mean)[..., :2], axis=-1), axis=0) / unit


def label(folder: Path, side: int) -> dict[str, NDArray[Any]]:
    """Label the square pictures, all of one size, in ``folder`` and the folders in it; returns what is stored.

    names (N,); points (N, 478, 3), the average, and plain, the reading of the picture as it is; spread (N, 478), see
    ``average``; mirror (478,), the partner of each point.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    mesh, start, ahead, back, own = teacher(), time.monotonic(), [], [], 0
    for number, path in enumerate(paths):
        pixels = picture(path)
        own, flipped = len(pixels), np.ascontiguousarray(pixels[:, ::-1])
        ahead.append([read(mesh, pixels, side, *view) for view in VIEWS])
        back.append([read(mesh, flipped, side, *view) for view in VIEWS])
        if number % 500 == 499:
            print(f"{number + 1} of {len(paths)} in {time.monotonic() - start:.0f} s", file=sys.stderr)
    plain, other = np.array(ahead)[:, 0], np.array(back)[:, 0]
    known = ~np.isnan(plain + other).any(axis=(1, 2))
    step = max(1, int(known.sum()) // ENOUGH)
    order = partners(plain[known][::step], other[known][::step], own)
    pairs = zip(ahead, back, strict=True)
    both = [average(np.concatenate([np.array(one), mirrored(np.array(two), order, own)])) for one, two in pairs]
    points, spread = (np.stack(each) for each in zip(*both, strict=True))
    names = np.array([path.relative_to(folder).as_posix() for path in paths])
    return {"names": names, "points": points, "plain": plain, "spread": spread, "mirror": order}


def main() -> None:
    """Label a folder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="square pictures of aligned faces, all of one size")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write, .npz")
    parser.add_argument("--side", type=int, default=SIDE, help="px that the teacher sees (default: %(default)s)")
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    stored = label(options.folder, options.side)
    np.savez_compressed(options.output, **stored)  # type: ignore[arg-type]
    missed = int(np.isnan(stored["points"]).any(axis=(1, 2)).sum())
    print(f"{len(stored['names'])} pictures, no face in {missed}; readings lie {np.nanmean(stored['spread']):.2f} % of")
    print("the iris distance from their mean")


if __name__ == "__main__":
    main()
