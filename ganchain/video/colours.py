"""Colours of a video: the matrix and the range by which its YUV is RGB, kept from input to output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ganchain.errors import VideoError
from ganchain.tensors import Pixels

if TYPE_CHECKING:
    from av import VideoFrame

RGB, BT709, UNKNOWN, BT601 = 0, 1, 2, 5  # AVColorSpace
LIMITED, FULL = 1, 2  # AVColorRange
HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic
HIGH = 720  # rows from which a video that does not say its matrix is in that of HD
QUICK = 0x2 | 0x80000  # bilinear
EXACT = 0x4 | 0x2000 | 0x40000 | 0x80000  # of swscale: bicubic, chroma at every px, exact rounding, the same everywhere


@dataclass(frozen=True)
class Colours:
    """Colours of a video in the numbers of ITU-T H.273.

    Attributes:
        matrix: of YUV; 2 where the file does not say.
        range: 1 limited (16..235), 2 full, 0 where the file does not say.
        primaries, transfer: of RGB; 2 where the file does not say.
    """

    matrix: int = BT709
    range: int = LIMITED
    primaries: int = 1
    transfer: int = 1

    @classmethod
    def of(cls, frame: VideoFrame, path: object) -> Colours:
        """Read what a frame says.

        Raises:
            VideoError: it is in HDR.
        """
        if frame.color_trc in HDR:
            reason = (
                f"is in HDR ({HDR[frame.color_trc]}), which networks trained on ordinary pictures do not know; "
                "convert it to SDR first, by tone mapping"
            )
            raise VideoError(reason, path=path)
        if frame.format.is_rgb or frame.colorspace == RGB:
            return cls()
        full = frame.format.name.startswith("yuvj")
        return cls(frame.colorspace, FULL if full else frame.color_range, frame.color_primaries, frame.color_trc)

    def coding(self, height: int) -> tuple[int, int]:
        """Return matrix and range to convert with, for a video of ``height`` rows."""
        matrix = self.matrix if self.matrix != UNKNOWN else BT709 if height >= HIGH else BT601
        return {6: BT601, 10: 9}.get(matrix, matrix), FULL if self.range == FULL else LIMITED

    def to_rgb(self, frame: VideoFrame, alpha: bool, exact: bool = True) -> Pixels:
        """Convert a frame to (H, W, 3) uint8 RGB, or (H, W, 4) with alpha; not exactly, in a third of the time."""
        target = "rgba" if alpha else "rgb24"
        if frame.format.is_rgb:
            return np.asarray(frame.to_ndarray(format=target), np.uint8)
        matrix, range_ = self.coding(frame.height)
        how = EXACT if exact else QUICK
        converted = frame.reformat(
            format=target, src_colorspace=matrix, src_color_range=range_, dst_color_range=FULL, interpolation=how
        )
        return np.asarray(converted.to_ndarray(), np.uint8)

    def from_rgb(self, pixels: Pixels, format_: str) -> VideoFrame:
        """Convert (H, W, 3) RGB, or (H, W, 4) with alpha, to a frame in the pixel format ``format_``."""
        from av import VideoFrame

        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgba" if pixels.shape[2] == 4 else "rgb24")
        matrix, range_ = self.coding(frame.height)
        if format_ in ("bgr0", "bgra", "rgb24", "rgba", "gbrp"):
            return frame.reformat(format=format_)
        converted = frame.reformat(
            format=format_, src_color_range=FULL, dst_colorspace=matrix, dst_color_range=range_, interpolation=EXACT
        )
        converted.colorspace, converted.color_range = self.matrix, self.range
        converted.color_primaries, converted.color_trc = self.primaries, self.transfer
        return converted


def turned(pixels: Pixels, degrees: int) -> Pixels:
    """Turn pixels counterclockwise by quarters, to the nearest of ``degrees``."""
    quarters = round(degrees / 90) % 4
    if quarters == 0:
        return pixels
    codes = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
    return np.asarray(cv2.rotate(pixels, codes[quarters]), np.uint8)
