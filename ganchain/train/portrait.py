"""Recipe of the age and gender network: it learns where landmarks put each pixel on the mean face.

The teacher fits a thin-plate spline through the landmarks of ``train.landmarks`` and the mean face's. The student reads
the same smooth map from the picture alone, and the arithmetic of ``ganchain.nets.portrait`` does the edit. The loss is
L1 on the map, most of all inside the face. Prototypes are measured on the training faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain import tensors
from ganchain.checkpoints import manifest
from ganchain.framing import TIGHT
from ganchain.nets.portrait import INPUT_SIDE, OFFSET, SIDE
from ganchain.nets.portrait import Portrait as Editor
from ganchain.nets.unet import UNet
from ganchain.tensors import Pixels, resize, to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import Points, landmarks
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.portrait import face_mask, planes
from ganchain.train.teachers.prototypes import MIRROR, Prototypes, measure, spline

Item = tuple[
    Tensor, Tensor, Tensor, Tensor
]  # face (3, H, W) -1..1, offsets (2, H, W), weight (1, H, W), condition (2,)
CORNERS = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)]


class Places(Dataset[Item]):
    """Faces with their place on the mean face ``shape`` and a condition to try; ``varied``: moved and lit at random."""

    def __init__(self, faces: list[Sample], points: Points, shape: Points, varied: bool) -> None:
        self.faces, self.points, self.shape, self.varied = faces, points, shape, varied
        self.identity = spline(shape, shape)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Item:
        pixels, points = read(self.faces[index].path), self.points[index]
        if self.varied:
            pixels, points = _augment(pixels, points)
        offsets = torch.from_numpy((spline(points, self.shape) - self.identity) / OFFSET).permute(2, 0, 1)
        weight = torch.from_numpy(0.1 + face_mask(points))[None]
        return to_faces(pixels)[0], offsets, weight, torch.tensor(CORNERS[index % len(CORNERS)])


def _augment(pixels: Pixels, points: Points) -> tuple[Pixels, Points]:
    """Mirror, turn (4 degrees), scale (5 %), shift (6 px), gamma (0.75-1.3) and white balance (6 %), all at random."""
    side = pixels.shape[0]
    if float(torch.rand(())) < 0.5:
        pixels, points = pixels[:, ::-1], points[MIRROR] * (-1, 1) + (side - 1, 0)
    turn, scale, right, down, bend = ((torch.rand(5) * 2 - 1) * torch.tensor([4, 0.05, 6, 6, 0.27])).tolist()
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, 1 + scale)
    matrix[:, 2] += right, down
    warped = cv2.warpAffine(np.ascontiguousarray(pixels), matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    light = (warped / 255) ** np.exp(bend) * (0.94 + 0.12 * torch.rand(3).numpy()) * 255
    return light.clip(0, 255).round().astype(np.uint8), points @ matrix[:, :2].T + matrix[:, 2]


class Portrait(Recipe):
    """Train age and gender on ``data``/faces256; prototypes and landmarks are cached in ``cache``."""

    key = "attributes-portrait"
    columns = 6

    def __init__(
        self,
        data: Path,
        steps: int = 3600,
        batch: int = 8,
        rate: float = 8e-4,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        cache: Path = Path("runs/cache"),
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.faces = samples(data / "faces256")
        self.points = landmarks(self.faces, TIGHT, cache / f"{self.key}-points.npz")
        self.prototypes = self._prototypes(cache / f"{self.key}-prototypes-{manifest.entry('points').sha256[:8]}.npz")
        self.networks: dict[str, nn.Module] = {"student": Editor(UNet(3, 2, widths, depths), *planes(self.prototypes))}

    def _prototypes(self, cache: Path) -> Prototypes:
        """Load the prototypes, or measure them first."""
        if not cache.exists():
            train = [index for index, sample in enumerate(self.faces) if sample.split == "train"]
            measure([self.faces[i] for i in train], self.points[train]).save(cache)
        return Prototypes.load(cache)

    def dataset(self, split: str) -> Dataset[Any]:
        """Return faces of ``split`` with their places; varied in training."""
        indices = [index for index, sample in enumerate(self.faces) if sample.split == split]
        faces = [self.faces[i] for i in indices]
        return Places(faces, self.points[indices], self.prototypes.shape, varied=split == "train")

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        """Compute the weighted L1 error of the offsets."""
        faces, offsets, weight, _ = batch
        guess = self._student().offsets(faces).float()
        offsets, weight = (resize(x, (INPUT_SIDE, INPUT_SIDE)) for x in (offsets, weight))
        return {"offsets": (weight * (guess - offsets).abs()).mean()}

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Measure mean absolute errors from the edit by landmarks, in 8-bit levels, and errors of the map.

        The latter are mean distances on the face from the landmarks' map, in px of SIDE, with and without the network.
        """
        faces, offsets, weight, condition = batch
        student = self._student()
        guess = resize(student.offsets(faces).float(), (SIDE, SIDE))
        inside = (weight > 0.6).float()
        error_px, idle_px = (
            float(((x - offsets).norm(dim=1, keepdim=True) * inside).sum() / inside.sum() * OFFSET)
            for x in (guess, torch.zeros_like(guess))
        )
        target = student.edit(faces, offsets, condition)
        edit_error, idle_error = (
            float(tensors.levels((x - target).abs().mean())) for x in (student.edit(faces, guess, condition), faces)
        )
        return {
            "score": 1 - edit_error / idle_error,
            "error": edit_error,
            "error of doing nothing": idle_error,
            "place error, px": error_px,
            "place error without the network, px": idle_px,
        }

    def sample(self, batch: Item) -> Tensor:
        """Draw rows of face, young, old, female, male, and old by landmarks."""
        faces, offsets, *_ = (part[:8] for part in batch)
        steps = [torch.tensor(corner, device=faces.device).expand(len(faces), 2) for corner in CORNERS[:4]]
        student = self._student()
        edited = [student(faces, step) for step in steps]
        return torch.stack([faces, *edited, student.edit(faces, offsets, steps[1])], dim=1).flatten(0, 1)

    def _student(self) -> Editor:
        student = self.networks["student"]
        assert isinstance(student, Editor)
        return student
