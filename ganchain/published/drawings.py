"""Published networks that draw, in the place of the bundled webtoon network."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.checkpoints import architectures
from ganchain.checkpoints.manifest import Weights
from ganchain.errors import OptionError
from ganchain.framing import FFHQ
from ganchain.nets.animegan2 import AnimeGAN2
from ganchain.nets.stylegan2 import StyleGAN2
from ganchain.nets.swapping_autoencoder import SwappingAutoEncoder
from ganchain.photos import images
from ganchain.stage import References, Scope, Stage, WholePhoto
from ganchain.tensors import to_faces

KEEP = 5  # blocks that take the photo's own texture: 5 keeps more of the photo, 3 less
TRUNCATION = 0.7


class AnimeGANPainter(Stage):
    """Draw with AnimeGAN2 (bryandlee's PyTorch release); faces at the trained side, whole photos in one piece."""

    framing = FFHQ
    effect = "replace"

    def __init__(self, weights: Weights, *, scope: Scope, strength: float) -> None:
        super().__init__()
        self.net = cast(AnimeGAN2, architectures.build("animegan2", weights.tensors))
        self.side = weights.side or 512
        self.whole_photo = WholePhoto(self.side, tiles=False)
        self.scope, self.strength = scope, strength

    def forward(self, faces: Tensor) -> Tensor:
        return torch.lerp(faces, self.net(faces), self.strength)


class TextureSwapper(Stage):
    """Draw with a Swapping AutoEncoder (Park et al. 2020): the photo's structure, a style picture's texture.

    Args:
        style: the style picture; None: ``maker`` makes one from ``seed``.
        keep: how many of the generator's blocks, coarse to fine, take the photo's own texture (0 to 8).
        maker: StyleGAN2 weights.
        truncation: how far the made style may be from the mean: 1 is any picture, 0 the mean one.
    """

    side = 256
    framing = FFHQ
    effect = "replace"
    texture: Tensor

    def __init__(
        self,
        weights: Weights,
        *,
        style: Path | None,
        maker: Weights | None,
        seed: int,
        truncation: float,
        keep: int,
        strength: float,
    ) -> None:
        super().__init__()
        self.net = cast(SwappingAutoEncoder, architectures.build("swapping-autoencoder", weights.tensors))
        if keep > self.net.blocks:
            raise OptionError(f"{keep} is more than the {self.net.blocks} blocks of these weights", option="keep")
        self.style, self.maker, self.seed, self.truncation = style, maker, seed, truncation
        self.keep, self.strength = keep, strength
        self.register_buffer("texture", torch.empty(0), persistent=False)

    def prepare(self, references: References) -> None:
        """Read the style picture (a drawing needs no face that a detector finds), or make one."""
        if self.style is not None:
            picture = centre_square(to_faces(images.read(self.style).pixels))
        else:
            assert self.maker is not None
            picture = style_picture(self.maker, self.seed, self.truncation)
        device = next(self.net.parameters()).device
        with torch.no_grad():
            self.texture = self.net.encode(picture.to(device))[1]

    def forward(self, faces: Tensor) -> Tensor:
        structure, own_texture = self.net.encode(faces)
        style_texture = self.texture.expand(len(faces), -1)
        drawn = self.net.decode(structure, [own_texture] * self.keep + [style_texture] * (self.net.blocks - self.keep))
        return torch.lerp(faces, drawn.clamp(-1, 1), self.strength)


def centre_square(picture: Tensor) -> Tensor:
    """Cut out the centre square of (1, 3, H, W) and resize it to 256 px.

    Bilinear with aligned corners, as the original's notebook does it.
    """
    height, width = picture.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[:, :, top : top + side, left : left + side]
    return F.interpolate(square, (256, 256), mode="bilinear", align_corners=True)


def style_picture(weights: Weights, seed: int, truncation: float) -> Tensor:
    """Make a style picture with StyleGAN2: (1, 3, 256, 256), nominally -1..1; the same for the same seed."""
    net = cast(StyleGAN2, architectures.build("stylegan2", weights.tensors)).eval()
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(1, net.latent, generator=generator)
    with torch.no_grad():
        style = net.truncated(net.style(latent), net.mean_style(torch.Generator().manual_seed(0)), truncation)
        return centre_square(net(style))
