"""The checkpoints that others published: where they lie, their digests, licences; and files told by their digests."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from ganchain import files
from ganchain.checkpoints import tensorflow

CHUNK = 1 << 20
Commercial = Literal["yes", "no", "unknown"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Sha1 = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


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
        """Whether a digest is published."""
        return bool(self.sha256 or self.git_blob)

    def problem(self, path: Path) -> str | None:
        """Why ``path`` is not this file; None when it is, as far as can be told."""
        if self.size is not None and path.stat().st_size != self.size:
            return f"{path.stat().st_size} bytes, published are {self.size}"
        for wanted, found in ((self.sha256, files.sha256), (self.git_blob, git_blob)):
            if wanted and found(path) != wanted:
                return f"digest {found(path)[:12]}…, published is {wanted[:12]}…"
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
        """Whether the digests of all files are published."""
        return all(file.pinned for file in self.files)


@lru_cache(maxsize=1)
def published() -> dict[str, Published]:
    """All published checkpoints by key."""
    text = (resources.files("ganchain.weights") / "published.yaml").read_text(encoding="utf-8")
    return {key: Published.model_validate(value) for key, value in YAML(typ="safe").load(text).items()}


def match(path: Path, *others: Path) -> str | None:
    """The key of the published checkpoint whose digests these files have; None when they are another's."""
    given = [file for one in (path, *others) for file in parts(one)]
    for key, checkpoint in published().items():
        if checkpoint.pinned and len(given) == len(checkpoint.files):
            wanted = {file.sha256 or file.git_blob for file in checkpoint.files}
            if all({files.sha256(file), git_blob(file)} & wanted for file in given):
                return key
    return None


def parts(path: Path) -> list[Path]:
    """The files that hold the weights ``path`` stands for: itself, or those of a TensorFlow bundle."""
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
def _git_blob(path: Path, size: int, _changed: int) -> str:
    blob = sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            blob.update(chunk)
    return blob.hexdigest()
