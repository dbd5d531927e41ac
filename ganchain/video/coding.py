"""Coding of a video: which codec, in which pixel format and container, and segments of it that stand alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ganchain.errors import VideoError, available
from ganchain.photos.moving import ANIMATIONS
from ganchain.tensors import Pixels
from ganchain.video.clip import Clip
from ganchain.video.containers import pyav

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
PICTURES = (".gif", ".webp")  # animations; a path without suffix is a folder of frames
STEP, TICK = 40, Fraction(1, 1000)  # between two frames of a segment, whatever their times
THREADS = 2  # of an encoder: another number gives other bytes


def suffix_for(path: Path, clear: bool = False) -> str:
    """Choose the suffix of a video's output where none is asked for: that of the video, as far as it is written.

    Others become .mkv, which holds any sound, and animations in PNG become .webp.

    Args:
        path: the video.
        clear: whether the chain makes frames transparent, which .mp4 and .mkv cannot hold in H.264.
    """
    suffix = path.suffix.lower()
    if suffix in ANIMATIONS:
        return suffix if suffix in PICTURES else ".webp"
    if clear and suffix != ".webm":
        return ".mov"
    return suffix if suffix in FORMATS else ".mkv"


@dataclass(frozen=True)
class Codec:
    """A codec that videos are written in.

    Attributes:
        encoder: FFmpeg's name of it.
        plain, clear: pixel format of opaque frames and of transparent ones; "" where it has none.
        crf: quality by default, lower is better; None where it has no such number.
        options: further options of the encoder.
        even: whether both sides must be even.
    """

    encoder: str
    plain: str
    clear: str = ""
    crf: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    even: bool = True


CODECS: Mapping[str, Codec] = {
    "h264": Codec("libx264", "yuv420p", crf=18, options=(("preset", "faster"),)),
    "h265": Codec("libx265", "yuv420p", crf=21, options=(("x265-params", "log-level=none:pools=2:frame-threads=1"),)),
    "vp9": Codec(
        "libvpx-vp9",
        "yuv420p",
        "yuva420p",
        crf=24,
        options=(("b", "0"), ("deadline", "good"), ("cpu-used", "4"), ("auto-alt-ref", "0")),
        even=False,
    ),
    "prores": Codec("prores_ks", "yuv422p10le", "yuva444p10le"),
    "ffv1": Codec("ffv1", "bgr0", "bgra", options=(("level", "3"),), even=False),
}
LOSSLESS = CODECS["ffv1"]


@dataclass(frozen=True)
class Coding:
    """Codec, container and quality of a video that is written.

    Attributes:
        codec: the codec.
        kind: FFmpeg's name of the container; "gif", "webp" or "folder" for pictures.
        crf: quality; None for the codec's own.
    """

    codec: Codec
    kind: str
    crf: int | None = None

    @classmethod
    def choose(cls, out: Path, clip: Clip, codec: str | None = None, crf: float | None = None) -> Coding:
        """Choose by the output's suffix, and by whether the frames are transparent.

        Raises:
            VideoError: the suffix is of no known container, or the codec is unknown or cannot do what is asked for.
        """
        suffix = out.suffix.lower()
        if suffix in PICTURES or not suffix:
            if codec is not None or crf is not None:
                raise VideoError("codec and crf are those of videos, not of pictures", path=out)
            return cls(LOSSLESS, suffix[1:] or "folder")
        if suffix not in FORMATS:
            names = ", ".join([*FORMATS, *PICTURES])
            raise VideoError(f"no video format {suffix!r}; available: {names}, and a name without suffix", path=out)
        if codec is not None and codec not in CODECS:
            raise VideoError(f"no codec {codec!r}; {available(codec, CODECS)}", path=out)
        name = codec or ("vp9" if suffix == ".webm" else "prores" if clip.alpha and suffix == ".mov" else "h264")
        chosen = CODECS[name]
        if clip.alpha and not chosen.clear:
            reason = f"{name} has no transparency, as the video has; write .webm (vp9), .mov (prores) or .gif"
            raise VideoError(reason, path=out)
        if crf is not None and chosen.crf is None:
            raise VideoError(f"{name} has no crf", path=out)
        return cls(chosen, FORMATS[suffix], chosen.crf if crf is None else round(crf))

    @property
    def pictures(self) -> bool:
        """True for animations and folders, which are written from lossless segments."""
        return self.kind in ("gif", "webp", "folder")

    def options(self) -> dict[str, str]:
        """Return the options of the encoder: no frame is written out of its order, so that segments can be joined."""
        options = {**dict(self.codec.options), "bf": "0", "threads": str(THREADS)}
        return options if self.crf is None else {**options, "crf": str(self.crf)}


class SegmentWriter:
    """Writer of one segment: a file of its own that begins with a whole frame.

    Args:
        path: of the segment.
        clip: the video, of which it has time base, colours and aspect.
        coding: how it is written.
        size: width and height of the edited frames.
    """

    def __init__(self, path: Path, clip: Clip, coding: Coding, size: tuple[int, int]) -> None:
        self.clip, self.even, self.count = clip, coding.codec.even, 0
        self.format = coding.codec.clear if clip.alpha else coding.codec.plain
        self.container: Any = pyav().open(str(path), "w", format="matroska")
        rate = clip.rate.limit_denominator(1 << 16)
        self.stream: Any = self.container.add_stream(coding.codec.encoder, rate=rate, options=coding.options())
        self.stream.width, self.stream.height = (side + side % 2 for side in size) if self.even else size
        self.stream.pix_fmt = self.format
        context = self.stream.codec_context
        context.time_base = clip.time_base
        context.sample_aspect_ratio = clip.aspect if clip.aspect > 0 else Fraction(1)
        context.colorspace, context.color_range = clip.colours.matrix, clip.colours.range
        context.color_primaries, context.color_trc = clip.colours.primaries, clip.colours.transfer
        if self.format in ("bgr0", "bgra"):
            context.colorspace, context.color_range = 0, 2

    def write(self, pixels: Pixels, pts: int) -> None:
        """Encode a frame, (H, W, 3) or with alpha (H, W, 4); an odd side gets its last row or column twice."""
        if self.even and (pixels.shape[0] % 2 or pixels.shape[1] % 2):
            bottom, right = pixels.shape[0] % 2, pixels.shape[1] % 2
            pixels = np.asarray(cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
        frame = self.clip.colours.from_rgb(pixels, self.format)
        frame.pts, frame.time_base = pts, self.clip.time_base
        self._mux(self.stream.encode(frame))

    def close(self) -> None:
        """End the segment."""
        self._mux(self.stream.encode(None))
        self.container.close()

    def _mux(self, packets: Iterable[Any]) -> None:
        """Write packets, numbered instead of timed: milliseconds, as Matroska has them, are too coarse for times."""
        for packet in packets:
            packet.pts = packet.dts = self.count * STEP
            packet.duration, packet.time_base = STEP, TICK
            self.container.mux(packet)
            self.count += 1
