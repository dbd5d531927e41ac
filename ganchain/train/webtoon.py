"""Recipe of the webtoon student: it learns what the hand-made teacher draws, tones and ink, at twice the side.

The teacher's drawings are made once and cached. Loss: L1 and L1 of the finite differences (Mathieu, Couprie,
LeCun 2016), which keeps lines and the borders of tones crisp; for the tones at three scales, because how light a
picture as a whole shall be is harder to tell from a window than where a shadow begins. Some pictures are darkened,
spoilt by noise or JPEG and still have to become the drawing of the clean one. A small PatchGAN on top was tried and
left out: in 1,500 steps it brought a checkerboard into the eyes and no cleaner lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.dlib_detector import HogDetector, Landmarks, Points
from ganchain.framing import HEAD, TIGHT
from ganchain.nets.unet import UNet
from ganchain.stages.webtoon import PLANES, coloured, enlarged, layers
from ganchain.tensors import Pixels, to_faces
from ganchain.train import landmarks
from ganchain.train.data import Sample, below, read, samples
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.webtoon import SCALE, webtoon
from ganchain.train.upscale import psnr

FACE_SIDE = 176  # tight faces are reduced to it: eyes 63 px apart, near the 56 px of the head framing at 256
PHOTO_SIDES = (576, 384)  # longest sides that whole photos are drawn at
WIDE_WEIGHT, PHOTO_WEIGHT = 4, 4


@dataclass(frozen=True)
class Source:
    """A picture reduced to ``longest`` px, and where the teacher's drawing of it, tones above ink, is cached."""

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
        flat, ink = webtoon(picture, [(face + 0.5) * factor - 0.5 for face in self.faces])
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_suffix(".part")
        both = np.concatenate([flat, np.repeat(ink[..., None], 3, axis=2)])
        Image.fromarray(both).save(part, "JPEG", quality=95, subsampling=0)
        part.replace(self.target)

    def drawing(self) -> tuple[Pixels, Pixels]:
        """Tones (2 H, 2 W, 3) and ink (2 H, 2 W, 1)."""
        flat, ink = np.split(read(self.target), 2)
        return flat, ink[..., :1]


def make(source: Source) -> None:
    source.make()


class Drawings(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """(picture (3, c, c) -1..1, tones (3, 2 c, 2 c) -1..1, ink (1, 2 c, 2 c) 0..1)."""

    def __init__(self, sources: list[Source], crop: int, fixed: bool) -> None:
        self.sources, self.crop, self.fixed = sources, crop, fixed

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        source = self.sources[index]
        picture, side = source.picture(), self.crop
        flat, ink = source.drawing()
        height, width = picture.shape[0] - side, picture.shape[1] - side
        top, left = (height // 2, width // 2) if self.fixed else (below(height + 1), below(width + 1))
        picture = picture[top : top + side, left : left + side]
        place = (slice(top * SCALE, (top + side) * SCALE), slice(left * SCALE, (left + side) * SCALE))
        flat, ink = flat[place], ink[place]
        if not self.fixed:
            if below(2):
                picture, flat, ink = picture[:, ::-1], flat[:, ::-1], ink[:, ::-1]
            picture = spoilt(picture)
        plane = torch.from_numpy(np.ascontiguousarray(ink)).permute(2, 0, 1).float() / 255
        return to_faces(picture)[0], to_faces(flat)[0], plane


def spoilt(picture: Pixels) -> Pixels:
    """One in four dark or pale, one in three with noise of sigma up to 14 levels, one in three through JPEG."""
    dark, noise, contrast, brightness, amount, quality = torch.rand(6).tolist()
    levels = picture * (0.94 + 0.12 * contrast) + 10 * brightness - 5
    if dark < 1 / 4:
        levels = levels * (0.5 + 0.4 * contrast) + 60 * brightness * (1 - contrast)
    if noise < 1 / 3:
        levels = levels + 14 * amount * torch.randn(picture.shape).numpy()
    pixels: Pixels = np.asarray(levels.round().clip(0, 255), np.uint8)
    if quality < 1 / 3:
        done, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(40 + 165 * quality)])
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.uint8) if done else pixels
    return pixels


class Webtoon(Recipe):
    """Train the webtoon student on ``data``/faces256, wide256 and photos_cc0.

    Args:
        cache: folder of the teacher's drawings; what is missing is made. Empty it when the teacher changes.
        processes: how many make them.
        crop: side of the training windows in px.
        edges: weight of the finite differences.
        change: how much more a tone counts that the teacher changed by 1 (half the range).
        line: how much more a pixel counts where there is ink: plain L1 answers with no line at all where it is
            not sure of one.
        tight: how many of the tight faces are drawn.
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
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.cache, self.processes, self.crop = cache, processes, crop
        self.edges, self.change, self.line, self.tight = edges, change, line, tight
        self.networks: dict[str, nn.Module] = {
            "student": UNet(3, PLANES, (16, 32, 64, 96), (1, 2, 3, 3), SCALE, "replicate")
        }

    def dataset(self, split: str) -> Dataset[Any]:
        tight, wide = self._tight(split), self._wide(split)
        photos = self._photos(split) if split == "train" else []
        missing = [source for source in tight + wide + photos if not source.target.exists()]
        with ProcessPoolExecutor(self.processes, get_context("spawn")) as pool:
            for _ in pool.map(make, missing, chunksize=8):
                pass
        if split == "train":
            return Drawings(tight + wide * WIDE_WEIGHT + photos * PHOTO_WEIGHT, self.crop, fixed=False)
        return Drawings(Random(0).sample(tight + wide, len(tight + wide)), self.crop, fixed=True)

    def _tight(self, split: str) -> list[Source]:
        found = samples(self.data / "faces256", split)
        points = landmarks.landmarks(found, TIGHT, self.cache / f"tight-{split}.npz")
        sources = [self._source(s, FACE_SIDE, face) for s, face in zip(found, points, strict=True)]
        return Random(0).sample(sources, min(self.tight, len(sources)))

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

    def losses(self, player: str, batch: tuple[Tensor, Tensor, Tensor]) -> Mapping[str, Tensor]:
        picture, flat, ink = batch
        picture = picture.to(memory_format=torch.channels_last)  # three quarters of the time a step on a CPU
        tones, lines = layers(self.networks["student"], picture)
        tone = (tones - flat) * (1 + self.change * (flat - enlarged(picture)).abs())
        line = (lines - ink) * (1 + self.line * ink)
        return {
            "tones": tone.abs().mean(),
            "tone edges": self.edges * torch.stack([_differences(F.avg_pool2d(tone, k)) for k in (1, 4, 16)]).sum(),
            "ink": line.abs().mean(),
            "ink edges": self.edges * _differences(line) / 2,
        }

    def figures(self, batch: tuple[Tensor, Tensor, Tensor]) -> Mapping[str, float]:
        """PSNR in dB to the teacher, averaged to the input's side and as drawn, of its layers, and of doing nothing."""
        picture, flat, ink = batch
        tones, lines = layers(self.networks["student"], picture)
        drawn, target = coloured(tones, lines), coloured(flat, ink)
        small = psnr(F.avg_pool2d(drawn, SCALE), F.avg_pool2d(target, SCALE))
        nothing = psnr(enlarged(picture), target), psnr(picture, F.avg_pool2d(target, SCALE))
        return {
            "score": float(psnr(drawn, target).mean()),
            "psnr": float(small.mean()),
            "psnr of doing nothing": float(nothing[1].mean()),
            "psnr at twice the side": float(psnr(drawn, target).mean()),
            "psnr of doing nothing at twice the side": float(nothing[0].mean()),
            "psnr of the tones": float(psnr(tones.clamp(-1, 1), flat).mean()),
            "psnr of the ink": float(psnr(lines * 2 - 1, ink * 2 - 1).mean()),
        }

    def sample(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        picture, flat, ink = batch
        tones, lines = layers(self.networks["student"], picture)
        drawn = [coloured(tones, lines), coloured(flat, ink), (1 - 2 * lines).expand_as(tones)]
        return torch.stack([enlarged(picture), *drawn], dim=1).flatten(0, 1)


def _differences(plane: Tensor) -> Tensor:
    return plane.diff(dim=3).abs().mean() + plane.diff(dim=2).abs().mean()
