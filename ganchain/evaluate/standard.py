"""Standard figure of super-resolution: PSNR of the luma on Set5 and Set14, as since SRCNN (Dong et al. 2014)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganchain.errors import PhotoError
from ganchain.stage import Stage
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.train.data import pictures, read

SETS = ("Set5", "Set14")


def luma(pixels: Pixels) -> NDArray[np.float64]:
    """Compute the luma by BT.601 as MATLAB's rgb2ycbcr does: (H, W, 3) uint8 -> (H, W) 16..235."""
    return 16 + pixels.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr(output: Pixels, photo: Pixels, border: int) -> float:
    """Compute the dB between the lumas, with ``border`` px at each side left out."""
    inside = slice(border, -border or None)
    error = (luma(output) - luma(photo))[inside, inside]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def figures(stage: Stage, factor: int, folder: Path) -> dict[str, float]:
    """Measure the sets that lie in ``folder``, with their originals: PNG files in folders of the sets' names.

    Raises:
        PhotoError: there is none of the sets.
    """
    values = {}
    for name in SETS:
        files = pictures(folder / name)
        if files:
            values[f"{name} x{factor}, luma dB"] = float(
                np.mean([_picture_psnr(stage, factor, file) for file in files])
            )
    if not values:
        raise PhotoError(f"neither {' nor '.join(SETS)} in {folder}")
    return values


def _picture_psnr(stage: Stage, factor: int, file: Path) -> float:
    """Measure one picture."""
    photo = read(file)
    height, width = (side - side % factor for side in photo.shape[:2])
    photo = photo[:height, :width]
    size = (width // factor, height // factor)
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    with torch.inference_mode():
        return psnr(to_pixels(stage(to_faces(small)))[0], photo, factor)
