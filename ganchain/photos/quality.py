"""Quality that a JPEG file was saved with, read off its quantisation table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from PIL import Image

# the steps of brightness at quality 50 that the standard proposes (ITU-T T.81, table K.1), row by row
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def of(image: Image.Image) -> int | None:
    """Return the quality (1..100) of an opened JPEG file as libjpeg counts it; None for another picture."""
    tables = getattr(image, "quantization", None)
    return of_table(tables[0]) if tables and len(tables.get(0, ())) == len(LUMINANCE) else None


def of_table(table: Sequence[int]) -> int:
    """Return the quality 1..100 whose steps are nearest to ``table``: 64 steps, row by row.

    Other programs have tables of their own; they count as the quality with steps as coarse as theirs.
    """
    percent = 100 * median(step / standard for step, standard in zip(table, LUMINANCE, strict=True))
    quality = 5000 / percent if percent > 100 else 100 - percent / 2
    return max(1, min(100, round(quality)))
