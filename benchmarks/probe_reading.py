"""Write what our networks read of the drawn face that engines are compared on, after they were trained anew.

python benchmarks/probe_reading.py ganchain/engines/probe.npz
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from ganchain.faces.reading import Reading
from ganchain.pipeline.reader import FaceReader
from ganchain.testing import _face, portrait


def main(target: str) -> None:
    reading: Reading = FaceReader(torch.device("cpu")).of(portrait(), _face())
    points, parts = reading.points, reading.parts
    print(f"confidence {points.confidence:.3f}")
    mattes = (parts.mattes * 255).round().astype(np.uint8)
    np.savez_compressed(target, points=points.places.astype(np.float32), mattes=mattes)


if __name__ == "__main__":
    main(sys.argv[1])
