"""The checkpoints that others published: where they lie, their digests, licences; and files told by their digests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha1, sha256
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from ganchain import tf_bundle

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
        for wanted, found in ((self.sha256, digest), (self.git_blob, git_blob)):
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


@lru_cache(maxsize=1)
def published() -> dict[str, Published]:
    """All published checkpoints by key."""
    text = (resources.files("ganchain.weights") / "published.yaml").read_text(encoding="utf-8")
    return {key: Published.model_validate(value) for key, value in YAML(typ="safe").load(text).items()}


def match(path: Path, *others: Path) -> str | None:
    """The key of the published checkpoint whose digests these files have; None when they are another's."""
    found = {hashed(file) for one in (path, *others) for file in parts(one) for hashed in (digest, git_blob)}
    for key, checkpoint in published().items():
        pinned = {file.sha256 or file.git_blob for file in checkpoint.files if file.pinned}
        if pinned and pinned <= found:
            return key
    return None


def parts(path: Path) -> list[Path]:
    """The files that hold the weights ``path`` stands for: itself, or those of a TensorFlow bundle."""
    bundle = tf_bundle.prefix(path)
    return [path] if bundle is None else sorted(bundle.parent.glob(f"{bundle.name}.[id]*"))


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    hashed = sha256()
    for chunk in _chunks(path):
        hashed.update(chunk)
    return hashed.hexdigest()


def git_blob(path: Path) -> str:
    """The id git gives the file (``git hash-object``)."""
    hashed = sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    for chunk in _chunks(path):
        hashed.update(chunk)
    return hashed.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
