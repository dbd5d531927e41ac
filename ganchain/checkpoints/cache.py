"""The user's cache of imported weights: an entry KEY.json and a file of tensors for each key.

Nothing of it is kept in memory, so what this or another process changes there is seen at once. To look up a key only
its entry is read; the folder is listed only where all keys are asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from ganchain import files
from ganchain.checkpoints.architectures import ARCHITECTURES
from ganchain.checkpoints.entries import Entry
from ganchain.errors import WeightsError

KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")  # begins with a letter, so that YAML reads no number
DIGITS = 12  # of a file's SHA-256, in its name


def folder() -> Path:
    """Locate the cache: below ``$GANCHAIN_CACHE``, or in the system's place for caches."""
    return Path(os.environ.get("GANCHAIN_CACHE") or platformdirs.user_cache_path("ganchain")) / "weights"


def all_keys() -> list[str]:
    """List the keys of all entries, broken ones included."""
    return sorted(path.stem for path in folder().glob("*.json"))


def get(key: str) -> Entry | None:
    """Read the entry ``key``; None where there is none, or a broken one."""
    if KEY.fullmatch(key):
        with suppress(OSError, ValueError):
            entry = Entry.model_validate_json((folder() / f"{key}.json").read_text(encoding="utf-8"))
            if entry.file == Path(entry.file).name and entry.architecture in ARCHITECTURES:
                return entry
    return None


def entries() -> dict[str, Entry]:
    """Read all entries, by key, less the broken ones, which ``ganchain weights verify`` names."""
    return {key: entry for key in all_keys() if (entry := get(key))}


def write(key: str, entry: Entry, content: bytes) -> None:
    """Put the weights ``key`` into the cache; ``content`` is the file that ``entry`` names.

    Raises:
        WeightsError: the cache cannot be written to.
    """
    with writing():
        files.write(folder() / entry.file, content)
        former = get(key)
        files.write(folder() / f"{key}.json", entry.model_dump_json(indent=1, exclude_none=True))
        if former and former.file != entry.file:
            (folder() / former.file).unlink(missing_ok=True)


def delete(key: str) -> None:
    """Delete the weights ``key`` from the cache.

    Raises:
        WeightsError: the cache cannot be written to.
    """
    with writing():
        (folder() / f"{key}.json").unlink(missing_ok=True)
        own = re.compile(rf"{re.escape(key)}\.[0-9a-f]{{{DIGITS}}}\.safetensors")  # never those of KEY.v2
        for file in list(folder().iterdir()):
            if own.fullmatch(file.name):
                file.unlink(missing_ok=True)


def file_name(key: str, sha256: str) -> str:
    """Name the file of the weights ``key`` that has this SHA-256."""
    return f"{key}.{sha256[:DIGITS]}.safetensors"


@contextmanager
def writing() -> Iterator[None]:
    """Raise a WeightsError where the file system refuses to write to the cache."""
    try:
        yield
    except OSError as error:
        path, reason = error.filename or folder(), error.strerror or error
        raise WeightsError(f"cannot write {path}: {reason}; GANCHAIN_CACHE names another folder") from error
