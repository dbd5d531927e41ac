"""The stage contract: all that a contributor writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from ganchain.framing import TIGHT, Framing

Align = Callable[[Path, Framing, int], Tensor]


class Stage(nn.Module):
    """One step of a chain: a batch of aligned faces in, the edited batch out.

    A subclass is a stage: the class's name in lower case is its name in YAML, its docstring is what
    ``ganchain stages NAME`` prints, and its constructor's annotated keyword arguments are its options
    (pydantic types and bounds apply). Everything else happens outside: detection, alignment, batching, device,
    resizing, range checks, the way back into the photo.

    Attributes:
        side: the side in px that ``forward`` is called at; None for any multiple of ``multiple``.
        framing: where the face sits in that window (the framing of the training data).
        restyles: False: what the stage changed (out - in) is added at the photo's own resolution;
            True: its pixels replace the window's.
        scale: output side / input side.
        enlarges: True: a ``scale`` above 1 enlarges the picture; False: it only carries finer pixels of
            the same picture (a restyling stage that draws at twice the side).
        photo_side: set for a restyling stage that must see faces at the size it was trained on: with scope
            "photo" it works on a copy of the photo where the largest face has that size (without a face, where
            the longest side is at most ``photo_side`` px), and its drawing is brought to the photo's size.
        tiles: False for a network that must see a whole photo at once (it normalises over all of it).
        scope: "face": called with aligned faces; "photo": called with tiles of the whole photo.
        strength: 0: the stage is skipped and changes nothing.
        weights: keys of the manifest (or paths) this stage runs on, for ``--dry-run`` and licence checks.
        order: where it stands among the stages of a grid that names no chain, the lowest first.
        alternatives: groups of options of which only one can be given; a grid's takes the place of the chain's.
        plain: options whose values say by themselves what they are, for captions: "old", not "age old".
        where: file and line of the chain that asked for this stage, for messages.
        worker: the stage that does the work instead, where weights of another network were asked for.
    """

    side: int | None = 256
    multiple: int = 1
    framing: Framing = TIGHT
    restyles: bool = False
    enlarges: bool = False
    photo_side: int | None = None
    tiles: bool = True
    scale: int = 1
    scope: str = "face"
    strength: float = 1.0
    weights: tuple[str, ...] = ()
    order: int = 50
    alternatives: tuple[tuple[str, ...], ...] = ()
    plain: tuple[str, ...] = ()
    where: str = ""
    worker: Stage | None

    def __init__(self) -> None:
        super().__init__()
        self.worker = None

    def hand_over(self, worker: Stage) -> None:
        """Work at the side, in the framing and at the scale of ``worker``; ``forward`` passes the faces on to it."""
        for name in ("side", "multiple", "framing", "restyles", "enlarges", "photo_side", "tiles", "scale", "scope"):
            setattr(self, name, getattr(worker, name))
        self.worker = worker

    def prepare(self, align: Align) -> None:
        """Called once before the first photo, on the final device. Override to read reference pictures.

        Args:
            align: ``align(path, framing, side)`` -> (1, 3, side, side) float32 -1..1, the best face of that
                picture; raises PhotoError or FaceError.
        """

    def forward(self, faces: Tensor) -> Tensor:
        """Edit ``faces``: (N, 3, S, S) float32 RGB -1..1 -> (N, 3, S * scale, S * scale) in the same range.

        With ``scope = "photo"`` the batch holds (N, 3, H, W) tiles instead.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(faces)")


def refuse(reason: str, **options: object) -> None:
    """Raise a ValueError that names the first of ``options`` that was given (is not None), and why it cannot be."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name}: {str(value)!r} is not served by these weights: {reason}")
