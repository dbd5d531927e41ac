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
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.spatial import Delaunay
from torch import Tensor

from ganchain.colour import bare, worn
from ganchain.colour.bare import Planes
from ganchain.colour.makeup import FINER, REGIONS
from ganchain.evaluate.transfer import BLUSHES
from ganchain.faces import atlas, mesh
from ganchain.faces.regions import Shape, regions
from ganchain.framing import TIGHT
from ganchain.looks import transfer
from ganchain.looks.transfer import READ
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import aligned

FACES = 960
SIZE = (bare.SMALL, bare.SMALL)
FLOOR = (1.5, 1.0, 1.0)  # Lab, of standard deviations
KINDS = 24  # components that are kept
COLOURS = (1.0, 1.5, 1.5)  # how much L, a and b count in them
ROUNDS = 4  # in which what a face does not show is filled by its own components
ALIKE = 20.0  # neighbouring px deviate alike, so that each of them tells less
ALL = (*REGIONS, *FINER)
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
        light = float(bare.lighter(tone))
        small = cv2.resize(apart * weight[..., None], SIZE, interpolation=cv2.INTER_AREA)
        share = cv2.resize(weight, SIZE, interpolation=cv2.INTER_AREA)[..., None]
        for number, part in enumerate((share, share * light, share * light**2, small, small * light)):
            sums[number] = sums[number] + part
    n, t, tt, d, td = sums
    slope = (n * td - t * d) / (n * tt - t * t + 4 * n + 1e-3)  # towards none where few were seen
    mean = (d - slope * t) / (n + 1e-3)
    usual = Usual(mean.astype(np.float32), slope.astype(np.float32))
    tables = {"mean": mean, "slope": slope} | kinds(everybody, usual)
    usual = usual._replace(components=tables["components"] * tables["steps"][:, None, None, None])
    squares, total = 0.0, 0.0
    for apart, tone, seen, weight in unrolled(everybody):
        extra = cv2.GaussianBlur(apart - usual.of(apart, tone, seen, tables["certainty"]), (0, 0), 2)
        share = cv2.resize(weight, SIZE, interpolation=cv2.INTER_AREA)[..., None]
        squares = squares + cv2.resize(extra**2 * weight[..., None], SIZE, interpolation=cv2.INTER_AREA)
        total = total + share
    spread = np.sqrt(squares / (total + 1e-3) + np.square(FLOOR)).astype(np.float32)
    covariance, lips = covariances(everybody, usual, tables["certainty"], spread)
    halves = {name: tables[name].astype(np.float16) for name in ("mean", "slope", "steps", "certainty")}
    rest = {"spread": spread.astype(np.float16), "covariance": covariance.astype(np.float16)}
    return halves | rest | {"components": tables["components"], "lips": lips.astype(np.float32)}


class Usual(NamedTuple):
    """How bare faces usually differ from their own skin: see ``ganchain.colour.bare.Bare``."""

    mean: Planes
    slope: Planes
    components: Planes = np.zeros((1, bare.FEW, bare.FEW, 3), np.float32)

    def on(self, tone: Planes, size: tuple[int, int]) -> Planes:
        """Return the usual difference on a skin, at a size."""
        return np.asarray(cv2.resize(self.mean + self.slope * bare.lighter(tone), size), np.float32)

    def of(self, apart: Planes, tone: Planes, seen: Planes, certainty: Planes) -> Planes:
        """Return it with what is guessed of one face."""
        usual = self.on(tone, apart.shape[1::-1])
        empty = np.zeros(0, np.float32)
        known = bare.Bare(empty, empty, self.components, certainty, empty, empty, empty)
        return usual + known.under(apart - usual, seen)


def kinds(everybody: list[Person], usual: Usual) -> dict[str, np.ndarray]:
    """Find the components in which bare faces differ together, and how surely each place tells of them."""
    rows, seen = zip(
        *(
            bare.reduced(apart - usual.on(tone, apart.shape[1::-1]), full)
            for apart, tone, full, _ in unrolled(everybody)
        ),
        strict=True,
    )
    face, free = surface()
    known = np.repeat((np.stack(seen)[:, face] > bare.FULLY)[..., None], 3, axis=2).reshape(len(rows), -1)
    values = (np.stack(rows)[:, face] * np.array(COLOURS, np.float32)).reshape(len(rows), -1)
    whole = np.where(known, values, 0)
    for _ in range(ROUNDS):
        _, axes = np.linalg.eigh(whole @ whole.T)
        left = axes[:, -KINDS:]
        right = left.T @ whole
        whole = np.where(known, values, left @ right)
    noise = (np.where(known, values - left @ right, 0) ** 2).sum(axis=0) / (known.sum(axis=0) + 1) + 0.5
    components = np.zeros((KINDS, bare.FEW, bare.FEW, 3), np.float32)
    components[:, face] = (right / np.sqrt(len(rows))).reshape(KINDS, -1, 3) / COLOURS
    certainty = np.zeros((bare.FEW, bare.FEW, 3), np.float32)
    certainty[face] = np.square(COLOURS) / noise.reshape(-1, 3) / ALIKE
    near = cv2.GaussianBlur(face.astype(np.float32), (0, 0), 2)[..., None]
    for plane in components:  # they go on softly beyond the face
        plane[~face] = (cv2.GaussianBlur(plane, (0, 0), 2) / (near + 1e-3) * (8 * near).clip(0, 1))[~face]
    steps = np.abs(components).max(axis=(1, 2, 3)) / 127
    whole_steps = np.round(components / steps[:, None, None, None]).astype(np.int8)
    return {"components": whole_steps, "steps": steps, "certainty": certainty * free[..., None]}


def surface() -> tuple[np.ndarray, np.ndarray]:
    """Tell which px of the small map are skin, and which of them seldom wear makeup: twice (FEW, FEW)."""
    points = torch.from_numpy(transfer.mean_points())
    shapes = [Shape(height=0.8, depth=0.6, under=0.6, blush=blush) for blush in BLUSHES]
    drawn = torch.cat([regions(points, torch.ones(1, 1, bare.SMALL, bare.SMALL), shape) for shape in shapes]).numpy()
    limits = {"lips": 0.1, "lids": 0.3, "liner": 0.1, "cheeks": 0.2}
    worn_often = np.any([drawn[:, ALL.index(name)] > limit for name, limit in limits.items()], axis=(0, 1))
    openings = cv2.resize(transfer.zones().openings, SIZE, interpolation=cv2.INTER_AREA)
    beside = cv2.dilate((worn_often | (openings > 0.2)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    skin = np.max([drawn[0, ALL.index(name)] for name in ("surface", "skin", "brows")], axis=0) * (1 - openings)
    brows = cv2.resize(transfer.zones().brows, SIZE, interpolation=cv2.INTER_AREA)
    free = (skin > 0.9) & ~beside & (brows < 0.3)
    few = (bare.FEW, bare.FEW)
    return tuple(cv2.resize(x.astype(np.float32), few, interpolation=cv2.INTER_AREA) > 0.5 for x in (skin, free))


def covariances(everybody: list[Person], usual: Usual, certainty: Planes, spread: Planes) -> tuple[Planes, Planes]:
    """Measure the covariance of differences as they are read for a transfer, at each place and of the lips."""
    total, squares, lips = 0.0, 0.0, []
    zones, size = transfer.zones(), (atlas.SIDE, atlas.SIDE)
    wide = cv2.resize(spread, size)
    for apart, tone, seen, _ in islice(unrolled(everybody), 0, None, 2):
        extra, known = worn.smoothed(apart - usual.of(apart, tone, seen, certainty), seen, zones, wide)
        lips.append(worn.lips_of(apart - usual.on(tone, size), seen * zones.lips))
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
