"""Write the common map of faces, and how bare skin looks on it, from training faces; after the points were trained anew.

python benchmarks/atlas.py DATA

It takes DATA/faces256: the men of the training split, who hardly ever wear makeup, and the people of Canada's set.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import Delaunay

from ganchain.faces import atlas, mesh
from ganchain.framing import TIGHT
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import aligned

FACES = 480
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


def main(data: Path) -> None:
    reader, people = FaceReader(torch.device("cpu")), []
    for sample in bare_faces(data):
        pixels = read(sample.path)
        reading = aligned(pixels, TIGHT, reader).reading
        assert reading is not None
        if reading.points.confidence > SURE:
            face = to_faces(pixels)
            people.append((face, reading.within(TIGHT, face, ("points", "skin"))))
    points = mean_face(np.stack([read["points"][0].numpy() for _, read in people]))
    np.savez_compressed(ROOT / "faces" / "atlas.npz", points=points, triangles=triangles(points))
    print(len(people), "faces")
    torch.save(people, "/tmp/gc/look/looks-cache/people.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
