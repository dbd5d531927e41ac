"""The folder of the server's files: only its user can read it, and it is gone when the server has ended."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

PREFIX = "ganchain-web-"
LOCK = ".lock"
YOUNG = 60.0  # seconds after which a folder without a lock counts as left behind


class Folder:
    """A temporary folder with a lock that the server holds as long as it lives.

    Servers delete what dead ones left. A lock says who is dead, also in another container that shares the folder;
    process numbers would not.
    """

    def __init__(self) -> None:
        self._making = Lock()
        sweep()
        self.path = self._make()

    def _make(self) -> Path:
        while True:
            Path(tempfile.gettempdir()).mkdir(mode=0o700, parents=True, exist_ok=True)  # TMPDIR may be gone, too
            path = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()  # mode 0700
            self._lock = FileLock(path / LOCK, thread_local=False)
            with suppress(Timeout, OSError):
                self._lock.acquire(timeout=0)
                if (path / LOCK).exists():
                    return path
            # another server took it for one that was left behind

    def make(self, name: str) -> Path:
        """Make the folder ``name`` in it.

        The whole folder is made anew if somebody has cleaned it away.

        Raises:
            OSError: it cannot be made.
        """
        path = self.path / name
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            self.keep()
            path = self.path / name
            path.mkdir(mode=0o700)
        return path

    @property
    def exists(self) -> bool:
        """True while nobody has cleaned it away."""
        return (self.path / LOCK).exists()

    def keep(self) -> None:
        """Keep the folder from those who clean up what is old, and make it anew if it is gone.

        Raises:
            OSError: it cannot be made.
        """
        with self._making:
            try:
                os.utime(self.path / LOCK)
            except OSError:
                self._lock.release(force=True)
                shutil.rmtree(self.path, ignore_errors=True)  # without its lock it is not safe
                self.path = self._make()

    def close(self) -> None:
        """Delete the folder with all that is in it."""
        with self._making:
            with suppress(OSError):
                self._lock.release(force=True)
            shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Delete the folders of servers that ended without deleting them."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if path.is_symlink():
            continue
        with suppress(OSError, Timeout):
            if not (path / LOCK).exists() and time.time() - path.stat().st_mtime < YOUNG:
                continue  # another server is just making it
            with FileLock(path / LOCK, timeout=0):
                shutil.rmtree(path, ignore_errors=True)


def cleaned_away(error: BaseException | None) -> bool:
    """Say whether ``error`` or one of its causes is that something is missing where temporary files lie."""
    root = Path(tempfile.gettempdir()).resolve()
    while error is not None:
        path = Path(str(error.filename)) if isinstance(error, FileNotFoundError) else Path()
        if path.is_absolute() and root in path.resolve().parents:
            return True
        error = error.__cause__
    return False


def size_of(folder: Path) -> int:
    """Add up the bytes of the files in ``folder``, of those that are still there."""
    total = 0
    with suppress(OSError):
        for path in folder.iterdir():
            with suppress(OSError):
                total += path.stat().st_size
    return total
