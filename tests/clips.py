"""Videos drawn by code: clips of many kinds, and files that break readers of videos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ganchain.tensors import Pixels

TICK = Fraction(1, 90_000)


def coloured(number: int, size: tuple[int, int] = (32, 24)) -> Pixels:
    """Draw a frame whose colours move with its number."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    planes = [40 + 150 * x / width, 60 + 120 * y / height, np.full((height, width), 60 + 3 * (number % 50))]
    return np.stack(planes, axis=-1).round().astype(np.uint8)


def moved(astronaut: Pixels, number: int, size: tuple[int, int] = (160, 120), speed: float = 1.0) -> tuple[Pixels, Any]:
    """Draw a frame of a slow move of the astronaut; returns it, and the (2, 3) matrix from the photo to it."""
    turn, scale = 0.04 * np.sin(speed * number / 9), 0.75 + 0.05 * np.sin(speed * number / 13)
    matrix = cv2.getRotationMatrix2D((225, 130), float(np.degrees(turn)), float(scale))
    matrix[:, 2] += np.array(size) / 2 - (225, 130) + (speed * 6 * np.sin(number / 11), 0)
    frame = cv2.warpAffine(astronaut, matrix, size, flags=cv2.INTER_AREA)
    return np.asarray(frame, np.uint8), matrix


def clip(
    path: Path,
    frames: Iterable[Pixels],
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    format_: str = "yuv420p",
    sound: bool | NDArray[np.int16] = False,
    chapters: bool = False,
    turned: int = 0,
    colours: tuple[int, int, int, int] = (2, 0, 2, 2),
    container: str | None = None,
) -> Path:
    """Write a clip at 25 frames a second, or with ``times`` in 1/90000 s; ``sound`` may be samples at 8 kHz."""
    opened: Any = av.open(str(path), "w", format=container)
    with opened as target:
        video: Any = target.add_stream(codec, rate=25, options={"crf": "10", "bf": "2"} if codec == "libx264" else {})
        audio = target.add_stream("aac", rate=8000, layout="mono") if sound is not False else None
        for number, pixels in enumerate(frames):
            if number == 0:
                video.height, video.width = pixels.shape[:2]
                video.pix_fmt = format_
                context = video.codec_context
                context.time_base = TICK
                context.colorspace, context.color_range, context.color_primaries, context.color_trc = colours
                if turned:
                    video.set_display_rotation(turned)
            frame = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[2] == 4 else "rgb24").reformat(
                format=format_, dst_colorspace=1 if colours[0] == 1 else 5, dst_color_range=colours[1] or 1
            )
            frame.pts = 3600 * number if times is None else times[number]
            frame.time_base = TICK
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        if audio is not None:
            _beeps(target, audio, None if sound is True else sound)
        if chapters:
            target.set_chapters(
                [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
            )
    return path


def _beeps(target: Any, audio: Any, samples: Any = None) -> None:
    """Write a second of sound."""
    wave = ((8000 * np.sin(np.arange(8000) / 5)).astype(np.int16) if samples is None else samples)[None]
    for start in range(0, wave.shape[1] - 1023, 1024):
        sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + 1024]), "s16", "mono")
        sound.sample_rate, sound.pts, sound.time_base = 8000, start, Fraction(1, 8000)
        target.mux(audio.encode(sound))
    target.mux(audio.encode(None))


def torture(folder: Path) -> dict[str, Path]:
    """Write files that are no videos, or broken ones, by what is wrong with them."""
    whole = clip(folder / "whole.mp4", [coloured(number) for number in range(12)])
    content = whole.read_bytes()
    files = {"cut": content[: len(content) // 2], "text": b"no video at all", "empty": b""}
    paths = {}
    for name, data in files.items():
        paths[name] = folder / f"{name}.mp4"
        paths[name].write_bytes(data)
    Image.fromarray(coloured(0)).save(folder / "still.png")
    paths["still"] = (folder / "still.png").rename(folder / "still.mp4")
    Image.fromarray(coloured(0)).save(folder / "still.gif")
    paths["still gif"] = folder / "still.gif"
    with av.open(str(folder / "sound.mp4"), "w") as target:
        _beeps(target, target.add_stream("aac", rate=8000, layout="mono"))
    paths["sound"] = folder / "sound.mp4"
    with av.open(str(folder / "none.mkv"), "w") as target:
        stream = target.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        target.start_encoding()
    paths["no frames"] = folder / "none.mkv"
    (folder / "nothing").mkdir()
    paths["empty folder"] = folder / "nothing"
    paths["nowhere"] = folder / "nowhere.mp4"
    return paths
