"""Record of a batch beside its outputs: one JSON line a photo; a rerun reads from it which photos are done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from ganchain import files
from ganchain.errors import GanchainError, PhotoError

Status = Literal["ok", "no_face", "skipped", "failed"]
NAME = "ganchain-batch.jsonl"
MARK = "batch-"  # unfinished files of a batch are called .batch-HEX.part


@dataclass
class Record:
    """Outcome of one photo.

    Attributes:
        input, path: its path below the input folder, and the whole path.
        chain: the chain's name.
        status: "ok"; "no_face": written unchanged; "skipped": an earlier run has done it; "failed": see ``error``.
        target: the path below the output folder that its output has or would have.
        sha256: of the input; None where it cannot be read.
        key: digest of input, chain, weights, names and version; equal keys mean equal outputs.
        outputs: [{"path", "bytes", "sha256"}], paths below the output folder.
        faces: [{"box", "score", "landmarks", "left_out", "distance", "points"}]; when asked for, distance: between the
            embeddings of the face before and after, and points: the 478 of ``ganchain.faces.mesh``.
        size: width, height in px of the photo as it was read.
        seconds: by step.
        engines: the engine of each stage, by its name.
        error: why it failed.
        traceback: of the bug (of ganchain or a plug-in) that it failed for, if it was one.
        tries: how often it was tried, over all runs.
    """

    input: str
    path: str
    chain: str
    status: Status
    target: str
    sha256: str | None = None
    key: str | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    faces: list[dict[str, Any]] = field(default_factory=list)
    size: list[int] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    version: str = ""
    error: str | None = None
    traceback: str | None = None
    tries: int = 1

    def line(self) -> bytes:
        """Encode the record as a line of the file."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"


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
    outputs: list[tuple[str, int]]

    @classmethod
    def of(cls, record: Record) -> Entry:
        """Take these fields from ``record``."""
        outputs = [(str(output["path"]), int(output["bytes"])) for output in record.outputs]
        others = {entry.name: getattr(record, entry.name) for entry in fields(cls) if entry.name != "outputs"}
        return cls(outputs=outputs, **others)

    def done(self, out: Path, key: str) -> bool:
        """Say whether the photo was finished under ``key`` and its files still have their recorded sizes."""
        if self.key != key or self.status not in ("ok", "no_face") or not self.outputs:
            return False
        with suppress(OSError):
            return all((out / path).stat().st_size == size for path, size in self.outputs)
        return False


class Journal:
    """Journal of the folder ``out``: reads its record, appends to it and compacts it; one writer at a time.

    Lines are written whole and reach the system at once; a line that a crash cut is dropped. Records that cannot be
    written now (a full disk) wait in ``pending`` for the next try.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / NAME
        self.entries: dict[tuple[str, str], Entry] = {}
        self.pending: list[Record] = []
        self._file: IO[bytes] | None = None
        for record, _ in _records(self.path):
            self._remember(record)

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
        if (size := self._file.tell()) > (whole := _whole_lines(self.path)):
            self._file.truncate(whole)
            self._file.seek(whole - size, os.SEEK_END)
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
            newest = {(record.chain, record.target): number for number, (record, _) in enumerate(_records(self.path))}
            with files.replaced(self.path, MARK) as file:
                for number, (record, line) in enumerate(_records(self.path)):
                    if newest[record.chain, record.target] == number:
                        file.write(line)


def _records(path: Path) -> Iterator[tuple[Record, bytes]]:
    """Read the records of a file, with their lines; cut lines and fields of newer versions are left out.

    Raises:
        PhotoError: the file cannot be read.
    """
    names = {known_field.name for known_field in fields(Record)}
    try:
        with path.open("rb") as file:
            for line in file:
                with suppress(ValueError, TypeError, KeyError, AttributeError):
                    record = Record(**{name: value for name, value in json.loads(line).items() if name in names})
                    Entry.of(record)
                    yield record, line
    except FileNotFoundError:
        return
    except OSError as error:
        raise PhotoError(f"the record cannot be read: {error.strerror}", path=path) from error


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
