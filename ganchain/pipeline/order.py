"""Order in which the stages of a chain run, and the windows that they see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ganchain.framing import HEAD, Framing
from ganchain.stage import Stage


def running_order(stages: Sequence[Stage]) -> list[int]:
    """Order stages by their numbers: as written, but an enlargement runs before a stage of any size that it follows.

    A drawing that is made after the enlargement is as sharp as the enlarged photo, not an enlarged drawing.
    """
    order: list[int] = []
    for number, stage in enumerate(stages):
        place = len(order)
        while stage.effect == "enlarge" and place and _any_size(stages[order[place - 1]], stage):
            place -= 1
        order.insert(place, number)
    return order


def _any_size(drawing: Stage, enlargement: Stage) -> bool:
    """Tell whether a drawing can be made of what was enlarged: of the whole photo, or of the faces alone."""
    return drawing.any_size and (drawing.scope == "face" or enlargement.scope == "photo")


def needs_face(stages: Iterable[Stage]) -> bool:
    """Say whether a chain has nothing to do in a photo without a face."""
    return any(stage.scope == "face" and stage.needs_face for stage in stages)


def windows(stages: Iterable[Stage]) -> tuple[Framing, Framing]:
    """Return the window that holds those of all stages, and the one that a face's picture shows."""
    framed = [stage for stage in stages if stage.scope == "face" and stage.effect != "enlarge"]
    seen, shown = [stage.framing for stage in framed], [stage.shown or stage.framing for stage in framed]
    return Framing.around(seen or [HEAD]), Framing.around(shown or [HEAD])


def runs(stages: Sequence[Stage], shown: Framing | None) -> Iterator[tuple[int, Framing | None]]:
    """Yield the numbers of the stages to run, in order, each with the window of faces that is wanted after it.

    Args:
        shown: the window that is wanted in the end; None where all of each face is wanted after every stage.
    """
    order = [number for number in running_order(stages) if not stages[number].idle]
    for place, number in enumerate(order, start=1):
        later = [stages[following] for following in order[place:]]
        seen = [stage.framing for stage in later if stage.scope == "face" and stage.effect != "enlarge"]
        yield number, shown and Framing.around([shown, *seen])
