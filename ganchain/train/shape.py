"""Recipe of the five landmarks: a shape predictor (Kazemi & Sullivan 2014), taught by our own network of points.

    python -m ganchain.train.shape DATA landmarks.dat [SEED]

The teacher reads the upright picture; the picture is then turned, enlarged, lit and degraded. The boxes are those that
the detector really gives on such pictures. About ten minutes on two cores.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator, default_rng

from ganchain.faces.chip import Box, Chip, Points, box_around, mirrored
from ganchain.faces.dlib_models import HogDetector, fit
from ganchain.framing import HEAD, TIGHT, Framing
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import Pixels
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import aligned

FOLDERS = {"faces256": TIGHT, "wide256": HEAD}  # with the framing of their pictures
OPTIONS = {"cascade_depth": 10, "num_trees_per_cascade_level": 322, "tree_depth": 3, "nu": 0.2}
OPTIONS |= {"oversampling_amount": 2, "feature_pool_size": 500, "num_test_splits": 60, "num_threads": 2}
DETECTOR, TEACHER = HogDetector(), FaceReader(torch.device("cpu"))
FIVE = (263, 362, 33, 133, 2)  # of ``faces.mesh``, in the template's order: corners of the eyes, base of the nose
# how far the template's own points (dlib's) lie from these, in its units, on average over the training faces
BESIDE = np.array([(-0.0033, 0.0075), (0.0137, -0.0007), (0.0033, 0.0075), (-0.0137, -0.0007), (0.0, 0.013)])


def jitter_box(middle: Points, side: float, rng: Generator) -> Box:
    """Make a square box near ``middle``, shifted and scaled at random."""
    x, y = middle + rng.normal(0, 0.04, 2) * side
    half = side / 2 * np.exp(rng.normal(0, 0.04))
    return (x - half, y - half, x + half, y + half)


def teacher_points(pixels: Pixels, framing: Framing) -> Points:
    """Read the five points of an aligned face: (5, 2) x, y."""
    points = aligned(pixels, framing, TEACHER).points[list(FIVE)]
    return points + BESIDE * (pixels.shape[1] / framing.side)


def picture_count(points: Points) -> int:
    """Choose how many pictures to make of a face: more of turned heads, which are rare."""
    eyes = points[:2].mean(axis=0) - points[2:4].mean(axis=0)
    aside = (points[4] - points[:4].mean(axis=0)) @ eyes / (eyes @ eyes)  # the nose, in eye distances
    return 3 + min(30, round((aside / 0.05) ** 2))


def warp(pixels: Pixels, points: Points, rng: Generator) -> tuple[Pixels, Points]:
    """Turn, scale and shear a face at random, with eyes 32-90 px apart, in the middle of a square; mirror half."""
    if rng.random() < 0.5:
        pixels, points = np.ascontiguousarray(pixels[:, ::-1]), mirrored(points, pixels.shape[1])
    eyes = float(np.exp(rng.uniform(np.log(32), np.log(90))))
    scale = eyes / float(np.linalg.norm(points[:2].mean(axis=0) - points[2:4].mean(axis=0)))
    angle, side = np.radians(np.clip(rng.normal(0, 16), -38, 38)), round(eyes * 3.8)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ (np.eye(2) + rng.normal(0, 0.03, (2, 2)))
    shift = side / 2 + rng.normal(0, 0.1, 2) * eyes - linear @ points.mean(axis=0)
    if scale < 1:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 / scale).astype(np.uint8)
    picture = cv2.warpAffine(pixels, np.column_stack([linear, shift]), (side, side), borderMode=cv2.BORDER_REFLECT_101)
    return picture.astype(np.uint8), points @ linear.T + shift


def degrade(pixels: Pixels, rng: Generator) -> Pixels:
    """Change exposure and contrast, add light from one side, and take away quality: few pixels, noise, JPEG."""
    light = (pixels / 255.0) ** np.exp(rng.normal(0, 0.4)) * np.exp(min(0.3, rng.normal(-0.2, 0.4)))
    x, slopes = np.linspace(-1, 1, len(pixels)), rng.normal(0, 0.25, 2)
    light = light * np.exp(slopes[0] * x + slopes[1] * x[:, None])[..., None] + rng.normal(0, 0.05)
    if rng.random() < 0.4:
        small_side = max(48, round(len(pixels) * rng.uniform(0.2, 1)))  # eyes 13 px apart and more
        light = cv2.resize(
            cv2.resize(light, (small_side, small_side), interpolation=cv2.INTER_AREA), pixels.shape[1::-1]
        )
    noise = rng.normal(0, 1, light.shape) * rng.exponential(0.015)
    picture = ((light + noise) * 255).round().clip(0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        stream = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])[1]
        picture = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), np.uint8)
    return picture


def find_box(pixels: Pixels, points: Points, rng: Generator) -> Box:
    """Find the detector's box of this face; where there is none, make a likely one."""
    middle, side = box_around(points)
    for box, _ in DETECTOR(pixels, -0.3):
        offset = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) - middle
        if np.abs(offset).max() < 0.28 * side and 0.8 < (box[2] - box[0]) / side < 1.35:
            return box
    return jitter_box(middle, side, rng)


def examples(sample: Sample, framing: Framing, seed: int) -> list[tuple[Pixels, Box, Points]]:
    """Make chips, as the predictor reads them, of one picture, with the box and the points in chip px."""
    rng, pixels = default_rng([seed, *sample.path.name.encode()]), read(sample.path)
    points, chips = teacher_points(pixels, framing), []
    for _ in range(picture_count(points)):
        picture, warped_points = warp(pixels, points, rng)
        picture = degrade(picture, rng)
        box = find_box(picture, warped_points, rng)
        chip = Chip.cut(picture, box)
        chips.append((chip.pixels, chip.place(box), chip.inward(warped_points)))
    return chips


def train(data: Path, out: Path, seed: int = 0, processes: int = 2) -> None:
    """Train on the pictures of ``data`` and write ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    pairs = [(sample, framing) for name, framing in FOLDERS.items() for sample in samples(data / name, "train")]
    with ProcessPoolExecutor(processes, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        results = pool.map(examples, *zip(*pairs, strict=True), [seed] * len(pairs), chunksize=16)
        pictures, boxes, points = zip(*(example for chips in results for example in chips), strict=True)
    fit(pictures, boxes, points, out, random_seed=str(seed), **OPTIONS)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("python -m ganchain.train.shape DATA OUT.dat [SEED]")
    train(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
