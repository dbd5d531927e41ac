"""Super-resolution's usual figure: PSNR of the luma on Set5 and Set14, as since SRCNN (Dong et al. 2014)."""

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
    """BT.601 as MATLAB's rgb2ycbcr has it: (H, W, 3) uint8 -> (H, W) 16..235."""
    return 16 + pixels.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr(made: Pixels, photo: Pixels, shaved: int) -> float:
    """dB between the lumas, ``shaved`` px of the border left out."""
    inside = slice(shaved, -shaved or None)
    error = (luma(made) - luma(photo))[inside, inside]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def figures(stage: Stage, factor: int, folder: Path) -> dict[str, float]:
    """The sets that lie in ``folder``, as their originals: PNG files in folders of the sets' names."""
    found = {}
    for name in SETS:
        files = pictures(folder / name)
        if files:
            found[f"{name} x{factor}, luma dB"] = float(np.mean([_of_one(stage, factor, file) for file in files]))
    if not found:
        raise PhotoError(f"neither {' nor '.join(SETS)} in {folder}")
    return found


def _of_one(stage: Stage, factor: int, file: Path) -> float:
    photo = read(file)
    height, width = (side - side % factor for side in photo.shape[:2])
    photo = photo[:height, :width]
    size = (width // factor, height // factor)
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
    with torch.inference_mode():
        return psnr(to_pixels(stage(to_faces(small)))[0], photo, factor)
