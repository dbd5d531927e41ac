"""Run one stage: cut its windows, check its answers, bring its change to the photo's own resolution."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ganchain.errors import GanchainError, StageError, text_of
from ganchain.faces.align import Aligner, Canvas
from ganchain.faces.face import Face
from ganchain.faces.reading import Hold, Reading, Seen
from ganchain.framing import Framing, Window
from ganchain.photos import images
from ganchain.photos.photo import Photo
from ganchain.pipeline import tiles
from ganchain.pipeline.masks import MARGIN, REPLACED_RIM, RIM, ramp, rim, with_margin
from ganchain.stage import Stage
from ganchain.tensors import Pixels, resize, to_faces, to_pixels, with_light_of

log = logging.getLogger(__name__)

LARGEST_BATCH = 64  # faces
CPU_FULL = "DefaultCPUAllocator"  # part of torch's message when the CPU's memory is full


def to_canvases(
    stage: Stage,
    canvases: Sequence[Canvas],
    device: torch.device,
    batch: int | None = None,
    wanted: Framing | None = None,
) -> list[Canvas]:
    """Run a stage of scope "face" over canvases; of what it enlarges only the window ``wanted``, if that is given.

    Windows of the same side share network batches of at most ``batch`` faces (by default ``LARGEST_BATCH`` on CUDA, one
    on a CPU); a batch is halved whenever memory runs out.

    Raises:
        StageError: the stage raised an exception, or its answer breaks the contract.
    """
    if stage.effect == "enlarge":
        return [_enlarge(stage, canvas, device, wanted) for canvas in canvases]
    windows, edited = [stage.framing.within(canvas.framing, canvas.side) for canvas in canvases], list(canvases)
    rounded = [ceil(window.side / stage.multiple) * stage.multiple for window in windows]
    sides = [stage.side or min(side, stage.largest) for side in rounded]
    for needed in stage.needs:
        Reading.read_all([canvas.reading for canvas in canvases if canvas.reading], needed)
    kinds = [(side, canvas.grey) for side, canvas in zip(sides, canvases, strict=True)]
    for side, grey in sorted(set(kinds)):
        remaining = [index for index, kind in enumerate(kinds) if kind == (side, grey)]
        size = batch or (LARGEST_BATCH if device.type == "cuda" else 1)
        while remaining:
            chunk = remaining[:size]
            inputs = torch.cat([_cut(canvases[index].after, windows[index], side) for index in chunk])
            read = [
                _read(stage, canvases[index], windows[index], face)
                for index, face in zip(chunk, torch.split(inputs, 1), strict=True)
            ]
            given: dict[str, Any] = read[0]  # large: one face alone is not copied
            if len(read) > 1:
                given = {name: torch.cat([face[name] for face in read]) for name in stage.reads}
            given = {name: value.to(device) for name, value in given.items()}
            decided = [
                canvases[index].settled(stage.name, stage.examine(to_pixels(face)[0]))
                for index, face in zip(chunk, torch.split(inputs, 1), strict=True)
            ]
            given |= _batched(decided, device)
            given |= {"hold": [canvases[index].face.hold for index in chunk]} if stage.holds else {}
            try:
                answers = run(stage, inputs.to(device), given, grey=grey).cpu()
            except (MemoryError, torch.OutOfMemoryError):
                if len(chunk) == 1:
                    raise
                size = (len(chunk) + 1) // 2
                log.info("stage %s: memory ran out, now %d faces at once", stage.name, size)
                continue
            for index, face, answer, taken in zip(
                chunk, torch.split(inputs, 1), torch.split(answers, 1), decided, strict=True
            ):
                edited[index] = replace(_merge(stage, canvases[index], windows[index], face, answer), decided=taken)
            del remaining[: len(chunk)]
    return edited


def to_photo(
    stage: Stage,
    photo: Photo,
    faces: list[Face],
    device: torch.device,
    seen: Pixels,
    *,
    grey: bool = False,
    decided: Mapping[str, float] | None = None,
    hold: Hold | None = None,
) -> tuple[Photo, list[Face]]:
    """Run a stage of scope "photo" in tiles; returns the photo, and its faces at their places in it.

    Args:
        seen: the photo as it was read.
        grey: whether it was grey.
        decided: what the stage has decided for the whole photo (``Stage.examine``).
        hold: holds what is measured of a video's frames still; None for a photo.

    Raises:
        StageError: as in ``to_canvases``.
    """
    if stage.effect == "enlarge":
        pixels = _run_tiled(stage, photo.pixels, device, grey, decided)
        alpha = None if photo.alpha is None else images.alpha_enlarged(photo.alpha, stage.scale)
        photo = replace(photo, pixels=pixels, alpha=alpha, quality=None, svg=None)
        return photo, [face.enlarged(stage.scale) for face in faces]
    held = {"hold": hold} if stage.holds else {}
    if stage.reads and (faces or held.get("hold")):
        return _with_faces(stage, photo, faces, seen, grey, held), faces
    pixels, step = photo.pixels, tiles.scale_for(stage, photo, faces)
    if step != 1:
        kind = cv2.INTER_AREA if step < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, None, fx=step, fy=step, interpolation=kind).astype(np.uint8)
    pixels = _run_tiled(stage, pixels, device, grey, decided)
    width, height = photo.size
    if pixels.shape[:2] != (height, width):
        pixels = to_pixels(resize(to_faces(pixels), (height, width)))[0]
    return replace(photo, pixels=pixels, quality=None, svg=None), faces  # the file says nothing of these pixels


def _with_faces(
    stage: Stage, photo: Photo, faces: Sequence[Face], seen: Pixels, grey: bool, held: Mapping[str, Hold | None]
) -> Photo:
    """Have a stage edit the whole photo with what is read of its faces."""
    pixels = photo.pixels
    if seen.shape != pixels.shape:
        seen = np.asarray(cv2.resize(seen, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    aligner, placed = Aligner(stage.framing), []
    for needed in stage.needs:
        Reading.read_all([face.reading for face in faces if face.reading], needed)
    for face in faces:
        canvas, before = aligner.canvas(pixels, face), aligner.canvas(seen, face).before
        read = canvas.face.within(stage.framing, before, stage.reads, stage.finest)
        placed.append(Seen(canvas.before, read, canvas.matrix, canvas.face.hold))
    try:
        answer = stage.forward_photo(pixels, placed, **held)
    except (torch.OutOfMemoryError, MemoryError, GanchainError):
        raise
    except Exception as error:  # a plug-in may raise anything
        raise _stage_error(stage, f"failed on a photo of shape {pixels.shape}: {text_of(error)}") from error
    alpha = photo.alpha
    if answer.shape[2] == 4:
        answer, clear = np.ascontiguousarray(answer[..., :3]), answer[..., 3]
        alpha = clear if alpha is None else np.minimum(alpha, clear)
    if grey and not stage.colours:
        answer = to_pixels(with_light_of(to_faces(pixels), to_faces(answer)))[0]
        return replace(photo, pixels=answer, alpha=alpha, svg=None)
    return replace(photo, pixels=answer, alpha=alpha, quality=None, svg=stage.svg_of(pixels, placed))


def run(stage: Stage, faces: Tensor, read: Mapping[str, Any] | None = None, *, grey: bool = False) -> Tensor:
    """Call ``stage`` on (N, 3, H, W) float32 -1..1; returns (N, 3, H * scale, W * scale), clamped to -1..1.

    Args:
        read: what the stage asks for of these faces, by name.
        grey: whether they come from a grey photo.

    Raises:
        StageError: the stage raised an exception (its cause), or its answer has another shape or is not finite.
        MemoryError, torch.OutOfMemoryError: there was not enough memory.
    """
    try:
        answer = (stage.forward_grey if grey else stage)(faces, **(read or {}))
    except (torch.OutOfMemoryError, MemoryError, GanchainError):
        raise
    except Exception as error:  # a plug-in may raise anything
        if CPU_FULL in str(error):
            raise MemoryError(str(error)) from error
        raise _stage_error(stage, f"failed on a batch of shape {tuple(faces.shape)}: {text_of(error)}") from error
    expected = (*faces.shape[:2], faces.shape[2] * stage.scale, faces.shape[3] * stage.scale)
    if not isinstance(answer, Tensor) or tuple(answer.shape) != expected:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise _stage_error(stage, f"must return shape {expected} for {tuple(faces.shape)}, not {shape}")
    if not (bool(answer.sum().isfinite()) or bool(answer.isfinite().all())):  # a sum of finite values can overflow
        raise _stage_error(stage, "returned values that are not finite")
    return answer.float().clamp(-1, 1)


def _stage_error(stage: Stage, reason: str) -> StageError:
    """Make the error of a stage, with its name and place."""
    return StageError(reason, stage=stage.name, where=stage.where)


def _cut(picture: Tensor, window: Window, side: int) -> Tensor:
    """Cut the stage's window out of a canvas's picture: (1, 3, side, side) float32 -1..1."""
    return resize(picture[window.place], (side, side)).clamp(-1, 1)


def _read(stage: Stage, canvas: Canvas, window: Window, face: Tensor) -> dict[str, Tensor]:
    """Give the stage what it asks for of a face, in its window, of which it sees ``face``."""
    if not stage.reads:
        return {}
    before = face if canvas.before is canvas.after else _cut(canvas.before, window, face.shape[-1])
    return canvas.face.within(canvas.shown(window), before, stage.reads, stage.finest)


def _merge(stage: Stage, canvas: Canvas, window: Window, face: Tensor, answer: Tensor) -> Canvas:
    """Put the stage's answer onto the canvas: as a replacement, or as the change from its input."""
    place, size = window.place, window.side
    replaces = stage.effect == "replace"
    mask = rim(size, REPLACED_RIM if replaces else RIM)
    if stage.keeps:
        kept = canvas.face.parts.within(canvas.shown(window), canvas.before[place], stage.keeps)
        mask = mask * (1 - kept.amax(dim=1, keepdim=True))
    after, cover = canvas.after.clone(), canvas.cover
    if replaces:
        after[place] = torch.lerp(after[place], resize(answer, (size, size)), mask)
        cover = cover.clone()
        cover[place] = torch.maximum(cover[place], mask)
    else:
        after[place] += resize(answer - face, (size, size)) * mask
    return replace(canvas, after=after.clamp_(-1, 1), cover=cover)


def _enlarge(stage: Stage, canvas: Canvas, device: torch.device, wanted: Framing | None) -> Canvas:
    """Enlarge a canvas, or the window of it that is wanted; at its rim bicubically, so that it has no border."""
    decided = canvas.settled(stage.name, stage.examine(to_pixels(canvas.after)[0]))
    window, scale = Window(0, 0, canvas.side), stage.scale
    if wanted and canvas.around is None:
        window = with_margin(wanted.within(canvas.framing, canvas.side), canvas.side)
    part = canvas.after[window.place]
    if window.side <= tiles.TILE and window.side % stage.multiple == 0:
        answer = run(stage, part.to(device), _batched([decided], device), grey=canvas.grey).cpu()
    else:
        answer = to_faces(_run_tiled(stage, to_pixels(part)[0], device, canvas.grey, decided))
    enlarged = canvas.finer(window, scale)
    mask = ramp(enlarged.side, MARGIN * scale) if enlarged.around else rim(enlarged.side, RIM)
    return replace(enlarged, after=torch.lerp(enlarged.after, answer, mask), decided=decided)


def _batched(decided: Sequence[Mapping[str, float]], device: torch.device) -> dict[str, Tensor]:
    """Put what was decided for each picture of a batch together: (N,) by name."""
    names = decided[0] if decided else {}
    return {name: torch.tensor([row[name] for row in decided], device=device) for name in names}


def _run_tiled(
    stage: Stage, pixels: Pixels, device: torch.device, grey: bool, decided: Mapping[str, float] | None = None
) -> Pixels:
    """Run a stage over (H, W, 3) uint8 pixels in tiles, or whole if it must see the whole photo."""
    tile = tiles.TILE if stage.whole_photo.tiles else max(pixels.shape)
    read = _batched([decided or {}], device)
    return tiles.tiled(
        lambda part: run(stage, part.to(device), read, grey=grey), pixels, stage.scale, stage.multiple, tile
    )
