"""What visitors send, in a folder that only this process's user can read, and for a while only."""

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
from ganchain.faces.detect import DlibDetector
from ganchain.faces.face import Face
from ganchain.photos import images
from ganchain.tensors import Pixels
from ganchain.web.limits import Limits

PREFIX = "ganchain-web-"
PREVIEW = 1600  # px, of the longest side
FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
SCANS = 100  # of a JPEG: a small file of thousands takes minutes
PATIENCE = 20.0  # seconds that a photo waits for those before it
LONGEST_NAME = 100  # bytes: outputs add the chain's name, and file systems take 255


class Busy(GanchainError):
    """There is no room now; later there will be."""


@dataclass
class Upload:
    """A photo that was sent.

    Attributes:
        id: a secret: who has it may see the photo.
        name: of the file, as the visitor called it, less what no file may be called.
        path: where it lies.
        size: width, height in px, upright.
        faces: the detections in it, best first.
        jobs: that have not ended and need it.
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

    def described(self) -> list[dict[str, Any]]:
        """Its faces for the page and for reports; the number is what ``faces: [0, 2]`` means."""
        found: list[dict[str, Any]] = []
        number = 0
        for face in self.faces:
            box = [round(edge, 1) for edge in face.box]
            own = None if face.left_out else number
            found.append({"number": own, "box": box, "score": round(face.score, 3), "left_out": face.left_out})
            number += face.left_out is None
        return found


class Uploads:
    """The photos that are here; thread-safe."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        _sweep_others()
        self.root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")).resolve()  # mode 0700
        self._here: dict[str, Upload] = {}
        self._one = Lock()  # large photos are decoded one after the other

    def add(self, name: str, content: BinaryIO) -> Upload:
        """Keep the file, find its faces.

        Raises:
            PhotoError: it is no photo, or one of too many pixels.
            Busy: there are ``Limits.photos`` already, all of them waited for, or a large photo is being read.
        """
        while len(self._here) >= self.limits.photos:
            idle = [upload for upload in list(self._here.values()) if not upload.jobs]
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
            if not self._one.acquire(timeout=PATIENCE):
                raise Busy("other photos are being read; try again in a minute")
            try:
                upload = self._looked_at(key, path)
            finally:
                self._one.release()
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, PhotoError):
                error.path = name
            raise
        self._here[key] = upload
        return upload

    def _looked_at(self, key: str, path: Path) -> Upload:
        width, height = images.size(path)
        if width * height > self.limits.pixels:
            most = f"{self.limits.pixels / 1e6:.0f} megapixels"
            raise PhotoError(f"{width} x {height} px are more than the {most} that are taken here", path=path)
        with path.open("rb") as file:
            if file.read(2) == b"\xff\xd8" and file.read().count(b"\xff\xda") > SCANS:
                raise PhotoError(f"a JPEG of more than {SCANS} scans is not taken here", path=path)
        pixels = images.read(path).pixels
        upload = Upload(key, path.name, path, (pixels.shape[1], pixels.shape[0]), DlibDetector()(pixels))
        preview(pixels, upload.preview)
        return upload

    def get(self, key: str) -> Upload | None:
        """The photo ``key``, which is wanted a while longer."""
        upload = self._here.get(key)
        if upload is not None:
            upload.used = time.monotonic()
        return upload

    def drop(self, key: str) -> None:
        if (upload := self._here.pop(key, None)) is not None:
            shutil.rmtree(upload.path.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what nobody has asked for in ``Limits.kept`` seconds."""
        for upload in list(self._here.values()):
            if time.monotonic() - upload.used > self.limits.kept:
                self.drop(upload.id)

    def close(self) -> None:
        """Delete everything."""
        self._here.clear()
        shutil.rmtree(self.root, ignore_errors=True)


def file_name(given: str) -> str:
    """``given`` as the name of a file in any folder on any system: "../x/a.jpg" -> "a.jpg"."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", given))[-1]
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
    """Delete the folders of servers that ended without doing so."""
    for folder in _folders():
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _folders() -> Iterator[Path]:
    yield from Path(tempfile.gettempdir()).glob(f"{PREFIX}*")
