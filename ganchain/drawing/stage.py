"""Stage that draws: what is read of each face goes into a drawing, which is painted at the size of its window."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ganchain.drawing.draw import Style, draw
from ganchain.drawing.paint import paint
from ganchain.drawing.paths import UNITS
from ganchain.faces.parts import PARTS
from ganchain.framing import HEAD
from ganchain.stage import Stage
from ganchain.tensors import to_faces


class Drawn(Stage):
    """Draw faces from their points and parts, at the photo's own resolution.

    Args:
        style: settings of the drawing.
        strength: 1 is the drawing, 0 the photo.
    """

    side = None
    framing = HEAD
    effect = "replace"
    any_size = True
    reads = ("points", *PARTS)

    def __init__(self, style: Style, strength: float = 1.0) -> None:
        super().__init__()
        self.style, self.strength = style, strength

    def forward(self, faces: Tensor, *, points: Tensor, **parts: Tensor) -> Tensor:
        """Draw ``faces`` (N, 3, S, S) -1..1 with what is read of them."""
        side = faces.shape[-1]
        pictures = ((faces.float().cpu().permute(0, 2, 3, 1).numpy() + 1) / 2).clip(0, 1).astype(np.float32)
        places = (points.double().cpu().numpy() + 1) * (UNITS / 2)
        drawn = []
        for index, picture in enumerate(pictures):
            mattes = {name: part[index, 0].float().cpu().numpy() for name, part in parts.items()}
            drawn.append(to_faces(paint(draw(picture, places[index], mattes, self.style), side)))
        answer = torch.cat(drawn).to(faces.device)
        return torch.lerp(faces, answer, self.strength)
