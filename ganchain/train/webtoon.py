"""Recipe of the webtoon student: it learns what the hand-made teacher draws, at twice the side.

The teacher's drawings are made once and cached. Loss: L1 and L1 of the finite differences (Mathieu, Couprie,
LeCun 2016), which keeps lines and the borders of tones crisp. Where the picture leaves open where a line
runs, L1 answers with a grey one; so a second run, from the weights of the first, adds a small PatchGAN
(Isola et al. 2017; hinge loss, Lim & Ye 2017; spectral normalisation, Miyato et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import Dataset

from ganchain.dlib_detector import HogDetector, Landmarks, Points
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.unet import UNet
from ganchain.stages.webtoon import draw, enlarged
from ganchain.tensors import Pixels, to_faces
from ganchain.train import landmarks
from ganchain.train.data import Sample, read, samples
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.webtoon import SCALE, webtoon
from ganchain.train.upscale import psnr

FACE_SIDE = 176  # tight faces are reduced to it: eyes 63 px apart, near the 56 px of the head framing at 256
PHOTO_SIDES = (640, 416)  # longest sides that whole photos are drawn at
WIDE_WEIGHT, PHOTO_WEIGHT = 4, 4
JUDGED = 192  # side of the window that the critic sees


@dataclass(frozen=True)
class Source:
    """A picture reduced to ``longest`` px, and where the teacher's drawing of it is cached."""

    path: Path
    longest: int
    faces: tuple[Points, ...]  # 68 landmarks each, in px of the file
    target: Path

    def picture(self) -> Pixels:
        whole = read(self.path)
        factor = min(1.0, self.longest / max(whole.shape[:2]))
        size = (round(whole.shape[1] * factor), round(whole.shape[0] * factor))
        return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)

    def make(self) -> None:
        """Draw it and write the drawing whole or not at all."""
        cv2.setNumThreads(1)
        picture, whole = self.picture(), read(self.path)
        factor = picture.shape[1] / whole.shape[1]
        drawn = webtoon(picture, [(face + 0.5) * factor - 0.5 for face in self.faces])
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_suffix(".part")
        Image.fromarray(drawn).save(part, "JPEG", quality=95, subsampling=0)
        part.replace(self.target)


def make(source: Source) -> None:
    source.make()


class Drawings(Dataset[tuple[Tensor, Tensor]]):
    """(picture (3, c, c), drawing (3, 2 c, 2 c)), both -1..1."""

    def __init__(self, sources: list[Source], crop: int, fixed: bool) -> None:
        self.sources, self.crop, self.fixed = sources, crop, fixed

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        source = self.sources[index]
        picture, drawing, side = source.picture(), read(source.target), self.crop
        height, width = picture.shape[0] - side, picture.shape[1] - side
        top, left = (height // 2, width // 2) if self.fixed else (_below(height + 1), _below(width + 1))
        picture = picture[top : top + side, left : left + side]
        top, left, side = top * SCALE, left * SCALE, side * SCALE
        drawing = drawing[top : top + side, left : left + side]
        if not self.fixed:
            if _below(2):
                picture, drawing = picture[:, ::-1], drawing[:, ::-1]
            picture = disturbed(picture)
        return to_faces(picture)[0], to_faces(drawing)[0]


def _below(limit: int) -> int:
    return int(torch.randint(limit, ()))


def disturbed(picture: Pixels) -> Pixels:
    """Contrast 0.92-1.08, brightness within 6 levels; half of them with noise of sigma up to 5 levels."""
    contrast, brightness, noise = torch.rand(3).tolist()
    levels = picture * (0.92 + 0.16 * contrast) + 12 * brightness - 6
    if noise > 0.5:
        levels = levels + 10 * (noise - 0.5) * torch.randn(picture.shape).numpy()
    return np.asarray(levels.round().clip(0, 255), np.uint8)


def critic(width: int = 24) -> nn.Sequential:
    """PatchGAN that judges 38 px patches: (N, 3, H, W) drawings -> (N, 1, H / 8, W / 8), high for the teacher's."""
    layers: list[nn.Module] = []
    for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(4 * width, 1, 3, padding=1)))


class Webtoon(Recipe):
    """Train the webtoon student on ``data``/faces256, wide256 and photos_cc0.

    Args:
        cache: folder of the teacher's drawings; what is missing is made. Empty it when the teacher changes.
        processes: how many make them.
        crop: side of the training windows in px.
        edges: weight of the finite differences.
        start: weights to start from (the second run).
        adversarial: weight of the critic's opinion; 0 trains without one.
    """

    key = "webtoon"
    columns = 3

    def __init__(
        self,
        data: Path,
        steps: int = 13_000,
        batch: int = 4,
        rate: float = 1.5e-3,
        cache: Path = Path("runs/cache/webtoon"),
        processes: int = 2,
        crop: int = 176,
        edges: float = 1.0,
        start: Path | None = None,
        adversarial: float = 0.0,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.cache, self.processes, self.crop = cache, processes, crop
        self.edges, self.adversarial = edges, adversarial
        self.networks: dict[str, nn.Module] = {"student": UNet(3, 3, (16, 32, 64, 96), (1, 2, 3, 3), SCALE)}
        if start:
            self.networks["student"].load_state_dict(load_file(start))
        if adversarial:
            self.networks["critic"] = critic()
        self.window = slice(JUDGED), slice(JUDGED)  # what the critic sees in this step
        self.fake = torch.empty(0)

    def dataset(self, split: str) -> Dataset[Any]:
        tight, wide = self._tight(split), self._wide(split)
        photos = self._photos(split) if split == "train" else []
        missing = [source for source in tight + wide + photos if not source.target.exists()]
        with ProcessPoolExecutor(self.processes) as pool:
            for _ in pool.map(make, missing, chunksize=8):
                pass
        if split == "train":
            return Drawings(tight + wide * WIDE_WEIGHT + photos * PHOTO_WEIGHT, self.crop, fixed=False)
        return Drawings(Random(0).sample(tight + wide, len(tight + wide)), self.crop, fixed=True)

    def _tight(self, split: str) -> list[Source]:
        found = samples(self.data / "faces256", split)
        points = landmarks.landmarks(found, TIGHT, self.cache / f"tight-{split}.npz")
        return [self._source(s, FACE_SIDE, face) for s, face in zip(found, points, strict=True)]

    def _wide(self, split: str) -> list[Source]:
        found = samples(self.data / "wide256", split)
        points = landmarks.landmarks(found, HEAD, self.cache / f"wide-{split}.npz")
        return [self._source(s, 256, face) for s, face in zip(found, points, strict=True)]

    def _photos(self, split: str) -> list[Source]:
        detector, predictor = HogDetector(), Landmarks(landmarks.MODEL)
        sources: list[Source] = []
        for sample in samples(self.data / "photos_cc0", split):
            photo = read(sample.path)
            shortest = min(photo.shape[:2]) / max(photo.shape[:2])
            faces = [predictor(photo, box) for box, _ in detector(photo)]
            longest = [side for side in PHOTO_SIDES if side * shortest >= self.crop <= min(photo.shape[:2])]
            sources += [self._source(sample, side, *faces) for side in longest]
        return sources

    def _source(self, sample: Sample, longest: int, *faces: Points) -> Source:
        name = "-".join(sample.path.relative_to(self.data).with_suffix("").parts)
        return Source(sample.path, longest, faces, self.cache / f"{name}-{longest}.jpg")

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        picture, target = batch
        if player == "critic":
            return self._judged(target)
        picture = picture.to(memory_format=torch.channels_last)  # three quarters of the time a step on a CPU
        drawn = draw(self.networks["student"], picture).float()
        error = drawn - target
        across, down = error.diff(dim=3).abs().mean(), error.diff(dim=2).abs().mean()
        terms = {"pixel": error.abs().mean(), "edges": self.edges * (across + down)}
        if self.adversarial:
            judge = self.networks["critic"].requires_grad_(False)
            top, left = (_below(side - JUDGED + 1) for side in drawn.shape[2:])
            self.window = slice(top, top + JUDGED), slice(left, left + JUDGED)
            fake = drawn[:, :, *self.window]
            self.fake = fake.detach()
            terms["critic"] = -self.adversarial * judge(fake).float().mean()
        return terms

    def _judged(self, target: Tensor) -> Mapping[str, Tensor]:
        """The critic's turn, on the drawings of the student's turn just before."""
        judge = self.networks["critic"].requires_grad_(True)
        real = judge(target[:, :, *self.window]).float()
        fake = judge(self.fake).float()
        return {"real": F.relu(1 - real).mean(), "fake": F.relu(1 + fake).mean()}

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """PSNR in dB to the teacher at the drawn size, averaged to the input size, and of doing nothing."""
        picture, target = batch
        drawn = draw(self.networks["student"], picture).float().clamp(-1, 1)
        small = psnr(F.avg_pool2d(drawn, SCALE), F.avg_pool2d(target, SCALE))
        nothing = psnr(enlarged(picture), target)
        return {
            "score": float(psnr(drawn, target).mean()),
            "small": float(small.mean()),
            "nothing": float(nothing.mean()),
        }

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        picture, target = batch
        drawn = draw(self.networks["student"], picture).float()
        return torch.stack([enlarged(picture), drawn, target], dim=1).flatten(0, 1)
