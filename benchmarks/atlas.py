"""Write the common map of faces, and how bare skin looks on it, from training faces, after the points were
trained anew.

python benchmarks/atlas.py DATA

It takes DATA/faces256: the men of the training split, who hardly ever wear makeup, and the people of Canada's set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial import Delaunay
from torch import Tensor

from ganchain.colour import bare, worn
from ganchain.colour.bare import Planes
from ganchain.faces import atlas, mesh
from ganchain.framing import TIGHT
from ganchain.looks import transfer
from ganchain.looks.transfer import READ
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import aligned

FACES = 480
SIZE = (bare.SMALL, bare.SMALL)
FLOOR = (1.5, 1.0, 1.0)  # Lab, of standard deviations
Person = tuple[Tensor, dict[str, Tensor]]
SURE = 0.9  # of the network that there is a face
ROOT = Path(__file__).parents[1] / "ganchain"


def bare_faces(data: Path) -> list[Sample]:
    """List faces without makeup, evenly picked."""
    known = [
        sample
        for sample in samples(data / "faces256", "train")
        if sample.labels.get("gender") == "male" or sample.labels.get("dataset") == "canada"
    ]
    return known[:: max(1, len(known) // FACES)]


def mean_face(faces: np.ndarray) -> np.ndarray:
    """Average points (N, 478, 2) -1..1 and their mirror images: (468, 2)."""
    mean = np.median(faces, axis=0)
    mirrored = mean[list(mesh.MIRROR)] * (-1, 1)
    return ((mean + mirrored) / 2)[: atlas.SURFACE].astype(np.float32)


def triangles(points: np.ndarray) -> np.ndarray:
    """Triangulate the mean face: (T, 3), each in the order of an upright picture."""
    corners = Delaunay(points).simplices
    a, b, c = points[corners].transpose(1, 0, 2)
    turned = (b - a)[:, 0] * (c - a)[:, 1] < (b - a)[:, 1] * (c - a)[:, 0]
    corners[turned] = corners[turned][:, ::-1]
    return corners.astype(np.uint16)


def people(data: Path) -> list[Person]:
    """Read the points and the uncovered skin of bare faces."""
    reader, answer = FaceReader(torch.device("cpu")), []
    for sample in bare_faces(data):
        pixels = read(sample.path)
        reading = aligned(pixels, TIGHT, reader).reading
        assert reading is not None
        if reading.points.confidence > SURE:
            face = to_faces(pixels)
            answer.append((face, reading.within(TIGHT, face, READ)))
    return answer


def unrolled(everybody: list[Person]) -> Iterator[tuple[Planes, Planes, Planes, Planes]]:
    """Yield of each face and its mirror image: difference from its skin, skin, where it is seen, weight at a place."""
    for face, reading in everybody:
        lab, seen = transfer.on_map(face, reading)
        apart, tone = worn.difference(lab, seen, transfer.zones())
        for turned in (slice(None), slice(None, None, -1)):
            yield apart[:, turned], tone, seen[:, turned], (seen[:, turned] > 0.8).astype(np.float32)


def measure(everybody: list[Person]) -> dict[str, np.ndarray]:
    """Measure how bare faces differ from their own skin."""
    sums = [0.0] * 5
    for apart, tone, _, weight in unrolled(everybody):
        light = float(np.clip((tone[0] - bare.MIDDLE) / bare.WIDE, -2, 2))
        small = cv2.resize(apart * weight[..., None], SIZE, interpolation=cv2.INTER_AREA)
        share = cv2.resize(weight, SIZE, interpolation=cv2.INTER_AREA)[..., None]
        for number, part in enumerate((share, share * light, share * light**2, small, small * light)):
            sums[number] = sums[number] + part
    n, t, tt, d, td = sums
    slope = (n * td - t * d) / (n * tt - t * t + 4 * n + 1e-3)  # towards none where few were seen
    mean = (d - slope * t) / (n + 1e-3)
    squares, total = 0.0, 0.0
    for apart, tone, _, weight in unrolled(everybody):
        usual = mean + slope * np.clip((tone[0] - bare.MIDDLE) / bare.WIDE, -2, 2)
        extra = cv2.GaussianBlur(apart, (0, 0), 2) - cv2.resize(usual.astype(np.float32), apart.shape[:2])
        share = cv2.resize(weight, SIZE, interpolation=cv2.INTER_AREA)[..., None]
        squares = squares + cv2.resize(extra**2 * weight[..., None], SIZE, interpolation=cv2.INTER_AREA)
        total = total + share
    spread = np.sqrt(squares / (total + 1e-3) + np.square(FLOOR)).astype(np.float32)
    covariance, lips = covariances(everybody, mean.astype(np.float32), slope.astype(np.float32), spread)
    tables = {"mean": mean, "slope": slope, "spread": spread, "covariance": covariance}
    return {name: table.astype(np.float16) for name, table in tables.items()} | {"lips": lips.astype(np.float32)}


def covariances(everybody: list[Person], mean: Planes, slope: Planes, spread: Planes) -> tuple[Planes, Planes]:
    """Measure the covariance of differences as they are read for a transfer, at each place and of the lips."""
    total, squares, lips = 0.0, 0.0, []
    zones, size = transfer.zones(), (atlas.SIDE, atlas.SIDE)
    wide = cv2.resize(spread, size)
    for apart, tone, seen, _ in islice(unrolled(everybody), 0, None, 2):
        usual = mean + slope * np.clip((tone[0] - bare.MIDDLE) / bare.WIDE, -2, 2)
        extra, known = worn.smoothed(apart - cv2.resize(usual.astype(np.float32), size), seen, zones, wide)
        lips.append(worn.lips_of(apart - cv2.resize(usual.astype(np.float32), size), seen * zones.lips))
        small = cv2.resize(extra * known[..., None], SIZE, interpolation=cv2.INTER_AREA)
        share = cv2.resize(known, SIZE, interpolation=cv2.INTER_AREA)[..., None]
        both = small / (share + 1e-3)
        squares = squares + share[..., None] * both[..., :, None] * both[..., None, :]
        total = total + share
    rare = np.clip(1 - total / (0.1 * len(everybody)), 0, 1)[..., None] * 100 * np.eye(3)
    covariance = squares / (total[..., None] + 1e-3) + rare + np.diag(np.square(FLOOR))
    covariance = (covariance + covariance[:, ::-1]) / 2
    return covariance, np.cov(np.array(lips).T) + np.diag(np.square(FLOOR))


def main(data: Path) -> None:
    everybody = people(data)
    print(len(everybody), "faces")
    points = mean_face(np.stack([read["points"][0].numpy() for _, read in everybody]))
    np.savez_compressed(ROOT / "faces" / "atlas.npz", points=points, triangles=triangles(points))
    np.savez_compressed(ROOT / "colour" / "bare.npz", **measure(everybody))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
