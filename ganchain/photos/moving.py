"""Files that move: videos by the suffixes of their names, and pictures that are animations by their headers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ganchain.files import is_file, is_folder, open_regular
from ganchain.photos.opening import open_picture

VIDEOS = {
    *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv"),
    *(".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".mxf", ".dv", ".y4m", ".apng"),
}
ANIMATIONS = (".gif", ".webp", ".png", ".apng")  # pictures that may move
PACKET, SYNC = 188, b"G"  # of a transport stream: bytes of a packet, and the first of each


def is_video(path: Path) -> bool:
    """Tell whether a path is that of a video: a file, not hidden, with the suffix of a video.

    TypeScript's files end in .ts, too, so one with that suffix must begin as a transport stream.
    """
    if path.suffix.lower() not in VIDEOS or path.name.startswith("."):
        return False
    if not is_file(path):
        return path.is_symlink() and not is_folder(path)  # a broken link fails when read
    return path.suffix.lower() != ".ts" or _is_transport_stream(path)


def _is_transport_stream(path: Path) -> bool:
    with suppress(OSError), open_regular(path) as file:
        start = file.read(PACKET + 1)
        return start[:1] == start[PACKET:] == SYNC
    return False


def is_animation(path: Path) -> bool:
    """Tell whether a file is a picture of several frames: GIF, WebP or PNG. One that cannot be read is none."""
    if path.suffix.lower() not in ANIMATIONS:
        return False
    with suppress(Exception):  # Pillow's decoders raise anything on damaged files
        if path.suffix.lower() == ".webp" and not _is_extended(path):
            return False
        with open_picture(path, str(path)) as image:
            return bool(getattr(image, "is_animated", False))
    return False


def _is_extended(path: Path) -> bool:
    """Tell whether a WebP has the flag of an animation; the whole file is read only if it has."""
    with open_regular(path) as file:
        start = file.read(21)
    return start[:4] != b"RIFF" or (start[12:16] == b"VP8X" and bool(start[20] & 2))
