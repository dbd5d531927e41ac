"""Sources of frames: which reader a path needs, and the digest of what it reads."""

from __future__ import annotations

from pathlib import Path

from ganchain import files
from ganchain.errors import VideoError
from ganchain.files import is_folder
from ganchain.photos.moving import ANIMATIONS
from ganchain.video.clip import Source
from ganchain.video.containers import Container
from ganchain.video.pictures import Animation, Folder


def source_of(path: Path) -> Source:
    """Open a video, an animation or a folder of frames.

    Raises:
        VideoError: it cannot be read, with the reason.
    """
    if is_folder(path):
        return Folder(path)
    return Animation(path) if path.suffix.lower() in ANIMATIONS else Container(path)


def digest(source: Source) -> str:
    """Compute the SHA-256 of all that is read.

    Raises:
        VideoError: it cannot be read.
    """
    paths = source.files if isinstance(source, Folder) else [source.clip.path]
    try:
        return files.sha256_of_texts(*(f"{path.name} {files.sha256(path)}" for path in paths))
    except OSError as error:
        raise VideoError(f"cannot be read: {error.strerror}", path=error.filename or source.clip.path) from error
