"""Photos and the webtoon teacher's drawings of them, made once and cached."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ganchain import files
from ganchain.faces.detect import DlibDetector
from ganchain.framing import HEAD, TIGHT
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import Pixels, to_faces
from ganchain.train.data import Sample, randbelow, read, samples
from ganchain.train.landmarks import Points, landmarks, marked
from ganchain.train.teachers.webtoon import SCALE, webtoon

FACE_SIDE = 176  # tight faces are reduced to it: eyes 63 px apart, near the 56 px of the head framing at 256
PHOTO_SIDES = (576, 384)  # longest sides at which whole photos are drawn

Item = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Source:
    """Picture reduced to ``longest`` px, with the file of its cached drawing (tones above ink)."""

    path: Path
    longest: int
    faces: tuple[Points, ...]  # 68 landmarks each, in px of the file
    target: Path

    def picture(self) -> Pixels:
        """Read the picture and reduce it: (H, W, 3) uint8."""
        photo = read(self.path)
        factor = min(1.0, self.longest / max(photo.shape[:2]))
        size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
        return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)

    def make(self) -> None:
        """Draw the picture; the file appears whole or not at all."""
        cv2.setNumThreads(1)
        picture, photo = self.picture(), read(self.path)
        factor = picture.shape[1] / photo.shape[1]
        flat, ink = webtoon(picture, [(face + 0.5) * factor - 0.5 for face in self.faces])
        both = np.concatenate([flat, np.repeat(ink[..., None], 3, axis=2)])
        with files.replaced(self.target) as file:
            Image.fromarray(both).save(file, "JPEG", quality=95, subsampling=0)

    def drawing(self) -> tuple[Pixels, Pixels]:
        """Read the drawing: tones (2 H, 2 W, 3) and ink (2 H, 2 W, 1), uint8."""
        flat, ink = np.split(read(self.target), 2)
        return flat, ink[..., :1]


def draw(sources: Sequence[Source], processes: int) -> None:
    """Make the drawings that are missing."""
    missing = [source for source in sources if not source.target.exists()]
    if missing:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            for _ in pool.map(_make, missing, chunksize=8):
                pass


def _make(source: Source) -> None:
    """Make one drawing; a function of the module, so that a process can be given it."""
    source.make()


def tight(data: Path, split: str, cache: Path, most: int) -> list[Source]:
    """Return up to ``most`` of the tight faces, chosen at random."""
    faces = samples(data / "faces256", split)
    points = landmarks(faces, TIGHT, cache / f"tight-{split}.npz")
    sources = [_source(data, cache, s, FACE_SIDE, face) for s, face in zip(faces, points, strict=True)]
    return Random(0).sample(sources, min(most, len(sources)))


def wide(data: Path, split: str, cache: Path) -> list[Source]:
    """Return the heads with their hair."""
    heads = samples(data / "wide256", split)
    points = landmarks(heads, HEAD, cache / f"wide-{split}.npz")
    return [_source(data, cache, s, 256, face) for s, face in zip(heads, points, strict=True)]


def photos(data: Path, split: str, cache: Path, shortest: int) -> list[Source]:
    """Return the whole photos at two sizes, where both sides then have at least ``shortest`` px."""
    detector, reader = DlibDetector(), FaceReader(torch.device("cpu"))
    sources: list[Source] = []
    for sample in samples(data / "photos_cc0", split):
        photo = read(sample.path)
        share = min(photo.shape[:2]) / max(photo.shape[:2])
        usable = [face for face in detector(photo) if face.left_out is None]
        faces = [marked(replace(face, reading=reader.of(photo, face))) for face in usable]
        longest = [side for side in PHOTO_SIDES if side * share >= shortest <= min(photo.shape[:2])]
        sources += [_source(data, cache, sample, side, *faces) for side in longest]
    return sources


def _source(data: Path, cache: Path, sample: Sample, longest: int, *faces: Points) -> Source:
    """Return the source of one picture at one size."""
    name = "-".join(sample.path.relative_to(data).with_suffix("").parts)
    return Source(sample.path, longest, faces, cache / f"{name}-{longest}.jpg")


class Drawings(Dataset[Item]):
    """Windows (picture (3, c, c) -1..1, tones (3, 2 c, 2 c) -1..1, ink (1, 2 c, 2 c) 0..1).

    With ``unpaired`` also the tones and the ink of a window, of the same side, of another picture's drawing.
    """

    def __init__(self, sources: list[Source], crop: int, fixed: bool, unpaired: bool = False) -> None:
        self.sources, self.crop, self.fixed = sources, crop, fixed
        paths = {source.path for source in sources}
        self.unpaired = unpaired and len(paths) > 1

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Item:
        source = self.sources[index]
        picture = source.picture()
        (top, left), mirrored = self._place(*picture.shape[:2])
        picture = _window(picture, top, left, self.crop, mirrored)
        tones, ink = self._drawing(source, top, left, mirrored)
        drawn = to_faces(picture if self.fixed else degrade(picture))[0], tones, ink
        return (*drawn, *self._unpaired(source)) if self.unpaired else drawn

    def _place(self, height: int, width: int) -> tuple[tuple[int, int], bool]:
        """Choose the window's corner, in px of the picture, and whether it is mirrored."""
        spare = height - self.crop, width - self.crop
        if self.fixed:
            return (spare[0] // 2, spare[1] // 2), False
        return (randbelow(spare[0] + 1), randbelow(spare[1] + 1)), bool(randbelow(2))

    def _drawing(self, source: Source, top: int, left: int, mirrored: bool) -> tuple[Tensor, Tensor]:
        """Cut the window out of the drawing: tones and ink."""
        side = self.crop * SCALE
        flat, ink = (_window(layer, top * SCALE, left * SCALE, side, mirrored) for layer in source.drawing())
        return to_faces(flat)[0], torch.from_numpy(ink.copy()).permute(2, 0, 1).float() / 255

    def _unpaired(self, excluded: Source) -> tuple[Tensor, Tensor]:
        """Cut a random window out of the drawing of another picture."""
        source = excluded
        while source.path == excluded.path:
            source = self.sources[randbelow(len(self.sources))]
        flat, _ = source.drawing()
        (top, left), mirrored = self._place(flat.shape[0] // SCALE, flat.shape[1] // SCALE)
        return self._drawing(source, top, left, mirrored)


def _window(pixels: Pixels, top: int, left: int, side: int, mirrored: bool) -> Pixels:
    """Cut out a square window, maybe mirrored."""
    window = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(window[:, ::-1] if mirrored else window)


def degrade(picture: Pixels) -> Pixels:
    """Degrade a picture: half get noise of sigma up to 16 levels, one in three JPEG, one in four become dark or pale.

    The latter keep 0.3 to 0.9 of their contrast.
    """
    dark, noise, contrast, brightness, amount, quality = torch.rand(6).tolist()
    levels = picture * (0.94 + 0.12 * contrast) + 10 * brightness - 5
    if dark < 1 / 4:
        levels = levels * (0.3 + 0.6 * contrast) + 140 * brightness * (1 - contrast)
    if noise < 1 / 2:
        levels = levels + 16 * amount * torch.randn(picture.shape).numpy()
    pixels: Pixels = np.asarray(levels.round().clip(0, 255), np.uint8)
    if quality < 1 / 3:
        encoded, stream = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(40 + 165 * quality)])
        pixels = np.asarray(cv2.imdecode(stream, cv2.IMREAD_UNCHANGED), np.uint8) if encoded else pixels
    return pixels
