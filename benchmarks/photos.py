"""Photos of one face at any size, for the benchmarks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ganchain.errors import PhotoError
from ganchain.faces.detect import DlibDetector
from ganchain.photos import images
from ganchain.tensors import Pixels


def make_photos(folder: Path, megapixels: float, out: Path, count: int) -> list[Path]:
    """Make ``count`` different photos of ``megapixels`` with a face, as JPEG in ``out``.

    They are those of ``folder``, then the same mirrored.

    Raises:
        SystemExit: ``folder`` has too few photos with a face.
    """
    out.mkdir(parents=True)
    photos: list[Path] = []
    for mirrored in (False, True):
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in images.SUFFIXES):
            if len(photos) == count:
                return photos
            pixels = _read_with_face(path)
            if pixels is None:
                continue
            grow = (megapixels * 1e6 / (pixels.shape[0] * pixels.shape[1])) ** 0.5
            kind = cv2.INTER_AREA if grow < 1 else cv2.INTER_CUBIC
            sized = cv2.resize(pixels[:, :: -1 if mirrored else 1], None, fx=grow, fy=grow, interpolation=kind)
            photos.append(out / f"{len(photos):03}.jpg")
            Image.fromarray(sized.astype(np.uint8)).save(photos[-1], quality=92)
    if len(photos) < count:
        raise SystemExit(f"{folder}: {len(photos) // 2} photos with a face; --photos {len(photos)} at most")
    return photos


@cache
def _read_with_face(path: Path) -> Pixels | None:
    """Read the photo if there is one face in it, so that seconds a photo are seconds a face; else None."""
    try:
        pixels = images.read(path).pixels
    except PhotoError:
        return None
    return pixels if sum(face.left_out is None for face in DlibDetector()(pixels)) == 1 else None
