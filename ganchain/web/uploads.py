"""Photos from visitors, kept for a while in a folder that only the user of this process can read."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import psutil
from PIL import Image

from ganchain.errors import GanchainError, PhotoError
from ganchain.faces.detect import DlibDetector, in_reading_order
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.tensors import Pixels
from ganchain.web.limits import Limits

PREFIX = "ganchain-web-"
PREVIEW = 1600  # px of the longest side
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
SCANS = 100  # of a JPEG; a small file can have thousands, and then takes minutes to read
PATIENCE = 20.0  # seconds that a photo waits until others are read
LONGEST_NAME = 100  # bytes; outputs add the chain's name, and file systems take 255


class Busy(GanchainError):
    """An error for a request that can succeed later, when there is room."""


@dataclass
class Upload:
    """A photo that a visitor sent.

    Attributes:
        id: a secret; whoever has it may see the photo.
        name: the visitor's name of the file, without characters that some systems refuse.
        path: the file here.
        size: width, height in px, upright.
        faces: the detections in it, in reading order.
        used: when a visitor last asked for it, by ``time.monotonic``.
        jobs: the number of jobs that need it and have not ended.
    """

    id: str
    name: str
    path: Path
    size: tuple[int, int]
    faces: list[Face]
    used: float = field(default_factory=time.monotonic)
    jobs: int = 0

    @property
    def preview(self) -> Path:
        return self.path.parent / ".preview.jpg"

    def describe(self) -> list[dict[str, Any]]:
        """Describe the faces for the page and for reports, with the numbers that ``faces: [0, 2]`` in a chain uses."""
        faces: list[dict[str, Any]] = []
        count = 0
        for face in self.faces:
            box = [round(edge, 1) for edge in face.box]
            number = None if face.left_out else count
            faces.append({"number": number, "box": box, "score": round(face.score, 3), "left_out": face.left_out})
            count += face.left_out is None
        return faces


class Uploads:
    """The photos of all visitors; thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        _sweep_others()
        self.root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).resolve()  # mode 0700
        self._uploads: dict[str, Upload] = {}
        self._reading = Lock()  # photos are decoded one after the other

    def add(self, name: str, content: BinaryIO) -> Upload:
        """Store the file and find its faces.

        Raises:
            PhotoError: the file is no photo, or has too many pixels.
            Busy: there are ``Limits.photos`` already and jobs need them all, or another photo is being read.
        """
        while len(self._uploads) >= self.limits.photos:
            idle = [upload for upload in list(self._uploads.values()) if not upload.jobs]
            if not idle:
                raise Busy("too many photos wait here already; try again in some minutes")
            self.drop(min(idle, key=lambda upload: upload.used).id)
        key, name = secrets.token_urlsafe(16), file_name(name)
        folder = self.root / key
        folder.mkdir(mode=0o700)
        path = folder / name
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            if not self._reading.acquire(timeout=PATIENCE):
                raise Busy("other photos are being read; try again in a minute")
            try:
                upload = self._read(key, path)
            finally:
                self._reading.release()
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, PhotoError):
                error.path = name
            raise
        self._uploads[key] = upload
        return upload

    def _read(self, key: str, path: Path) -> Upload:
        width, height = images.size(path)
        if width * height > self.limits.pixels:
            most = f"{self.limits.pixels / 1e6:.0f} megapixels"
            reason = f"{width} x {height} px are more than the {most} that are taken here"
            raise PhotoError(f"{reason}; make it smaller (or serve with --max-pixels)", path=path)
        with path.open("rb") as file:
            if file.read(2) == b"\xff\xd8" and file.read().count(b"\xff\xda") > SCANS:
                raise PhotoError(f"a JPEG of more than {SCANS} scans is not taken here", path=path)
        photo = images.read(path)
        upload = Upload(key, path.name, path, photo.size, in_reading_order(DlibDetector()(photo.visible())))
        preview(photo.pixels, upload.preview)
        return upload

    def get(self, key: str) -> Upload | None:
        """Return the photo ``key``, and note that it is in use."""
        upload = self._uploads.get(key)
        if upload is not None:
            upload.used = time.monotonic()
        return upload

    def drop(self, key: str) -> None:
        if (upload := self._uploads.pop(key, None)) is not None:
            shutil.rmtree(upload.path.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete photos for which nobody has asked in ``Limits.kept`` seconds."""
        for upload in list(self._uploads.values()):
            if time.monotonic() - upload.used > self.limits.kept:
                self.drop(upload.id)

    def close(self) -> None:
        """Delete everything."""
        self._uploads.clear()
        shutil.rmtree(self.root, ignore_errors=True)


def file_name(text: str) -> str:
    """Make a file name that every system accepts: "../x/a.jpg" -> "a.jpg"."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    name = FORBIDDEN.sub("_", name).strip(". ")
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (name, "")
    return f"{_cut(stem, LONGEST_NAME)}{dot}{_cut(suffix, 8)}" if stem else "photo"


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def preview(pixels: Pixels, path: Path) -> None:
    """Write ``pixels`` (H, W, 3) for the screen: a JPEG of at most PREVIEW px."""
    step = max(1, max(pixels.shape[:2]) // PREVIEW)
    image = Image.fromarray(pixels)
    image = image.reduce(step) if step > 1 else image
    image.thumbnail((PREVIEW, PREVIEW), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=88)


def _sweep_others() -> None:
    """Delete the folders of servers that ended without deleting them."""
    for folder in _folders():
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _folders() -> Iterator[Path]:
    yield from Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
