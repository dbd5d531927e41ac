"""Containers: videos that FFmpeg reads, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganchain.errors import VideoError, text_of
from ganchain.video.clip import Clip, Frame
from ganchain.video.colours import Colours, turned

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

USUAL_RATE = Fraction(25)  # frames a second of a video that says none
PLAYLISTS = {"concat", "hls", "dash", "imf", "sdp", "rtsp", "rtp", "sap", "avisynth", "vapoursynth"}  # name other files
PATIENCE = 100  # errors in a row after which the rest of a file is given up


def pyav() -> Any:
    """Import PyAV, silenced: what FFmpeg prints about damaged files is said in our words.

    Raises:
        VideoError: it is not installed.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise VideoError("videos need PyAV: pip install 'ganchain[video]'") from error
    av.logging.set_level(None)
    return av


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a container for reading.

    Raises:
        VideoError: there is none, or FFmpeg does not know it; with the reason.
    """
    av = pyav()
    try:
        container = av.open(str(path), metadata_errors="replace", options=_guarded())
    except FileNotFoundError:
        raise VideoError("no such file", path=path) from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"is no video, or cut off before its index ({reason_of(error)})", path=path) from error
    try:
        yield container
    finally:
        container.close()


@cache
def _guarded() -> dict[str, str]:
    """Return the options by which FFmpeg reads no file but the one that it is given, and nothing from the network."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(sorted(pyav().formats_available - PLAYLISTS)),
    }


def reason_of(error: BaseException) -> str:
    """Return what FFmpeg says of an error, without the file."""
    return getattr(error, "strerror", None) or text_of(error)


def video_of(container: InputContainer, path: Path) -> VideoStream:
    """Choose the video stream.

    Raises:
        VideoError: there is none, or it is a single picture.
    """
    from av.stream import Disposition

    if container.format.name.endswith("_pipe") or container.format.name in ("image2", "gif", "webp"):
        raise VideoError("is a picture, not a video: ganchain run edits it", path=path)
    videos = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    if not videos:
        kinds: list[str] = sorted({stream.type for stream in container.streams if stream.type != "video"})
        if any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video):
            raise VideoError("has a video stream of an unknown codec", path=path)
        kinds = [*kinds, *["a cover picture"] * bool(container.streams.video)]
        raise VideoError(f"has no video stream, only {' and '.join(kinds) or 'nothing'}", path=path)
    return max(videos, key=lambda stream: stream.width * stream.height)


def packets(container: InputContainer, streams: Sequence[Stream], problems: list[str]) -> Iterator[Packet[Any]]:
    """Read the packets of streams; where the file is damaged, those after the damage follow, and ``problems`` grow."""
    av, failed = pyav(), 0
    while failed < PATIENCE:
        try:
            for packet in container.demux(*streams):
                failed = 0
                yield packet
            return
        except av.error.FFmpegError as error:
            if not failed:
                problems.append(f"the file is damaged: {reason_of(error)}")
            failed += 1


class Container:
    """Source of frames in a container.

    Args:
        path: the file.

    Raises:
        VideoError: it has no frames that can be read, with the reason.
    """

    exact = True

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        with opened(path) as container:
            stream = video_of(container, path)
            alpha = _has_alpha(stream)
            frame = next(self._decoded(container, stream, alpha, []), None)
            if frame is None:
                raise VideoError("has no frame that can be decoded", path=path)
            colours = Colours.of(frame, path)
            size = (frame.width, frame.height)
            degrees = frame.rotation
            if round(degrees / 90) % 2:
                size = (frame.height, frame.width)
            rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
            aspect = stream.sample_aspect_ratio or Fraction(1)
            self.clip = Clip(
                path,
                size,
                stream.time_base or 1 / rate,
                rate,
                alpha and _keeps_alpha(frame),
                colours,
                1 / aspect if round(degrees / 90) % 2 else aspect,
                degrees,
            )

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Read all frames from number ``first`` on; damaged ones are left out, and the others keep their time."""
        clip, last = self.clip, None
        step = max(1, round(1 / (clip.rate * clip.time_base)))
        self.problems.clear()
        with opened(clip.path) as container:
            stream = video_of(container, clip.path)
            for number, frame in enumerate(self._decoded(container, stream, clip.alpha, self.problems)):
                pts = frame.pts if frame.pts is not None else 0 if last is None else last + step
                pts = pts if last is None else max(pts, last + 1)
                last = pts
                if number >= first:
                    yield self._frame(frame, number, pts, frame.duration or step)

    def times(self) -> list[int]:
        """List when frames are shown, in order, by the packets; nothing is decoded."""
        with opened(self.clip.path) as container:
            read = packets(container, [video_of(container, self.clip.path)], [])
            return sorted(pts for packet in read if packet.size and (pts := packet.pts) is not None)

    def frame_at(self, pts: int) -> Frame | None:
        """Read the frame that is shown at a time; None where none can be read from there on."""
        av = pyav()
        with opened(self.clip.path) as container:
            stream = video_of(container, self.clip.path)
            try:
                container.seek(pts, stream=stream)
            except av.error.FFmpegError:
                return None
            for frame in self._decoded(container, stream, self.clip.alpha, []):
                if frame.pts is not None and frame.pts >= pts:
                    return self._frame(frame, 0, frame.pts, 1)
        return None

    def _frame(self, frame: VideoFrame, number: int, pts: int, duration: int) -> Frame:
        """Convert a frame; one of another size than the first is brought to that."""
        clip = self.clip
        width, height = clip.size[::-1] if round(clip.turned / 90) % 2 else clip.size
        if (frame.width, frame.height) != (width, height):
            frame = frame.reformat(width=width, height=height)
        pixels = turned(clip.colours.to_rgb(frame, clip.alpha, self.exact), clip.turned)
        alpha = pixels[..., 3].copy() if clip.alpha else None
        return Frame(number, pts, duration, pixels[..., :3].copy() if clip.alpha else pixels, alpha)

    @staticmethod
    def _decoded(
        container: InputContainer, stream: VideoStream, alpha: bool, problems: list[str]
    ) -> Iterator[VideoFrame]:
        """Decode the frames; a packet that cannot be decoded is noted, and the next ones are tried."""
        av = pyav()
        decoder: Any = stream.codec_context
        if alpha and stream.codec_context.name in ("vp8", "vp9"):  # FFmpeg's own decoders know no alpha
            decoder = av.CodecContext.create(f"libvpx{'-vp9' if decoder.name == 'vp9' else ''}", "r")
            decoder.extradata = stream.codec_context.extradata
        for packet in packets(container, [stream], problems):
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.error.FFmpegError as error:
                at = "" if packet.pts is None else f" at {float(packet.pts * (packet.time_base or 0)):.2f} s"
                problems.append(f"a packet{at} cannot be decoded: {reason_of(error)}")
                continue
            yield from frames


def _has_alpha(stream: VideoStream) -> bool:
    """Say whether a stream is transparent in places, by its pixel format or its container."""
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        return True
    format_ = stream.codec_context.format
    return format_ is not None and any(part.is_alpha for part in format_.components)


def _keeps_alpha(frame: VideoFrame) -> bool:
    return any(part.is_alpha for part in frame.format.components)
