"""Recipes of the upscaler's other sizes: the same training as ``upscale``, of a smaller and of two larger networks."""

from __future__ import annotations

from pathlib import Path

from ganchain.train.upscale import Upscale


class UpscaleFast(Upscale):
    """Train the fast upscaler, of 5 convolutions of 16 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Args:
        crop, spoilt, photos_weight, luma, squared: as in ``Upscale``.
    """

    key = "upscale-fast"

    def __init__(
        self,
        data: Path,
        steps: int = 12_000,
        batch: int = 32,
        rate: float = 1.5e-3,
        crop: int = 64,
        width: int = 16,
        depth: int = 5,
        spoilt: float = 0.0,
        photos_weight: int = 40,
        luma: float = 2.0,
        squared: bool = False,
    ) -> None:
        super().__init__(data, steps, batch, rate, crop, width, depth, spoilt, photos_weight, luma, squared=squared)


class UpscaleStandard(UpscaleFast):
    """Train the standard upscaler, of 5 convolutions of 32 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Args:
        rate, width, depth: as in ``Upscale``.
    """

    key = "upscale-standard"

    def __init__(
        self, data: Path, steps: int = 12_000, batch: int = 32, rate: float = 1.2e-3, width: int = 32, depth: int = 5
    ) -> None:
        super().__init__(data, steps, batch, rate, width=width, depth=depth)


class UpscaleBest(UpscaleFast):
    """Train the best upscaler, of 20 convolutions of 32 channels, on ``data``/faces256 and ``data``/photos_cc0.

    Args:
        rate, width, depth: as in ``Upscale``.
    """

    key = "upscale-best"

    def __init__(
        self, data: Path, steps: int = 12_000, batch: int = 32, rate: float = 1e-3, width: int = 32, depth: int = 20
    ) -> None:
        super().__init__(data, steps, batch, rate, width=width, depth=depth)
