"""Albums: a video as an animation (GIF, WebP) or as a folder of frames, made from lossless segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ganchain.photos import images
from ganchain.photos.marks import Provenance
from ganchain.photos.photo import Photo
from ganchain.tensors import Pixels
from ganchain.video.containers import opened
from ganchain.video.joining import comment

SHORTEST = 20  # ms: below, browsers show a frame of a GIF ten times as long
NAME = "frame-{:06d}.png"  # of a frame in a folder
QUALITY = 90  # of WebP


def decoded(segments: Sequence[Path], alpha: bool) -> Iterator[Pixels]:
    """Read the frames of lossless segments: (H, W, 3) uint8 RGB, or (H, W, 4) with alpha."""
    for path in segments:
        with opened(path) as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="rgba" if alpha else "rgb24"), np.uint8)


def write_animation(
    file: IO[bytes],
    kind: str,
    frames: Iterator[Pixels],
    times: Sequence[tuple[int, int]],
    time_base: Fraction,
    mark: Provenance | None,
) -> None:
    """Write a GIF or a WebP that repeats for ever; Pillow holds all its frames in memory.

    Args:
        kind: "gif" or "webp".
        times: pts and duration of each frame.
        time_base: seconds of their unit.
    """
    ends = [pts for pts, _ in times[1:]] + [sum(times[-1])]
    durations = []
    late = 0.0  # ms by which rounding has put the frames off so far
    for (start, _), end in zip(times, ends, strict=True):
        exact = float((end - start) * time_base) * 1000 + late
        step = 10 if kind == "gif" else 1
        durations.append(max(SHORTEST if kind == "gif" else 1, round(exact / step) * step))
        late = exact - durations[-1]
    first = Image.fromarray(next(frames))
    words = {} if mark is None else {"comment": comment(mark).encode()} if kind == "gif" else {"xmp": mark.xmp()}
    options = {"quality": QUALITY, "method": 4} if kind == "webp" else {"disposal": 2 if first.mode == "RGBA" else 1}
    rest = map(Image.fromarray, frames)
    first.save(file, kind.upper(), save_all=True, append_images=rest, duration=durations, loop=0, **words, **options)


def write_folder(
    folder: Path, frames: Iterator[Pixels], mark: Provenance | None, permit: Callable[[Path, Path], None]
) -> None:
    """Write frames as ``NAME`` says, from 1, each with the mark."""
    folder.mkdir(parents=True, exist_ok=True)
    xmp = b"" if mark is None else mark.xmp()
    for number, pixels in enumerate(frames, start=1):
        alpha = pixels[..., 3].copy() if pixels.shape[2] == 4 else None
        photo = Photo(np.ascontiguousarray(pixels[..., :3]), alpha, xmp=xmp)
        images.write(photo, folder / NAME.format(number), permit=permit)
