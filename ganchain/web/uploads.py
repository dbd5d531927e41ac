"""Photos from visitors, kept for a while in a folder that only the user of this process can read."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from ganchain.errors import GanchainError, PhotoError
from ganchain.faces.face import Face
from ganchain.web.folder import Folder, size_of
from ganchain.web.limits import Limits
from ganchain.web.reader import Full, Reader, Seen, Sent, full_disk
from ganchain.web.worker import Crashed, Ended, Worker

log = logging.getLogger(__name__)

FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
PATIENCE = 20.0  # seconds that a photo waits until others are read
READING = 60.0  # seconds that the reading of one photo may take
LONGEST_NAME = 100  # bytes; outputs add the chain's name, and file systems take 255


class Busy(GanchainError):
    """An error for a request that can succeed later, when there is room."""

    status = 503


class CleanedAway(Busy):
    """An error for a request whose files somebody else has deleted meanwhile."""

    def __init__(self) -> None:
        super().__init__("the files of this server were cleaned away; send it again")


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
        bytes: the size of its files.
    """

    id: str
    name: str
    path: Path
    size: tuple[int, int]
    faces: list[Face]
    used: float = field(default_factory=time.monotonic)
    jobs: int = 0
    bytes: int = 0

    @property
    def preview(self) -> Path:
        return preview_of(self.path)

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
        self.folder = Folder()
        self._uploads: dict[str, Upload] = {}
        self._changing = Lock()
        self._reading = Lock()  # photos are decoded one after the other
        self._reader = Worker(Reader)

    @property
    def bytes(self) -> int:
        """Size of all photos."""
        return sum(upload.bytes for upload in list(self._uploads.values()))

    def start(self) -> None:
        """Start the process that reads photos."""
        self._reader.start()

    def add(self, name: str, content: BinaryIO) -> Upload:
        """Store the file and find its faces.

        Raises:
            PhotoError: the file is no photo, has too many pixels, takes too long, or kills the process that reads it.
            Busy: there are ``Limits.photos`` already and jobs need them all, or another photo is being read.
            CleanedAway: its file vanished while it was read.
            Full: there is no room on the disk.
        """
        self._limit_number()
        key, name = secrets.token_urlsafe(16), file_name(name)
        with full_disk():
            folder = self.folder.make(key)
            try:
                self._write(content, folder / name)
                seen = self._read(folder / name)
            except BaseException as error:
                lost = not (folder / name).exists()
                shutil.rmtree(folder, ignore_errors=True)
                if lost and isinstance(error, FileNotFoundError | PhotoError):
                    raise CleanedAway from error
                if isinstance(error, PhotoError):
                    error.path = name
                raise
        upload = Upload(key, name, folder / name, seen.size, seen.faces, bytes=size_of(folder))
        self._uploads[key] = upload
        return upload

    def renewed(self) -> CleanedAway | Full | None:
        """Make the folder of all files anew if somebody has cleaned it away; return how to answer then."""
        if self.folder.exists:
            return None
        try:
            self.folder.keep()
        except OSError as error:
            log.error("no folder can be made for photos", exc_info=error)
            return Full("this server has no folder for photos; its log says why")
        return CleanedAway()

    def _limit_number(self) -> None:
        """Drop the photos for which nobody has asked for the longest time, while there are too many."""
        with self._changing:
            while len(self._uploads) >= self.limits.photos:
                if not (idle := self.idle()):
                    raise Busy("too many photos wait here already; try again in some minutes")
                self.drop(idle[0].id)

    def idle(self) -> list[Upload]:
        """List the photos that no job needs, the one that was used longest ago first."""
        uploads = [upload for upload in list(self._uploads.values()) if not upload.jobs]
        return sorted(uploads, key=lambda upload: upload.used)

    @staticmethod
    def _write(content: BinaryIO, path: Path) -> None:
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)

    def _read(self, path: Path) -> Seen:
        if not self._reading.acquire(timeout=PATIENCE):
            raise Busy("other photos are being read; try again in a minute")
        try:
            return self._read_next(path)
        finally:
            self._reading.release()

    def _read_next(self, path: Path) -> Seen:
        late = time.monotonic() + READING

        def tick(_: int) -> None:
            if time.monotonic() > late:
                raise Ended(f"took longer than {READING:g} s")

        try:
            seen: Seen = self._reader.call(Sent(path, preview_of(path), self.limits.pixels), tick)
        except Crashed as error:
            raise PhotoError(error.reason, path=path) from None
        except Ended as error:
            if time.monotonic() > late:
                raise PhotoError(error.reason, path=path) from None
            raise
        return seen

    def get(self, key: str) -> Upload | None:
        """Return the photo ``key``, and note that it is in use; None if it, or its file, is not there (any more)."""
        upload = self._uploads.get(key)
        if upload is not None:
            upload.used = time.monotonic()
            if not upload.path.exists():  # cleaned away by others
                self.drop(key)
                return None
        return upload

    def drop(self, key: str) -> None:
        """Delete the photo ``key``."""
        if (upload := self._uploads.pop(key, None)) is not None:
            shutil.rmtree(upload.path.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Delete photos for which nobody has asked in ``Limits.kept`` seconds."""
        self.folder.keep()
        for upload in list(self._uploads.values()):
            if time.monotonic() - upload.used > self.limits.kept:
                self.drop(upload.id)

    def end(self) -> None:
        """Read no more photos."""
        self._reader.end()

    def close(self) -> None:
        """Delete everything."""
        self._reader.close()
        self._uploads.clear()
        self.folder.close()


def preview_of(path: Path) -> Path:
    return path.parent / ".preview.jpg"


def file_name(text: str) -> str:
    """Make a file name that every system accepts: "../x/a.jpg" -> "a.jpg"."""
    name = re.split(r"[/\\]", unicodedata.normalize("NFC", text))[-1]
    name = FORBIDDEN.sub("_", name).strip(". ")
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (name, "")
    return f"{_cut(stem, LONGEST_NAME)}{dot}{_cut(suffix, 8)}" if stem else "photo"


def _cut(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
