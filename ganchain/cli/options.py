"""Options that several commands have."""

from __future__ import annotations

import math
from typing import Any

import click

DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="auto (CUDA where there is a card), cpu, cuda, cuda:1 (the second card) or mps.",
)


class Number(click.FloatRange):
    """A number in a range, which neither "nan" nor "inf" is."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number
