"""A stage applied: its window cut, its answer checked, its change brought to the photo's own resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from math import ceil

import cv2
import numpy as np
import torch
from torch import Tensor

from ganchain.errors import StageError
from ganchain.faces.align import Canvas
from ganchain.faces.face import Face
from ganchain.framing import EYE_DISTANCE
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline import tiles
from ganchain.stage import Stage
from ganchain.tensors import Pixels, bicubic, resize, to_faces, to_pixels

LARGEST_BATCH = 64  # faces
CPU_FULL = "DefaultCPUAllocator"  # how torch says that the CPU's memory is full
LARGEST_STEP = 2.0
WHOLE = 1536  # px: the longest side of a photo that is not tiled
RIM = 0.12  # share of a window's half side over which a change fades out at its rim
RESTYLED_RIM = 0.25  # the same for pixels that were replaced: all of the window differs, not only the face


def faces(
    stage: Stage, name: str, canvases: Sequence[Canvas], device: torch.device, batch: int | None = None
) -> list[Canvas]:
    """Run a face stage over canvases, windows of the same side in batches of at most ``batch``."""
    if stage.enlarges:
        return [_enlarged(stage, name, canvas, device) for canvas in canvases]
    windows = [stage.framing.within(canvas.framing, canvas.side) for canvas in canvases]
    sides = [stage.side or ceil(side / stage.multiple) * stage.multiple for _, _, side in windows]
    edited = list(canvases)
    for side in sorted(set(sides)):
        same = [index for index, one in enumerate(sides) if one == side]
        given = [_window(canvases[i], windows[i], side) for i in same]
        answers = batched(partial(checked, stage, name), given, device, batch)
        for i, window, answer in zip(same, given, answers, strict=True):
            edited[i] = _applied(stage, canvases[i], windows[i], window, answer)
    return edited


def batched(
    run: Callable[[Tensor], Tensor], given: Sequence[Tensor], device: torch.device, largest: int | None = None
) -> Iterator[Tensor]:
    """Run ``run`` over faces, each (1, 3, S, S), several at once; the answers one by one, on the CPU.

    ``largest`` faces at once, else what the device is good at; half as many whenever memory runs out.
    """
    size = largest or (LARGEST_BATCH if device.type == "cuda" else 1)
    start = 0
    while start < len(given):
        try:
            answers = run(torch.cat(list(given[start : start + size])).to(device)).cpu()
        except (MemoryError, torch.OutOfMemoryError):
            if size == 1:
                raise
            size = (min(size, len(given) - start) + 1) // 2
            continue
        yield from torch.split(answers, 1)
        start += size


def whole(stage: Stage, name: str, photo: Photo, chosen: list[Face], device: torch.device) -> tuple[Photo, list[Face]]:
    """Run a stage over the whole photo in tiles; geometry and alpha follow when it enlarges."""
    pixels = photo.pixels
    if not stage.enlarges and (step := _step(stage, photo, chosen)) != 1:
        kind = cv2.INTER_AREA if step < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, None, fx=step, fy=step, interpolation=kind).astype(np.uint8)
    pixels = _tiled(stage, name, pixels, device)
    if not stage.enlarges:
        width, height = photo.size
        if pixels.shape[:2] != (height, width):
            pixels = to_pixels(resize(to_faces(pixels), (height, width)))[0]
        return replace(photo, pixels=pixels), chosen
    alpha = None if photo.alpha is None else images.alpha_enlarged(photo.alpha, stage.scale)
    return replace(photo, pixels=pixels, alpha=alpha), [face.enlarged(stage.scale) for face in chosen]


def _step(stage: Stage, photo: Photo, chosen: Sequence[Face]) -> float:
    """How much the photo is resized so that its largest face has the size the stage was trained on."""
    if stage.photo_side is None or stage.side is None:
        return 1.0
    if not chosen:
        return min(1.0, stage.photo_side / max(photo.size))
    trained = stage.side * EYE_DISTANCE / stage.framing.side
    step = min(LARGEST_STEP, trained / max(face.eye_distance for face in chosen))
    return step if stage.tiles else min(step, WHOLE / max(photo.size))


def checked(stage: Stage, name: str, batch: Tensor) -> Tensor:
    """``stage(batch)``, its shape and finiteness checked, clamped to -1..1.

    Raises:
        StageError: it raised, or what it returned breaks the contract.
    """
    try:
        out = stage(batch)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if CPU_FULL in str(error):
            raise MemoryError(str(error)) from error
        raise StageError(f"stage {name!r} failed on a batch of shape {tuple(batch.shape)}: {error}") from error
    expected = (*batch.shape[:2], batch.shape[2] * stage.scale, batch.shape[3] * stage.scale)
    if not isinstance(out, Tensor) or tuple(out.shape) != expected:
        found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise StageError(f"stage {name!r} must return shape {expected} for {tuple(batch.shape)}, not {found}")
    if not (bool(out.sum().isfinite()) or bool(out.isfinite().all())):  # of what is finite, a sum can still overflow
        raise StageError(f"stage {name!r} returned values that are not finite")
    return out.float().clamp(-1, 1)


def _window(canvas: Canvas, window: tuple[int, int, int], side: int) -> Tensor:
    x, y, size = window
    return resize(canvas.after[:, :, y : y + size, x : x + size], (side, side)).clamp(-1, 1)


def _applied(stage: Stage, canvas: Canvas, window: tuple[int, int, int], given: Tensor, out: Tensor) -> Canvas:
    """Bring the stage's answer onto the canvas: as a replacement, or as the change of what it was given."""
    x, y, size = window
    place = (..., slice(y, y + size), slice(x, x + size))
    mask = rim(size, RESTYLED_RIM if stage.restyles else RIM)
    after, cover = canvas.after.clone(), canvas.cover
    if stage.restyles:
        after[place] = torch.lerp(after[place], resize(out, (size, size)), mask)
        cover = cover.clone()
        cover[place] = torch.maximum(cover[place], mask)
    else:
        after[place] += resize(out - given, (size, size)) * mask
    return replace(canvas, after=after.clamp(-1, 1), cover=cover)


def _enlarged(stage: Stage, name: str, canvas: Canvas, device: torch.device) -> Canvas:
    """The whole canvas enlarged; at its rim bicubically, so that pasted into the photo it has no border."""
    if canvas.side <= tiles.TILE and canvas.side % stage.multiple == 0:
        out = checked(stage, name, canvas.after.to(device)).cpu()
    else:
        out = to_faces(_tiled(stage, name, to_pixels(canvas.after)[0], device))
    plain = bicubic(canvas.after, stage.scale).clamp(-1, 1)
    return canvas.resampled(torch.lerp(plain, out, rim(out.shape[-1], RIM)))


def _tiled(stage: Stage, name: str, pixels: Pixels, device: torch.device) -> Pixels:
    def run(tile: Tensor) -> Tensor:
        return checked(stage, name, tile.to(device))

    tile = tiles.TILE if stage.tiles else max(pixels.shape)
    return tiles.tiled(run, pixels, stage.scale, stage.multiple, tile)


@lru_cache(maxsize=32)
def rim(size: int, width: float) -> Tensor:
    """(1, 1, size, size): 1 inside, falling smoothly to 0 at the rim of a square with rounded corners."""
    axis = ((torch.arange(size) + 0.5) / size * 2 - 1).abs()
    radius = (axis[:, None] ** 4 + axis[None, :] ** 4) ** 0.25
    fade = ((1 - radius) / width).clamp(0, 1)
    return (fade * fade * (3 - 2 * fade))[None, None]
