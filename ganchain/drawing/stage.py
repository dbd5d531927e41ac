"""Stage that draws: what is read of each face goes into a drawing, which is painted at the size of its window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ganchain.drawing.draw import Style, draw
from ganchain.drawing.page import Head, page
from ganchain.drawing.paint import paint, paint_page
from ganchain.drawing.paths import UNITS, Knots, Page, Planes
from ganchain.drawing.planes import FINE
from ganchain.drawing.svg import svg
from ganchain.faces.parts import PARTS
from ganchain.faces.reading import Hold, Kind, Seen
from ganchain.framing import BUST, HEAD
from ganchain.stage import Stage, WholePhoto
from ganchain.tensors import Pixels, to_faces


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
    finest = FINE
    holds = True

    def __init__(self, style: Style, strength: float = 1.0) -> None:
        super().__init__()
        self.style, self.strength = style, strength

    def forward(
        self, faces: Tensor, *, points: Tensor, hold: Sequence[Hold | None] | None = None, **parts: Tensor
    ) -> Tensor:
        """Draw ``faces`` (N, 3, S, S) -1..1 with what is read of them."""
        drawn = []
        for index in range(len(faces)):
            picture, places, mattes = _read(
                faces[index], points[index], {name: part[index] for name, part in parts.items()}
            )
            drawing = draw(picture, places, mattes, self.style, hold[index] if hold else None)
            drawn.append(to_faces(paint(drawing, picture.shape[0])))
        answer = (torch.cat(drawn) if len(drawn) > 1 else drawn[0]).to(faces.device)
        return answer if self.strength == 1 else torch.lerp(faces, answer, self.strength)


class DrawnPhoto(Stage):
    """Draw whole photos: heads from what is read of them, and what is around them in a few flat tones.

    Args:
        style: settings of the drawing.
        network: draws photos in which there is no face; frames of a video are all drawn in the same way.
        strength: 1 is the drawing, 0 the photo.
    """

    scope = "photo"
    framing = BUST
    effect = "replace"
    any_size = True
    reads = ("points", *PARTS)
    finest = FINE
    holds = True

    def __init__(self, style: Style, network: Stage, strength: float = 1.0) -> None:
        super().__init__()
        self.style, self.strength, self.network = style, strength, network
        self.side, self.multiple, self.scale = network.side, network.multiple, network.scale
        self.whole_photo: WholePhoto = network.whole_photo

    @property
    def clear(self) -> bool:
        """True if its drawings are transparent where there are no people."""
        return self.style.background == "none"

    @property
    def needs(self) -> tuple[Kind, ...]:
        """Kinds to be read of each face: of its shoulders, too."""
        return (*super().needs, "busts")

    def forward(self, faces: Tensor) -> Tensor:
        """Draw tiles of a photo without a face by the network."""
        answer: Tensor = self.network(faces)
        return answer

    def forward_photo(self, photo: Pixels, faces: Sequence[Seen], *, hold: Hold | None = None) -> Pixels:
        """Draw a photo with its faces."""
        page = self.page(photo, faces, hold)
        painted = paint_page(page)
        drawn, alpha = painted[..., :3].astype(np.float32), painted[..., 3:].astype(np.float32)
        if not page.paper:
            drawn = np.where(alpha, (drawn * 255 / np.maximum(alpha, 1)).round().clip(0, 255), photo)
        if self.strength < 1:
            drawn, alpha = (
                (below + np.float32(self.strength) * (above - below)).round()
                for below, above in ((photo, drawn), (255, alpha))
            )
        answer = drawn if page.paper else np.concatenate([drawn, alpha], axis=2)
        return np.ascontiguousarray(answer, np.uint8)

    def svg_of(self, photo: Pixels, faces: Sequence[Seen]) -> Callable[[str], str] | None:
        """Return what writes the drawing as SVG."""
        return (lambda metadata: svg(self.page(photo, faces), metadata)) if self.strength == 1 else None

    def page(self, photo: Pixels, faces: Sequence[Seen], hold: Hold | None = None) -> Page:
        """Make the drawing of a photo, as geometry."""
        heads = []
        for face in faces:
            read = {name: value[0] for name, value in face.read.items()}
            heads.append(Head.of(*_read(face.picture[0], read.pop("points"), read), face.matrix, face.hold))
        return page(photo, heads, self.style, hold)


def _read(face: Tensor, points: Tensor, parts: Mapping[str, Tensor]) -> tuple[Planes, Knots, dict[str, Planes]]:
    """Bring a face (3, S, S) -1..1 and what is read of it into the units of a drawing."""
    picture = np.asarray(cv2.merge(list((face.float().cpu() + 1).div_(2).clamp_(0, 1).numpy())), np.float32)
    places = (points.double().cpu().numpy() + 1) * (UNITS / 2)
    return picture, places, {name: part[0].float().cpu().numpy() for name, part in parts.items()}
