"""Tiles: a network runs over a whole photo in overlapping tiles, in memory that does not grow with its height."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ganchain import tensors
from ganchain.faces.face import Face
from ganchain.framing import EYE_DISTANCE
from ganchain.photos.photo import Photo
from ganchain.stage import Stage
from ganchain.tensors import Pixels

MAX_UPSCALING = 2.0
MAX_UNTILED = 1536  # px: the longest side of a photo that is not tiled
TILE = 384
OVERLAP = 64


def tiled(
    run: Callable[[Tensor], Tensor], pixels: Pixels, scale: int, multiple: int = 1, largest: int = TILE
) -> Pixels:
    """Run a picture-to-picture network over (H, W, 3) uint8 in tiles that fade into each other.

    Args:
        run: (1, 3, h, w) float32 -1..1 -> (1, 3, h * scale, w * scale); h and w are multiples of ``multiple``.
        scale: output side / input side.
        largest: side of the tiles; a picture that exceeds it by no more than they overlap is one tile.

    Returns:
        (H * scale, W * scale, 3) uint8.
    """
    height, width = pixels.shape[:2]
    tile_h, rows = _split(height, multiple, largest)
    tile_w, columns = _split(width, multiple, largest)
    step_h, step_w = tile_h - OVERLAP, tile_w - OVERLAP
    bottom = (rows - 1) * step_h + tile_h - height
    right = (columns - 1) * step_w + tile_w - width
    padded = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REFLECT_101).astype(np.uint8)
    if rows == columns == 1:
        return tensors.to_pixels(run(tensors.to_faces(padded)))[0, : height * scale, : width * scale]
    result = np.empty((height * scale, width * scale, 3), np.uint8)
    overlap = OVERLAP * scale
    carried_rows = torch.empty(0)
    for row in range(rows):
        strip = torch.zeros(1, 3, tile_h * scale, padded.shape[1] * scale)
        for column in range(columns):
            x = column * step_w
            tile = padded[row * step_h : row * step_h + tile_h, x : x + tile_w]
            answer = run(tensors.to_faces(tile)).float().cpu() * _fade(tile_w, column, columns, scale)
            strip[..., x * scale : (x + tile_w) * scale] += answer
        strip *= _fade(tile_h, row, rows, scale)[:, None]
        if row > 0:
            strip[:, :, :overlap] += carried_rows
        carried_rows = strip[:, :, -overlap:]
        top = row * step_h * scale
        finished = tensors.to_pixels(strip if row == rows - 1 else strip[:, :, :-overlap])[0]
        result[top : top + finished.shape[0]] = finished[: result.shape[0] - top, : result.shape[1]]
    return result


def count(size: tuple[int, int], multiple: int = 1) -> int:
    """Count the tiles of a photo of this size."""
    return _split(size[0], multiple, TILE).tiles * _split(size[1], multiple, TILE).tiles


class _Split(NamedTuple):
    """Division of an axis into tiles: their side in px, and how many they are."""

    side: int
    tiles: int


def _split(length: int, multiple: int, largest: int) -> _Split:
    """Divide an axis of ``length`` px into tiles."""
    if length <= largest + OVERLAP:
        return _Split(ceil(length / multiple) * multiple, 1)
    tile = largest // multiple * multiple
    return _Split(tile, ceil((length - OVERLAP) / (tile - OVERLAP)))


def _fade(side: int, index: int, count: int, scale: int) -> Tensor:
    """Compute the weights (side * scale,) of one tile along an axis; where tiles overlap they add up to 1."""
    weights = torch.ones(side * scale)
    ramp = (torch.arange(OVERLAP * scale) + 0.5) / (OVERLAP * scale)
    if index > 0:
        weights[: len(ramp)] = ramp
    if index < count - 1:
        weights[-len(ramp) :] = 1 - ramp
    return weights


def scale_for(stage: Stage, photo: Photo, faces: Sequence[Face]) -> float:
    """Compute the factor that gives the photo's largest face the size the stage was trained on."""
    whole = stage.whole_photo
    if whole.side is None or stage.side is None:
        return 1.0
    if not faces:
        return min(1.0, whole.side / max(photo.size))
    trained = stage.side * EYE_DISTANCE / stage.framing.side
    step = min(MAX_UPSCALING, trained / max(face.eye_distance for face in faces))
    return step if whole.tiles else min(step, MAX_UNTILED / max(photo.size))
