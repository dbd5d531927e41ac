"""Archives (zip) of the pictures of many jobs, written while they are sent."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganchain.web.jobs import Job

CHUNK = 1 << 18  # bytes


class _Sink(io.RawIOBase):
    """A file that is only written; what was written is taken away with ``take``."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self._parts.append(bytes(data))  # type: ignore[call-overload]
        return len(self._parts[-1])

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def stream(jobs: Sequence[Job]) -> Iterator[bytes]:
    """Yield a zip with the pictures of ``jobs`` that are still there; names that stand twice get a number."""
    sink, names = _Sink(), set[str]()
    with zipfile.ZipFile(sink, "w") as archive:
        for path in (path for job in jobs for path in job.pictures):
            if not path.is_file():
                continue
            with path.open("rb") as source, archive.open(_free(path, names), "w", force_zip64=True) as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
                    yield sink.take()
    yield sink.take()


def _free(path: Path, names: set[str]) -> str:
    """Return the file's name with a number, if need be, so that it is not in ``names``, and add it."""
    name, number = path.name, 2
    while name in names:
        name, number = f"{path.stem}-{number}{path.suffix}", number + 1
    names.add(name)
    return name
