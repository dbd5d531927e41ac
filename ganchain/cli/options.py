"""Options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="auto (CUDA where there is a card), cpu, cuda, cuda:1 (the second card) or mps.",
)

LICENSE_POLICY = click.option(
    "--license-policy",
    type=click.Choice(["any", "commercial"]),
    help="commercial: refuse weights that may not be used commercially  [default: the chain's, else any]",
)


def sheet_option(default: str) -> Callable[[Any], Any]:
    """Make the option ``-o`` of commands that draw faces in rows; ``default`` is the name of the file."""
    return click.option(
        "-o",
        "--out",
        type=click.Path(path_type=Path),
        default=Path(default),
        show_default=True,
        help="A picture (.png, .jpg), or a page with before/after sliders (.html).",
    )


SIDE = click.option("--side", type=click.IntRange(64, 1024), help="Of a cell in px.  [default: 288; 512 in a page]")


class Number(click.FloatRange):
    """A number in a range, which neither "nan" nor "inf" is."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


def timeout_option(default: float, text: str) -> Callable[[Any], Any]:
    """Make the option ``--timeout`` of commands that edit many pictures; ``text`` says what happens to a slow one."""
    return click.option(
        "--timeout",
        type=Number(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )
