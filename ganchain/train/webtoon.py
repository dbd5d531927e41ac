"""Recipe of the webtoon student: it learns the hand-made teacher's drawings, tones and ink, at twice the side.

Loss: L_pixel + L_perceptual + L_gan. L_pixel is L1 and L1 of the finite differences (Mathieu, Couprie, LeCun 2016), of
the tones at three scales: how light a picture shall be is harder to tell from a window than where a shadow begins.
L_gan is least squares; its real drawings are unpaired, of other pictures. It and the features are off by default.
Some pictures are darkened, or degraded by noise or JPEG, and still have to become the drawing of the clean one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from ganchain.drawing.tones import PLANES, draw_colour, enlarge, layers
from ganchain.nets.unet import UNet
from ganchain.train.adversary import Adversary
from ganchain.train.data import randbelow
from ganchain.train.datasets import drawings
from ganchain.train.papers import losses
from ganchain.train.papers.features import perceptual_features
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.webtoon import SCALE
from ganchain.train.upscale import psnr


class Webtoon(Recipe):
    """Train the webtoon student on ``data``/faces256, wide256 and photos_cc0.

    Args:
        cache: folder of the teacher's drawings; missing ones are made. Empty it when the teacher changes.
        processes: number of processes that make them.
        crop: side of the training windows in px.
        edges: weight of the finite differences.
        change: how much more a tone counts that the teacher changed by 1 (half the range).
        line: how much more a pixel counts where there is ink: plain L1 draws no line where it is not sure of one.
        tight: number of the tight faces that are drawn.
        perceptual: weight of the features' squared error; 0: none.
        adversarial: weight of the adversary; 0: none. Begin from a trained student, with a small rate.
        vgg: torchvision's file of VGG-19; without it, see ``papers.features``.
        judges: channels of the discriminator's first layer.
    """

    key = "webtoon"
    columns = 4

    def __init__(
        self,
        data: Path,
        steps: int = 15_000,
        batch: int = 4,
        rate: float = 1.5e-3,
        cache: Path = Path("runs/cache/webtoon-ink"),
        processes: int = 2,
        crop: int = 176,
        edges: float = 1.0,
        change: float = 5.0,
        line: float = 2.0,
        tight: int = 1_500,
        perceptual: float = 0.0,
        adversarial: float = 0.0,
        vgg: Path | None = None,
        judges: int = 12,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.cache, self.processes, self.crop, self.tight = cache, processes, crop, tight
        self.edges, self.change, self.line = edges, change, line
        self.perceptual, self.adversarial = perceptual, adversarial
        self.networks = {"student": UNet(3, PLANES, (16, 32, 64, 96), (1, 2, 3, 3), SCALE, "replicate")}
        if adversarial:
            self.networks["discriminator"] = Adversary(PLANES, judges)
        if perceptual:
            self.frozen = {"features": perceptual_features(vgg, block=4, conv=4)}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return windows of pictures and their drawings, which are made when they are missing."""
        train = split == "train"
        tight = drawings.tight(self.data, split, self.cache, self.tight)
        wide = drawings.wide(self.data, split, self.cache)
        photos = drawings.photos(self.data, split, self.cache, self.crop) if train else []
        drawings.draw(tight + wide + photos, self.processes)
        if not train:
            return drawings.Drawings(Random(0).sample(tight + wide, len(tight + wide)), self.crop, fixed=True)
        frequent = 4 * (wide + photos)
        return drawings.Drawings(tight + frequent, self.crop, False, bool(self.adversarial))

    def losses(self, player: str, batch: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
        """Compute the terms of the student or of the discriminator."""
        picture, flat, ink, *unpaired = batch
        picture = picture.to(memory_format=torch.channels_last)  # a step then takes three quarters of the time on a CPU
        with torch.set_grad_enabled(player == "student" and torch.is_grad_enabled()):
            tones, lines = layers(self.networks["student"], picture)
        if player == "discriminator":
            real, fake = (self._realness(*drawing) for drawing in (unpaired, (tones, lines)))
            return {"least squares": losses.least_squares_discriminator(real, fake)}
        terms = self._pixel_terms(tones - flat, lines - ink, flat - enlarge(picture), ink)
        if self.perceptual:
            student_features, teacher_features = (
                self.frozen["features"](draw_colour(*layer)).float() for layer in ((tones, lines), (flat, ink))
            )
            terms["perceptual"] = self.perceptual * losses.perceptual(teacher_features, student_features)
        if self.adversarial:
            terms["adversarial"] = self.adversarial * losses.least_squares_generator(self._realness(tones, lines))
        return terms

    def _pixel_terms(self, tones: Tensor, lines: Tensor, changed: Tensor, ink: Tensor) -> dict[str, Tensor]:
        """Compute the pixel terms from the errors of both layers, the teacher's change of the picture, and its ink."""
        tone, line = tones * (1 + self.change * changed.abs()), lines * (1 + self.line * ink)
        return {
            "tones": tone.abs().mean(),
            "tone edges": self.edges * torch.stack([_differences(F.avg_pool2d(tone, k)) for k in (1, 4, 16)]).sum(),
            "ink": line.abs().mean(),
            "ink edges": self.edges * _differences(line) / 2,
        }

    def _realness(self, tones: Tensor, ink: Tensor) -> Tensor:
        """Judge a random window, a quarter of the drawing: as much as the adversary needs in one step."""
        planes, side = torch.cat([tones, 2 * ink - 1], dim=1), self.crop
        top, left = randbelow(side + 1), randbelow(side + 1)
        return self.networks["discriminator"](planes[:, :, top : top + side, left : left + side])

    def figures(self, batch: tuple[Tensor, Tensor, Tensor]) -> Mapping[str, float]:
        """Measure PSNR in dB to the teacher's drawing, averaged to the input's side and as drawn.

        The same of its layers, and of doing nothing.
        """
        picture, flat, ink = batch
        tones, lines = layers(self.networks["student"], picture)
        drawn, target = draw_colour(tones, lines), draw_colour(flat, ink)
        reduced = F.avg_pool2d(target, SCALE)
        pairs = {
            "psnr": (F.avg_pool2d(drawn, SCALE), reduced),
            "psnr of doing nothing": (picture, reduced),
            "psnr at twice the side": (drawn, target),
            "psnr of doing nothing at twice the side": (enlarge(picture), target),
            "psnr of the tones": (tones.clamp(-1, 1), flat),
            "psnr of the ink": (lines * 2 - 1, ink * 2 - 1),
        }
        figures = {name: float(psnr(*pair).mean()) for name, pair in pairs.items()}
        return {"score": figures["psnr at twice the side"], **figures}

    def sample(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Draw rows of picture, student's drawing, teacher's drawing, student's ink."""
        picture, flat, ink = batch
        tones, lines = layers(self.networks["student"], picture)
        drawn = [draw_colour(tones, lines), draw_colour(flat, ink), (1 - 2 * lines).expand_as(tones)]
        return torch.stack([enlarge(picture), *drawn], dim=1).flatten(0, 1)


def _differences(plane: Tensor) -> Tensor:
    """Compute the mean absolute difference between neighbours, across plus down."""
    return plane.diff(dim=3).abs().mean() + plane.diff(dim=2).abs().mean()
