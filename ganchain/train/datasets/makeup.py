"""Faces, the teacher's regions of them, and looks to paint there."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ganchain import files, tensors
from ganchain.colour.makeup import REGIONS, Look
from ganchain.faces.dlib_models import Points
from ganchain.tensors import Pixels, to_faces
from ganchain.train.data import Sample, read
from ganchain.train.recipe import seeded
from ganchain.train.teachers.makeup import regions

Item = tuple[Tensor, Tensor, Tensor]
Maps = NDArray[np.uint8]
SIDE = 256


class Regions(Dataset[Item]):
    """Triples of face (3, S, S) -1..1, maps (6, S, S) 0..1 and a random look (15,); ``fixed``: the same every time."""

    def __init__(self, faces: list[Sample], maps: Maps, fixed: bool) -> None:
        self.faces, self.maps, self.fixed = faces, maps, fixed

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Item:
        pixels, maps = read(self.faces[index].path), np.asarray(self.maps[index])
        if self.fixed:
            return to_faces(pixels)[0], torch.from_numpy(maps.copy()) / 255, random_look(seeded(index))
        pixels, maps = _move(pixels, maps.transpose(1, 2, 0))
        face = _relight(to_faces(pixels)[0])
        return face, torch.from_numpy(maps.transpose(2, 0, 1).copy()) / 255, random_look(None)


def _move(pixels: Pixels, maps: Maps) -> tuple[Pixels, Maps]:
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


def _relight(face: Tensor) -> Tensor:
    """Change exposure, contrast and colour of the light at random, and blur some: (3, S, S) -> the same."""
    gain = torch.empty(3, 1, 1).uniform_(-0.12, 0.12) + torch.empty(1).uniform_(0.7, 1.15)
    if torch.rand(()) < 0.25:
        small = int(torch.randint(96, 224, ()))
        small_face = tensors.resize(face[None], (small, small))
        face = tensors.resize(small_face, (SIDE, SIDE))[0]
    return ((face + 1) * gain - 1 + torch.empty(1).uniform_(-0.06, 0.06)).clamp(-1, 1)


def random_look(generator: torch.Generator | None) -> Tensor:
    """Draw a look (15,) somewhere between timid and loud."""
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


def prepare(faces: list[Sample], points: Points, file: Path) -> None:
    """Make the teacher's maps of all pictures, (N, 6, S, S) uint8 0..255, and write them to ``file`` (.npy)."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(faces), len(REGIONS), SIDE, SIDE)}
    with files.replaced(file) as target, get_context("spawn").Pool(2) as pool:
        np.lib.format.write_array_header_1_0(target, header)
        jobs = ((sample.path, face_points) for sample, face_points in zip(faces, points, strict=True))
        for maps in pool.imap(_face_maps, jobs, chunksize=16):
            target.write(maps.tobytes())


def _face_maps(job: tuple[Path, Points]) -> Maps:
    """Make the teacher's maps of one face."""
    cv2.setNumThreads(1)
    path, points = job
    return regions(read(path), points)
