"""Joining: segments become one video, not encoded again, beside the sound, subtitles and chapters of the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from heapq import merge
from io import BytesIO
from pathlib import Path
from typing import Any

from ganchain.errors import VideoError
from ganchain.photos.marks import SOURCE_TYPES, Provenance
from ganchain.video.clip import Clip
from ganchain.video.coding import Coding
from ganchain.video.containers import opened, packets, pyav, video_of

XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # of XMP in files of the kind of MP4 (XMP, part 3)
OWN = ("major_brand", "minor_version", "compatible_brands", "encoder", "creation_time")  # keys that a file gets anew
SIGN = "ganchain"  # the word that a comment begins with

Times = Sequence[tuple[int, int]]  # pts and duration of each frame


def unheld(clip: Clip, coding: Coding, out: Path) -> list[str]:
    """Name the streams of the input that the output's container cannot hold, and that are left out.

    Raises:
        VideoError: sound is among them.
    """
    if coding.pictures or not clip.path.is_file():
        return []
    left_out = []
    with opened(clip.path) as source, pyav().open(BytesIO(), "w", format=coding.kind) as target:
        for stream in source.streams:
            if stream.type == "video" or _added(target, stream) is not None:
                continue
            name = stream.codec_context.name if stream.codec_context else "unknown"
            if stream.type == "audio" and _is_known(stream):
                reason = f"{out.suffix} cannot hold the video's sound ({name}), which is copied as it is; write .mkv"
                raise VideoError(reason, path=out)
            left_out.append(f"{stream.type} ({name})")
    return left_out


def _is_known(stream: Any) -> bool:
    """Say whether a stream can be copied: its codec is known, and sound has a rate."""
    context = stream.codec_context
    return context is not None and (stream.type != "audio" or context.sample_rate > 0)


def _added(target: Any, stream: Any) -> Any:
    """Add to a container a stream of sound or subtitles that is copied; None where the container cannot hold it."""
    if stream.type not in ("audio", "subtitle") or not _is_known(stream):
        return None
    try:
        return target.add_stream_from_template(stream)
    except (ValueError, pyav().error.FFmpegError):
        return None


def join(
    segments: Sequence[Path],
    times: Iterable[Times],
    clip: Clip,
    coding: Coding,
    part: Path,
    mark: Provenance | None,
    without_location: bool = False,
) -> list[str]:
    """Write a video from segments.

    Args:
        segments: the segments in order.
        times: of the frames of each segment, in the clip's time base.
        clip: the input, whose sound, subtitles, chapters and words are copied.
        coding: how the segments are coded.
        part: where to write.
        mark: how the video was made; None for no mark.
        without_location: leave out where it was taken.

    Returns:
        What of the input's other streams could not be read.
    """
    problems: list[str] = []
    with ExitStack() as stack:
        source = stack.enter_context(opened(clip.path)) if clip.path.is_file() and _is_container(clip.path) else None
        options = {"fflags": "+bitexact"}
        if coding.kind in ("mp4", "mov"):  # a scale in which all times of the clip are whole numbers
            options |= {"movflags": "+faststart", "video_track_timescale": str(clip.time_base.denominator)}
        target: Any = stack.enter_context(pyav().open(str(part), "w", format=coding.kind, options=options))
        first = stack.enter_context(opened(segments[0]))
        video = target.add_stream_from_template(first.streams.video[0])
        video.time_base = clip.time_base
        if clip.alpha and coding.kind in ("webm", "matroska"):
            video.metadata["alpha_mode"] = "1"
        others = {}
        if source is not None:
            added = ((stream, _added(target, stream)) for stream in (*source.streams.audio, *source.streams.subtitles))
            others = {stream.index: copy for stream, copy in added if copy is not None}
            _copy_words(source, target, video, others, clip.path)
        if without_location:
            target.metadata = {key: text for key, text in target.metadata.items() if "location" not in key.lower()}
        if mark is not None:
            target.metadata["comment"] = comment(mark)
        target.start_encoding()
        own = _video_packets(segments, times, video, clip.time_base)
        copied = _copied_packets(source, others, problems) if source is not None and others else iter(())
        for _, is_copied, packet in merge(own, copied, key=lambda item: item[:2]):
            try:
                target.mux(packet)
            except pyav().error.FFmpegError as error:
                if not is_copied or isinstance(error, OSError):
                    raise
                problems.append(f"a packet of the {packet.stream.type} is damaged, and left out")
    if mark is not None and coding.kind in ("mp4", "mov"):
        _append_xmp(part, mark)
    return problems


def _is_container(path: Path) -> bool:
    try:
        with opened(path) as container:
            video_of(container, path)
    except VideoError:
        return False
    return True


def _copy_words(source: Any, target: Any, video: Any, others: dict[int, Any], path: Path) -> None:
    """Copy titles, languages and chapters."""
    target.metadata.update({key: value for key, value in source.metadata.items() if key not in OWN})
    video.metadata.update(_words(video_of(source, path)))
    for index, stream in others.items():
        stream.metadata.update(_words(source.streams[index]))
        stream.disposition = source.streams[index].disposition
    if chapters := source.chapters():
        target.set_chapters(chapters)


def _words(stream: Any) -> dict[str, str]:
    return {key: value for key, value in stream.metadata.items() if key in ("language", "title", "handler_name")}


def _video_packets(
    segments: Sequence[Path], times: Iterable[Times], stream: Any, time_base: Fraction
) -> Iterator[tuple[float, int, Any]]:
    """Read the packets of the segments, with the times of the input's frames."""
    for path, segment in zip(segments, times, strict=True):
        with opened(path) as container:
            read = (packet for packet in container.demux(container.streams.video[0]) if packet.size)
            for packet, (pts, duration) in zip(read, segment, strict=True):
                packet.stream, packet.time_base = stream, time_base
                packet.pts = packet.dts = pts
                packet.duration = duration
                yield float(pts * time_base), 0, packet


def _copied_packets(source: Any, others: dict[int, Any], problems: list[str]) -> Iterator[tuple[float, int, Any]]:
    """Read the packets of the other streams."""
    last, times = float("-inf"), dict.fromkeys(others, float("-inf"))
    for packet in packets(source, [source.streams[index] for index in others], problems):
        if not packet.size or packet.dts is None or packet.dts <= times[packet.stream_index]:
            continue
        times[packet.stream_index] = packet.dts
        packet.pts = packet.dts if packet.pts is None else max(packet.pts, packet.dts)
        last = max(last, float(packet.dts * packet.time_base))  # ``merge`` wants them in order
        packet.stream = others[packet.stream_index]
        yield last, 1, packet


def comment(mark: Provenance) -> str:
    """Write the mark as the comment of a video, which players show."""
    stages = ", ".join(mark.stages)
    return f"{SIGN}: {mark.chain or '-'}: edited by {mark.software} ({stages}); {SOURCE_TYPES}{mark.source_type}"


def made_by(path: Path, chain_name: str) -> bool:
    """Say whether a video was made by ganchain with a chain of this name."""
    try:
        with opened(path) as container:
            text = container.metadata.get("comment", container.metadata.get("COMMENT", ""))
    except VideoError:
        return False
    return bool(chain_name) and text.startswith(f"{SIGN}: {chain_name}: ")


def _append_xmp(path: Path, mark: Provenance) -> None:
    """Append the mark as XMP in a box of its own, where editors of pictures look for it."""
    packet = mark.xmp()
    box = b"".join([(len(packet) + 24).to_bytes(4, "big"), b"uuid", XMP_BOX, packet])
    with path.open("ab") as file:
        file.write(box)
