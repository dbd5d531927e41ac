"""Photos from visitors, kept for a while in a folder that only the user of this process can read."""

from __future__ import annotations

import logging
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from ganchain.errors import GanchainError, PhotoError, VideoError
from ganchain.web.folder import Folder, size_of
from ganchain.web.limits import Limits
from ganchain.web.reader import Full, Reader, Seen, Sent, full_disk
from ganchain.web.upload import Moving, Upload, file_name, preview_of
from ganchain.web.video_reader import SeenVideo, SentVideo
from ganchain.web.worker import Crashed, Ended, Worker

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a photo waits until others are read
READING = 60.0  # seconds that the reading of one photo may take


class Busy(GanchainError):
    """An error for a request that can succeed later, when there is room."""

    status = 503


class CleanedAway(Busy):
    """An error for a request whose files somebody else has deleted meanwhile."""

    def __init__(self) -> None:
        super().__init__("the files of this server were cleaned away; send it again")


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
        key, path, seen = self._receive(name, content, lambda path: Sent(path, preview_of(path), self.limits.pixels))
        return self._keep(Upload(key, path.name, path, seen.size, seen.faces))

    def add_video(self, name: str, content: BinaryIO) -> Upload:
        """Store a video, and some stills of it as photos of their own.

        Raises:
            VideoError, PhotoError, Busy, CleanedAway, Full: as of ``add``; or the video is too long.
        """
        limits, stills = self.limits, list[str]()
        key, path, seen = self._receive(name, content, lambda path: SentVideo(path, limits.pixels, limits.length))
        try:
            for number, still in enumerate(seen.stills, start=1):
                with still.open("rb") as file:
                    stills.append(self.add(f"{path.stem}-{number}.png", file).id)
                still.unlink()
        except BaseException:
            for still_key in stills:
                self.drop(still_key)
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        return self._keep(Upload(key, path.name, path, seen.size, [], video=Moving(seen.seconds, seen.frames, stills)))

    def _keep(self, upload: Upload) -> Upload:
        upload.bytes = size_of(upload.path.parent)
        self._uploads[upload.id] = upload
        return upload

    def _receive(self, name: str, content: BinaryIO, sent: Callable[[Path], Sent | SentVideo]) -> tuple[str, Path, Any]:
        """Store a file and have it read: its id, its path, and what was seen."""
        self._limit_number()
        key, name = secrets.token_urlsafe(16), file_name(name)
        with full_disk():
            folder = self.folder.make(key)
            try:
                self._write(content, folder / name)
                seen = self._read(sent(folder / name))
            except BaseException as error:
                lost = not (folder / name).exists()
                shutil.rmtree(folder, ignore_errors=True)
                if lost and isinstance(error, FileNotFoundError | PhotoError | VideoError):
                    raise CleanedAway from error
                if isinstance(error, PhotoError | VideoError):
                    error.path = name
                raise
        return key, folder / name, seen

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

    def _read(self, sent: Sent | SentVideo) -> Seen | SeenVideo:
        if not self._reading.acquire(timeout=PATIENCE):
            raise Busy("other photos are being read; try again in a minute")
        try:
            return self._read_next(sent)
        finally:
            self._reading.release()

    def _read_next(self, sent: Sent | SentVideo) -> Seen | SeenVideo:
        late = time.monotonic() + READING

        def tick(_: int) -> None:
            if time.monotonic() > late:
                raise Ended(f"took longer than {READING:g} s")

        try:
            seen: Seen | SeenVideo = self._reader.call(sent, tick)
        except Crashed as error:
            raise PhotoError(error.reason, path=sent.path) from None
        except Ended as error:
            if time.monotonic() > late:
                raise PhotoError(error.reason, path=sent.path) from None
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
            for still in upload.video.stills if upload.video else ():
                self.drop(still)

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
