"""Settings of the workers of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ganchain.checkpoints.manifest import Policy

LOCK = ".ganchain-batch.lock"


@dataclass(frozen=True)
class Settings:
    """Settings of a worker beside its chain; they can be pickled.

    Attributes:
        out: the output folder.
        chain: the chain's name.
        key: the chain's digest, of ``chain_key``.
        engines: the answer of ``Pipeline.engines``, or one engine's name.
        threads: of torch and OpenCV; None leaves their number as it is.
        memory: bytes that a group of photos may take; larger photos are put aside.
        identity: record the distance between the embeddings of a face before and after.
        points: record the 478 points of each face.
        accept_damaged: edit photos whose file is damaged, too.
        overwrite: replace files that are in the way, too.
        redo: do finished videos once more.
        timeout: seconds that a frame of a video may take.
        feeder: the socket of the process that runs the networks on ``device``; "" where the worker does.
        confined: limit this process to that memory and ``SLACK``.
        alone: no other worker is at work; a photo that does not fit now never will.
    """

    out: Path
    chain: str
    key: str
    device: str = "auto"
    engines: str | Mapping[str, str] = "torch"
    license_policy: Policy | None = None
    threads: int | None = None
    memory: int = 1 << 62
    identity: bool = False
    points: bool = False
    accept_damaged: bool = False
    overwrite: bool = False
    redo: bool = False
    timeout: float = 600.0
    feeder: str = ""
    confined: bool = False
    alone: bool = False
