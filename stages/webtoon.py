"""The webtoon stage: flat tones, clean dark lines, slightly larger eyes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, validate_call
from torch import Tensor, nn

from ganchain import manifest
from ganchain.framing import HEAD
from ganchain.nets.unet import UNet
from ganchain.stage import Stage
from ganchain.tensors import resize


class Webtoon(Stage):
    """Draw the face, hair included, as a webtoon: flat tones, clean dark lines, slightly larger eyes.

    The drawing is made at twice the side of what the network sees. The network learned it from ganchain's own
    teacher (``ganchain.train.teachers.webtoon``): no drawings by artists went into it.

    Options:
        scope: "face" draws the faces and leaves the rest of the photo alone, "photo" draws the whole photo.
        strength: 1 is the drawing, 0 the photo.
    """

    side = 256
    multiple = 16
    framing = HEAD
    restyles = True
    scale = 2
    photo_side = 768
    weights = ("webtoon",)

    @validate_call
    def __init__(
        self,
        *,
        scope: Literal["face", "photo"] = "face",
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.scope, self.strength = scope, strength
        self.net = UNet.from_tensors(manifest.tensors("webtoon"), outputs=3, padding="replicate")

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3, 2 H, 2 W), both -1..1; H and W divisible by ``multiple``."""
        large = enlarged(faces)
        return large + self.strength * (draw(self.net, faces).clamp(-1, 1) - large)


def enlarged(faces: Tensor) -> Tensor:
    """The picture the drawing starts from: (N, 3, H, W) -> (N, 3, 2 H, 2 W), both -1..1."""
    height, width = faces.shape[2:]
    return resize(faces, (height * Webtoon.scale, width * Webtoon.scale)).clamp(-1, 1)


def draw(net: nn.Module, faces: Tensor) -> Tensor:
    """What ``net`` makes of ``faces`` (N, 3, H, W) -1..1: (N, 3, 2 H, 2 W), not clamped."""
    change: Tensor = net(faces)
    return enlarged(faces) + change
