"""Order in which the stages of a chain run."""

from __future__ import annotations

from collections.abc import Sequence

from ganchain.stage import Stage


def running_order(stages: Sequence[Stage]) -> list[int]:
    """Order stages by their numbers: as written, but an enlargement runs before a stage of any size that it follows.

    A drawing that is made after the enlargement is as sharp as the enlarged photo, not an enlarged drawing.
    """
    order: list[int] = []
    for number, stage in enumerate(stages):
        place = len(order)
        while stage.effect == "enlarge" and place and stages[order[place - 1]].any_size:
            place -= 1
        order.insert(place, number)
    return order
