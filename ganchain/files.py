"""Files that are written whole or not at all, and the SHA-256 of files."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import IO
from uuid import uuid4


@contextmanager
def replaced(
    path: Path,
    prefix: str = "",
    permit: Callable[[Path, Path], None] | None = None,
    folder: Path | None = None,
) -> Iterator[IO[bytes]]:
    """Open a file that appears at ``path`` when the block has ended without an error; missing folders are made.

    Until then it is called ``.PREFIXHEX.part``; by the ``prefix`` callers recognise part files that a crash left.
    ``permit(path, part file)`` is called before the file appears, and may raise an error to keep what is there.
    The part file lies beside ``path``, or in a ``folder`` of the same file system.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = (folder or path.parent) / f".{prefix}{uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut can leave a file of the right name and size without content
        if permit is not None:
            permit(path, unfinished)
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def write(path: Path, content: bytes | str, permit: Callable[[Path, Path], None] | None = None) -> None:
    """Write ``content``, text as UTF-8, to ``path`` whole or not at all; ``permit`` is that of ``replaced``.

    Raises:
        OSError: it cannot be written.
    """
    with replaced(path, permit=permit) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def is_file(path: Path) -> bool:
    """Say whether ``path`` is a file; a name that cannot be one, as too long a name, is none."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def is_folder(path: Path) -> bool:
    """Say whether ``path`` is a folder; a name that cannot be one, as too long a name, is none."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, if it is one: a pipe or a device would keep the reader waiting for ever.

    Raises:
        OSError: there is none, it is no regular file, or it cannot be opened.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder, the system says so itself
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return open(path, "rb", opener=_open_at_once)


def _open_at_once(path: str, flags: int) -> int:
    """Open ``path`` without waiting, should it have become a pipe meanwhile."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_regular(path: Path) -> bytes:
    """Read a file that is one, as ``open_regular`` opens it.

    Raises:
        OSError: there is none, it is no regular file, or it cannot be read.
    """
    with open_regular(path) as file:
        return file.read()


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, as hexadecimal digits; a file that has not changed is not read again.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def identity(path: Path) -> dict[str, int | str]:
    """Measure a file that was written: its bytes and its digest, as records name them."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


@lru_cache(maxsize=64)
def _sha256(path: Path, *_: int) -> str:
    """Compute the digest of a file; its size, times and inode are given to tell versions apart."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_texts(*texts: str) -> str:
    """Compute one SHA-256 of all ``texts``, as hexadecimal digits."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def is_full(error: BaseException | None) -> bool:
    """Say whether ``error`` or one of its causes is that the disk, or the user's share of it, is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
