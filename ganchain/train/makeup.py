"""Recipe of makeup: a network that reads six soft regions off a face, so that the painter can paint them.

Supervision comes from ``teachers.makeup``; an L1 loss on pictures painted with random looks counts errors
where they show. No adversary is needed: the painter is exact, only the regions are learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain import tensors
from ganchain.dlib_detector import Points
from ganchain.framing import TIGHT
from ganchain.nets.unet import UNet
from ganchain.paint import REGIONS, Look, paint, soft_maps
from ganchain.tensors import Pixels, to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import landmarks
from ganchain.train.recipe import Recipe, seeded
from ganchain.train.teachers.makeup import regions

Item = tuple[Tensor, Tensor, Tensor]
Maps = NDArray[np.uint8]
SIDE = 256
WEIGHTS = (2.0, 2.0, 4.0, 1.5, 1.0, 1.0)  # small regions weigh more


class Regions(Dataset[Item]):
    """face (3, S, S) -1..1, maps (6, S, S) 0..1, a random look (15,); ``fixed``: the same every time."""

    def __init__(self, found: list[Sample], maps: Maps, fixed: bool) -> None:
        self.found, self.maps, self.fixed = found, maps, fixed

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Item:
        pixels, maps = read(self.found[index].path), np.asarray(self.maps[index])
        if self.fixed:
            return to_faces(pixels)[0], torch.from_numpy(maps.copy()) / 255, random_look(seeded(index))
        pixels, maps = _moved(pixels, maps.transpose(1, 2, 0))
        face = _relit(to_faces(pixels)[0])
        return face, torch.from_numpy(maps.transpose(2, 0, 1).copy()) / 255, random_look(None)


def _moved(pixels: Pixels, maps: Maps) -> tuple[Pixels, Maps]:
    """Mirror, turn (10 degrees), scale (12 %) and shift (8 px) a picture with its maps (H, W, C)."""
    turn, grow, right, down = (float(n) for n in torch.empty(4).uniform_(-1, 1))
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 10 * turn, 1 + 0.12 * grow)
    matrix[:, 2] += np.array([8 * right, 8 * down])
    if torch.rand(()) < 0.5:
        matrix[0] = np.array([0, 0, SIDE - 1]) - matrix[0]
    moved = [
        cv2.warpAffine(part, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=border)
        for part, border in (
            (pixels, cv2.BORDER_REPLICATE),
            (maps[..., :3], cv2.BORDER_CONSTANT),
            (maps[..., 3:], cv2.BORDER_CONSTANT),
        )
    ]
    return moved[0].astype(np.uint8), np.concatenate(moved[1:], axis=2).astype(np.uint8)


def _relit(face: Tensor) -> Tensor:
    """Another exposure, contrast and colour of the light, sometimes a blurred picture. (3, S, S) -> the same."""
    gain = torch.empty(3, 1, 1).uniform_(-0.12, 0.12) + torch.empty(1).uniform_(0.7, 1.15)
    if torch.rand(()) < 0.25:
        small = int(torch.randint(96, 224, ()))
        small_face = tensors.resize(face[None], (small, small))
        face = tensors.resize(small_face, (SIDE, SIDE))[0]
    return ((face + 1) * gain - 1 + torch.empty(1).uniform_(-0.06, 0.06)).clamp(-1, 1)


def random_look(generator: torch.Generator | None) -> Tensor:
    """A look (15,) somewhere between timid and loud."""
    r = torch.rand(15, generator=generator).tolist()
    return Look(
        lips=(25 + 45 * r[0], 15 + 45 * r[1], -5 + 35 * r[2]),
        lips_amount=r[3] ** 0.5,
        lids=(-45 * r[4], -10 + 35 * r[5], -30 + 45 * r[6]),
        lids_amount=r[7],
        cheeks=(-12 * r[8], 5 + 25 * r[9], -8 + 24 * r[10]),
        cheeks_amount=r[11],
        liner=r[12],
        brows=r[13],
        evenness=r[14],
    ).tensor()


class Makeup(Recipe):
    """Train the makeup regions on ``data``/faces256; the teacher's maps are kept in ``cache``."""

    key = "makeup"
    columns = 4

    def __init__(
        self,
        data: Path,
        cache: Path = Path("runs/cache"),
        steps: int = 7_500,
        batch: int = 4,
        rate: float = 1e-3,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        picture: float = 10.0,
        painted: int = 1,
    ) -> None:
        self.data, self.cache, self.steps, self.batch, self.rate = data, cache, steps, batch, rate
        self.picture, self.painted = picture, painted  # weight of the painted loss, faces of a batch it sees
        self.networks: dict[str, nn.Module] = {"student": UNet(3, len(REGIONS), widths, depths)}

    def dataset(self, split: str) -> Dataset[Any]:
        found = samples(self.data / "faces256", split)
        points = landmarks(found, TIGHT, self.cache / f"faces256-{split}-68.npz")
        file = self.cache / f"makeup-{split}.npy"
        if not file.exists():
            _prepare(found, points, file)
        return Regions(found, np.load(file, mmap_mode="r"), fixed=split != "train")

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        faces, maps, looks = batch
        pixels_last = faces.contiguous(memory_format=torch.channels_last)  # 1.7 times as fast on a CPU
        logits = self.networks["student"](pixels_last).float()
        weights = logits.new_tensor(WEIGHTS)[:, None, None]
        part = slice(self.painted)
        made = paint(faces[part], soft_maps(logits[part]), looks[part])
        wanted = paint(faces[part], maps[part], looks[part])
        return {
            "maps": (weights * F.binary_cross_entropy_with_logits(logits, maps, reduction="none")).mean(),
            "picture": self.picture * (made - wanted).abs().mean(),
        }

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Mean absolute errors to the face painted by the teacher's maps in 8-bit levels; overlap of the maps."""
        faces, maps, looks = batch
        found = soft_maps(self.networks["student"](faces))
        wanted = paint(faces, maps, looks)
        error = float(tensors.levels(paint(faces, found, looks) - wanted).abs().mean())
        nothing = float(tensors.levels(faces - wanted).abs().mean())
        overlap = torch.minimum(found, maps).sum((0, 2, 3)) / torch.maximum(found, maps).sum((0, 2, 3))
        shares = {f"iou of {name}": float(share) for name, share in zip(REGIONS, overlap, strict=True)}
        return {"score": -error / nothing, "error": error, "error of doing nothing": nothing, **shares}

    def sample(self, batch: Item) -> Tensor:
        """Rows of: face, painted with the student's maps, with the teacher's maps, the student's maps (RGB: lips and
        cheeks, liner and brows, lids)."""
        faces, maps, looks = (part[:8] for part in batch)
        found = soft_maps(self.networks["student"](faces))
        red, green, blue = found[:, [0, 4]].amax(1), found[:, [2, 3]].amax(1), found[:, 1]
        shown = torch.stack([red, green, blue], dim=1) * 2 - 1
        columns = [faces, paint(faces, found, looks), paint(faces, maps, looks), shown]
        return torch.stack(columns, dim=1).flatten(0, 1)


def _prepare(found: list[Sample], points: Points, file: Path) -> None:
    """The teacher's maps of all pictures, (N, 6, S, S) uint8 0..255, written to ``file`` (.npy)."""
    part = file.with_name(f"{file.stem}.part.npy")
    maps = np.lib.format.open_memmap(part, "w+", np.uint8, (len(found), len(REGIONS), SIDE, SIDE))
    with get_context("spawn").Pool(2) as pool:
        jobs = ((sample.path, marks) for sample, marks in zip(found, points, strict=True))
        for index, made in enumerate(pool.imap(_taught, jobs, chunksize=16)):
            maps[index] = made
    maps.flush()
    part.replace(file)


def _taught(job: tuple[Path, Points]) -> Maps:
    cv2.setNumThreads(1)
    path, points = job
    return regions(read(path), points)
