"""The catalogue of checkpoints that others published: addresses, digests and licences."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from ganchain import files
from ganchain.checkpoints import tensorflow
from ganchain.checkpoints.entries import Commercial, Sha1, Sha256

CHUNK = 1 << 20


class File(BaseModel):
    """One file of a published checkpoint."""

    model_config = ConfigDict(extra="forbid")
    name: str
    urls: list[str]
    size: int | None = None
    sha256: Sha256 | None = None
    git_blob: Sha1 | None = None

    @property
    def pinned(self) -> bool:
        """True if its digest is published."""
        return bool(self.sha256 or self.git_blob)

    def problem(self, path: Path) -> str | None:
        """Compare ``path`` with the published size and digest: says what differs, or None."""
        if self.size is not None and path.stat().st_size != self.size:
            return f"{path.stat().st_size} bytes, published are {self.size}"
        for expected, digest in ((self.sha256, files.sha256), (self.git_blob, git_blob)):
            if expected and digest(path) != expected:
                return f"digest {digest(path)[:12]}…, published is {expected[:12]}…"
        return None


class Published(BaseModel):
    """One checkpoint of ``weights/published.yaml``."""

    model_config = ConfigDict(extra="forbid")
    architecture: str
    side: int | None = None
    licence: str
    note: str = ""
    commercial: Commercial
    page: str
    files: list[File]

    @property
    def pinned(self) -> bool:
        """True if the digests of all files are published."""
        return all(file.pinned for file in self.files)


@lru_cache(maxsize=1)
def published() -> dict[str, Published]:
    """Read all published checkpoints, by key."""
    text = (resources.files("ganchain.weights") / "published.yaml").read_text(encoding="utf-8")
    return {key: Published.model_validate(value) for key, value in YAML(typ="safe").load(text).items()}


def match(path: Path, *others: Path) -> str | None:
    """Find the key of the published checkpoint that these files are, by their digests; None when they are none."""
    file_parts = [part for file in (path, *others) for part in parts(file)]
    for key, checkpoint in published().items():
        same_number = checkpoint.pinned and len(file_parts) == len(checkpoint.files)
        if same_number and all(any(file.problem(path) is None for file in checkpoint.files) for path in file_parts):
            return key
    return None


def parts(path: Path) -> list[Path]:
    """List the files that hold the weights of ``path``: itself, or those of a TensorFlow bundle."""
    bundle = tensorflow.prefix(path)
    if bundle is None:
        return [path]
    starts = (f"{bundle.name}.index", f"{bundle.name}.data-")
    return sorted(file for file in bundle.parent.iterdir() if file.name.startswith(starts))


def git_blob(path: Path) -> str:
    """Compute the id that git gives the file (``git hash-object``)."""
    status = path.stat()
    return _git_blob(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _git_blob(path: Path, size: int, _modified: int) -> str:
    """Compute the id of a file that has this size and time of modification."""
    blob = sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            blob.update(chunk)
    return blob.hexdigest()
