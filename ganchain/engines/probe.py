"""The drawn face that engines are compared on, and what our networks read of it."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganchain import tensors
from ganchain.faces.parts import Parts
from ganchain.faces.reading import Points, Reading
from ganchain.framing import CELEBA, FFHQ, HEAD, Framing
from ganchain.stage import Stage

SHOWN = Framing.around([HEAD, FFHQ, CELEBA])  # framing of the picture


def probe(stage: Stage, device: torch.device) -> tuple[Tensor, dict[str, Tensor]]:
    """Cut the face that engines are compared on as ``stage`` sees it.

    Returns:
        The face, (1, 3, S, S) float32 -1..1, and what the stage asks for of it, by name; on ``device``.
    """
    side = stage.side or 256 // stage.multiple * stage.multiple
    face = probe_window(stage.framing, side)
    read = probe_reading().within(stage.framing, face, stage.reads)
    return face.to(device), {name: value.to(device) for name, value in read.items()}


@lru_cache(maxsize=1)
def probe_reading() -> Reading:
    """Load what our networks read of the drawn face; ``benchmarks/probe_reading.py`` wrote it."""
    saved = np.load(BytesIO((resources.files("ganchain.engines") / "probe.npz").read_bytes()))
    mattes = saved["mattes"].astype(np.float32) / 255
    head = ((probe_window(HEAD, mattes.shape[-1]) + 1) / 2)[0].numpy()
    points = Points(saved["points"].astype(np.float64), 1.0)
    return Reading(probe_window, known={"points": points, "parts": Parts(mattes, head)})


def probe_window(framing: Framing, side: int) -> Tensor:
    """Cut a window out of the drawn face: (1, 3, side, side) float32 -1..1."""
    picture = probe_picture()
    return tensors.resize(picture[framing.within(SHOWN, picture.shape[-1]).place], (side, side)).clamp(-1, 1)


@lru_cache(maxsize=1)
def probe_picture() -> Tensor:
    """Read the drawn face that engines are compared on: (1, 3, H, H) float32 -1..1, in the framing ``SHOWN``."""
    content = (resources.files("ganchain.engines") / "probe.jpg").read_bytes()
    return tensors.to_faces(np.asarray(Image.open(BytesIO(content)).convert("RGB")))
