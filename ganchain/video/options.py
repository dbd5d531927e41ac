"""Options of a video; the command line takes its defaults from here, so that torch is imported late."""

from __future__ import annotations

from dataclasses import dataclass

from ganchain.errors import ChainError


@dataclass(frozen=True)
class Options:
    """Options of a video.

    Attributes:
        codec: what it is written in: "h264", "h265", "vp9", "prores" or "ffv1"; None: by the output's suffix.
        crf: quality of the codec, lower is better; None: its own default.
        steady: how much points, mattes and edits are held still, 0 not at all (every frame on its own) to 1.
        label: a word that is written into a corner of every frame; "" for none.
        timeout: seconds that one frame may take; a slower one stays as it is.
        overwrite: replace files that ganchain did not make with a chain of this name.
        redo: do a finished video once more.
        seconds: length of the segments.
    """

    codec: str | None = None
    crf: int | None = None
    steady: float = 0.8
    label: str = ""
    timeout: float = 600.0
    overwrite: bool = False
    redo: bool = False
    seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ChainError: with the option's name and the reason.
        """
        if not 0 <= self.steady <= 1:
            raise ChainError(f"{self.steady:g}: it is 0 to 1", key="steady")
        if self.timeout <= 0:
            raise ChainError(f"{self.timeout:g}: more than 0 seconds are needed", key="timeout")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise ChainError(f"{self.crf}: it is 0 to 63", key="crf")
