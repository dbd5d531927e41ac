"""Heads and their hair mattes: the teacher's answers, varied in hair colour, background, light and place."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ganchain.colour.hair import Dye, dye
from ganchain.framing import HEAD
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.train.data import Sample, read
from ganchain.train.landmarks import landmarks
from ganchain.train.teachers.hair import matte

Maps = NDArray[np.uint8]  # (N, 3, H, W): hair, backdrop (0..255) and known (0 or 255)
Item = tuple[Tensor, Tensor, Tensor]  # face (3, H, W) -1..1, hair and known (1, H, W) 0..1


def maps(heads: list[Sample], cache: Path) -> Maps:
    """Return the teacher's maps of ``heads``; read from ``cache`` (.npz) when it fits them."""
    names = np.array([str(sample.path) for sample in heads])
    if cache.exists():
        with np.load(cache) as stored:
            if np.array_equal(stored["names"], names):
                return np.asarray(stored["maps"])
    points = landmarks(heads, HEAD, cache.with_name(f"landmarks-{cache.name}"))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        answers = np.stack(list(pool.map(_map, [sample.path for sample in heads], points, chunksize=20)))
    np.savez_compressed(cache, names=names, maps=answers)
    return answers


def _map(path: Path, points: NDArray[np.float64]) -> Maps:
    """Make the teacher's map of one head."""
    cv2.setNumThreads(1)
    head_matte = matte(read(path), points)
    return np.asarray((np.stack([head_matte.hair, head_matte.backdrop, head_matte.known]) * 255).round(), np.uint8)


class Heads(Dataset[Item]):
    """Heads and their mattes; ``varied``: dyed, put before another background, moved and lit at random."""

    def __init__(self, heads: list[Sample], answers: Maps, varied: bool) -> None:
        self.heads, self.answers, self.varied = heads, answers, varied

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, index: int) -> Item:
        pixels, answer = read(self.heads[index].path), self.answers[index]
        if self.varied:
            if answer[2].all():
                pixels = self._replace_background(self._dye(pixels, answer[0]), answer[1])
            pixels, answer = _move(pixels, answer)
            pixels = _relight(pixels)
        planes = torch.from_numpy(answer.copy()).float()[:, None] / 255
        return to_faces(pixels)[0], planes[0], planes[2]

    def _dye(self, pixels: Pixels, hair: NDArray[np.uint8]) -> Pixels:
        """Dye the hair at random, every second time."""
        if _chance(0.5):
            return pixels
        light, reddish, yellow = _between(6, 75), _between(-1, 14), _between(-3, 30)
        ramp = ((0.0, 0.0, 0.0), (50.0, reddish, yellow), (100.0, reddish / 2, yellow / 2))
        colour = Dye(light, (4 + light / 8, 8 + light / 8), ramp)
        alpha = torch.from_numpy(hair).float()[None, None] / 255
        return np.asarray(to_pixels(dye(to_faces(pixels), alpha, colour))[0])

    def _replace_background(self, pixels: Pixels, backdrop: NDArray[np.uint8]) -> Pixels:
        """Put a head before a part of another training picture, sharp or blurred, or before a flat colour."""
        if _chance(0.4):
            return pixels
        other_head = read(self.heads[int(torch.randint(len(self.heads), ()))].path)
        side, (height, width) = int(_between(24, 128)), pixels.shape[:2]
        part = other_head[:side, :side] if _chance(0.5) else other_head[-side:, -side:]  # wall or clothes
        behind = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        if _chance(0.3):
            behind = np.broadcast_to(torch.randint(256, (3,)).numpy().astype(np.uint8), pixels.shape)
        alpha = backdrop[..., None] / 255
        return np.asarray((pixels * (1 - alpha) + behind * alpha).round(), np.uint8)


def _between(low: float, high: float) -> float:
    """Draw a number between ``low`` and ``high``."""
    return low + (high - low) * float(torch.rand(()))


def _chance(share: float) -> bool:
    """Return True with probability ``share``."""
    return float(torch.rand(())) < share


def _move(pixels: Pixels, answer: Maps) -> tuple[Pixels, Maps]:
    """Mirror, turn (12 degrees), scale (0.8-1.25) and shift (8 %), so that errors of alignment do not matter."""
    side = pixels.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), _between(-12, 12), _between(0.8, 1.25))
    matrix[:, 2] += _between(-0.08, 0.08) * side, _between(-0.08, 0.08) * side
    if _chance(0.5):
        matrix[0] = (0, 0, 2 * middle) - matrix[0]
    planes = np.ascontiguousarray(answer.transpose(1, 2, 0))
    moved_pixels, moved_planes = (
        np.asarray(cv2.warpAffine(x, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
        for x in (pixels, planes)
    )
    return moved_pixels, moved_planes.transpose(2, 0, 1)


def _relight(pixels: Pixels) -> Pixels:
    """Change exposure (gamma 0.6-1.6), white balance (10 %) and sharpness at random."""
    light = (pixels / 255) ** _between(0.6, 1.6) * (0.9 + 0.2 * torch.rand(3).numpy())
    changed = np.asarray((light * 255).clip(0, 255).round(), np.uint8)
    if _chance(0.3):
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), _between(0.4, 1.6)), np.uint8)
    return changed
