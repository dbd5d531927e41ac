"""Options of a batch; the command line takes its defaults from here, so that torch is imported late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ganchain.errors import ChainError, EngineError, available
from ganchain.pipeline.names import TEMPLATE

if TYPE_CHECKING:
    import torch

    from ganchain.checkpoints.manifest import Policy


@dataclass(frozen=True)
class Options:
    """Options of a batch.

    Attributes:
        include, exclude: globs on the path below the input folder.
        name: template of the outputs' names, see ``Names``.
        workers: processes; None: one a core, fewer where memory is short.
        device, engine, license_policy: as for ``Pipeline``.
        timeout: seconds that one photo, or a frame of a video, may take.
        identity: record how far each face's embedding moves (extra ``evaluate``).
        points: record the 478 points of each face.
        redo: do finished photos once more.
        accept_damaged: edit photos whose file is damaged, too.
        overwrite: replace files in the output folder that are neither recorded nor of this chain.
        ray: work on this Ray cluster ("auto": the one that this machine belongs to) instead of in local processes.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    name: str = TEMPLATE
    workers: int | None = None
    device: str | torch.device = "auto"
    engine: str | Mapping[str, str] = "torch"
    timeout: float = 600.0
    identity: bool = False
    points: bool = False
    redo: bool = False
    accept_damaged: bool = False
    overwrite: bool = False
    ray: str | None = None
    license_policy: Policy | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ChainError, EngineError: with the option's name and the reason.
        """
        if self.workers is not None and self.workers < 1:
            raise ChainError(f"{self.workers}: at least one is needed", key="workers")
        if self.timeout <= 0:
            raise ChainError(f"{self.timeout:g}: more than 0 seconds are needed", key="timeout")
        if isinstance(self.engine, str) and self.engine != "auto":
            from ganchain.engines.choice import LABELS

            if self.engine not in LABELS:
                raise EngineError(f"no engine {self.engine!r}; {available(self.engine, ['auto', *LABELS])}")
        if isinstance(self.include, str) or isinstance(self.exclude, str):
            raise ChainError("include and exclude are lists of globs")
