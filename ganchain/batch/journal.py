"""Record of a batch beside its outputs: one JSON line a photo; a rerun reads from it which photos are done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self, get_args

from ganchain import files
from ganchain.batch.record import Record, Status
from ganchain.errors import GanchainError, PhotoError

NAME = "ganchain-batch.jsonl"
MAX_NUMBER = 1 << 62  # of tries, or of bytes in a file
MARK = "batch-"  # unfinished files of a batch are called .batch-HEX.part


@dataclass
class Entry:
    """Fields of a record that the journal keeps in memory."""

    input: str
    path: str
    chain: str
    status: Status
    target: str
    sha256: str | None
    key: str | None
    tries: int
    engines: dict[str, str]
    outputs: list[tuple[str, int]]

    @classmethod
    def of(cls, record: Record) -> Entry:
        """Take these fields from ``record``."""
        outputs = [(output["path"], output["bytes"]) for output in record.outputs]
        others = {entry.name: getattr(record, entry.name) for entry in fields(cls) if entry.name != "outputs"}
        return cls(outputs=outputs, **others)

    @property
    def sound(self) -> bool:
        """True if all fields are of the types and within the bounds that a batch writes."""
        texts = [self.input, self.path, self.chain, self.target, *self.engines.keys(), *self.engines.values()]
        texts += [path for path, _ in self.outputs] + [text for text in (self.sha256, self.key) if text is not None]
        numbers = [self.tries, *(size for _, size in self.outputs)]
        sound = all(isinstance(text, str) and "\0" not in text and os.fsencode(text) is not None for text in texts)
        sound = sound and all(type(number) is int and 0 <= number < MAX_NUMBER for number in numbers)
        return sound and self.status in get_args(Status) and PurePosixPath(self.target).name != ""

    def done(self, out: Path, key: str) -> bool:
        """Say whether the photo was finished under ``key`` and its files still have their recorded sizes."""
        if self.key != key or self.status not in ("ok", "no_face") or not self.outputs:
            return False
        with suppress(OSError):
            return all((out / path).stat().st_size == size for path, size in self.outputs)
        return False


class Journal:
    """Journal of the folder ``out``: reads its record, appends to it and compacts it; one writer at a time.

    Lines are written whole and reach the system at once. Records that cannot be written now (a full disk) wait in
    ``pending`` for the next try. Damaged and cut lines are dropped; ``damaged`` has their numbers.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / NAME
        self.entries: dict[tuple[str, str], Entry] = {}
        self.pending: list[Record] = []
        self.damaged: list[int] = []
        self._state = _state(self.path)
        self._file: IO[bytes] | None = None
        for number, record, _ in _lines(self.path):
            if record is None:
                self.damaged.append(number)
            else:
                self._remember(record)

    @property
    def changed(self) -> bool:
        """True if the file is not the one that was read."""
        return self._state != _state(self.path)

    def _remember(self, record: Record) -> None:
        self.entries[record.chain, record.target] = Entry.of(record)

    def __enter__(self) -> Self:
        """Open the record for appending, less a last line that a crash cut.

        Raises:
            PhotoError: it cannot be written.
        """
        try:
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise PhotoError(f"the record cannot be written: {error.strerror}", path=self.path) from error
        self._file.truncate(_whole_lines(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the record, once the disk has it."""
        assert self._file is not None
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()

    def entry(self, chain: str, target: str) -> Entry | None:
        """Look up the entry of an output; None where there is none."""
        return self.entries.get((chain, target))

    def engines(self, chain: str, key: Callable[[str], str]) -> dict[str, str]:
        """Look up the engines of the stages that an earlier batch has run ``chain`` with; {} if there was none.

        Args:
            key: computes an output's key from the SHA-256 of its photo, as this chain gives it.
        """
        for entry in self.entries.values():
            if entry.chain == chain and entry.engines and entry.sha256 and entry.key == key(entry.sha256):
                return dict(entry.engines)
        return {}

    def append(self, record: Record) -> OSError | None:
        """Write ``record`` after the pending ones; returns the error if that failed."""
        self._remember(record)
        self.pending.append(record)
        return self.flush()

    def flush(self) -> OSError | None:
        """Write the pending records; returns the error if that failed."""
        while self.pending:
            try:
                self._write(self.pending[0].line())
            except OSError as error:
                return error
            del self.pending[0]
        return None

    def _write(self, line: bytes) -> None:
        """Write a line whole; if that fails, cut off the part that was written."""
        assert self._file is not None
        if not self.path.exists():
            raise FileNotFoundError(2, "the record's file is gone", str(self.path))
        start = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "No space left on device")
        except OSError:
            with suppress(OSError):
                self._file.truncate(start)
            raise

    def compact(self) -> None:
        """Keep only the newest line of each output; the file is replaced whole or not at all. It must not be open."""
        if not self.path.exists():  # its folder must not be made again either
            return
        with suppress(OSError, GanchainError):  # the longer record is as good
            newest = {(record.chain, record.target): number for number, record, _ in _lines(self.path) if record}
            with files.replaced(self.path, MARK) as file:
                for number, record, line in _lines(self.path):
                    if record and newest[record.chain, record.target] == number:
                        file.write(line)


def _state(path: Path) -> tuple[int, ...]:
    """Read what tells versions of a file apart; () where there is none."""
    with suppress(OSError):
        return (status := path.stat()).st_ino, status.st_size, status.st_mtime_ns
    return ()


def _lines(path: Path) -> Iterator[tuple[int, Record | None, bytes]]:
    """Read the lines of a record: number, content (None where it is damaged) and bytes.

    Raises:
        PhotoError: the file cannot be read.
    """
    try:
        with files.open_regular(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parsed(line), line
    except FileNotFoundError:
        return
    except OSError as error:
        raise PhotoError(f"the record cannot be read: {error.strerror}", path=path) from error


def _parsed(line: bytes) -> Record | None:
    """Parse a line, less the fields of newer versions; None where it is cut or damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        values = json.loads(line)
        record = Record(**{known.name: values[known.name] for known in fields(Record) if known.name in values})
        return record if Entry.of(record).sound else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _whole_lines(path: Path) -> int:
    """Count the bytes of ``path`` up to the end of its last whole line."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        end = file.tell()
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            if (newline := file.read(end - start).rfind(b"\n")) >= 0:
                return start + newline + 1
            end = start
    return 0
