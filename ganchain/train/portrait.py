"""Recipe of the age and gender student: it learns the teacher's flow and residual from the picture alone.

The teacher needs 68 landmarks and the prototypes; the student needs neither. Loss: L1 on flow, on residual and
on the finished picture, and L1 of its finite differences (Mathieu, Couprie, LeCun 2016) for the fine lines.
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
from ganchain.dlib_detector import Points
from ganchain.framing import TIGHT
from ganchain.nets.unet import UNet, with_condition
from ganchain.stages.attributes import FLOW, RESIDUAL, moved
from ganchain.tensors import Pixels, to_faces
from ganchain.train.data import Sample, read, samples
from ganchain.train.depthwise import quick
from ganchain.train.landmarks import landmarks
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.portrait import Editor
from ganchain.train.teachers.prototypes import MIRROR, Prototypes, measure

Item = tuple[Tensor, Tensor, Tensor]  # face (3, H, W) -1..1, condition (2,) -1..1, answer (5, H, W)
CORNERS = [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)]


class Edits(Dataset[Item]):
    """Faces and the teacher's edit of them; varied: any condition, faces mirrored, moved and lit at random."""

    def __init__(self, found: list[Sample], points: Points, editor: Editor, varied: bool) -> None:
        self.found, self.points, self.editor, self.varied = found, points, editor, varied

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Item:
        pixels, points = read(self.found[index].path), self.points[index]
        condition = CORNERS[index % len(CORNERS)]
        if self.varied:
            pixels, points = _varied(pixels, points)
            condition = _condition()
        edit = self.editor(pixels, points, condition)
        flow = torch.from_numpy(edit.flow).permute(2, 0, 1) / FLOW
        residual = torch.from_numpy(edit.residual).permute(2, 0, 1) / (tensors.levels(torch.tensor(RESIDUAL)))
        return to_faces(pixels)[0], torch.tensor(condition), torch.cat([flow, residual])


def _condition() -> tuple[float, float]:
    """A full step (60 %), part of one (30 %) or none (10 %); along age, gender or both."""
    age, gender = CORNERS[int(torch.randint(len(CORNERS), ()))]
    kind = float(torch.rand(()))
    size = 1.0 if kind < 0.6 else 0.0 if kind > 0.9 else float(torch.rand(()))
    return age * size, gender * size


def _varied(pixels: Pixels, points: Points) -> tuple[Pixels, Points]:
    """Mirror, turn (6 degrees), scale (8 %), shift (8 px), gamma (0.75-1.3) and white balance (6 %)."""
    side = pixels.shape[0]
    if float(torch.rand(())) < 0.5:
        pixels, points = pixels[:, ::-1], points[MIRROR] * (-1, 1) + (side - 1, 0)
    turn, scale, right, down, bend = ((torch.rand(5) * 2 - 1) * torch.tensor([6, 0.08, 8, 8, 0.27])).tolist()
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, 1 + scale)
    matrix[:, 2] += right, down
    turned = cv2.warpAffine(np.ascontiguousarray(pixels), matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    light = (turned / 255) ** np.exp(bend) * (0.94 + 0.12 * torch.rand(3).numpy()) * 255
    return light.clip(0, 255).round().astype(np.uint8), points @ matrix[:, :2].T + matrix[:, 2]


class Portrait(Recipe):
    """Train age and gender on ``data``/faces256; prototypes and landmarks are cached in ``cache``."""

    key = "attributes-portrait"
    columns = 6

    def __init__(
        self,
        data: Path,
        steps: int = 9000,
        batch: int = 8,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        cache: Path = Path("runs/cache"),
    ) -> None:
        self.data, self.steps, self.batch, self.rate, self.cache = data, steps, batch, rate, cache
        self.networks: dict[str, nn.Module] = {"student": quick(UNet(5, 5, widths, depths))}

    def dataset(self, split: str) -> Dataset[Any]:
        found = samples(self.data / "faces256")
        points = landmarks(found, TIGHT, self.cache / f"{self.key}-landmarks.npz")
        mine = [index for index, sample in enumerate(found) if sample.split == split]
        return Edits([found[i] for i in mine], points[mine], self._editor(found, points), varied=split == "train")

    def _editor(self, found: list[Sample], points: Points) -> Editor:
        """Prototypes are measured on training faces only."""
        cache = self.cache / f"{self.key}-prototypes.npz"
        if not cache.exists():
            train = [index for index, sample in enumerate(found) if sample.split == "train"]
            measure([found[i] for i in train], points[train]).save(cache)
        return Editor(Prototypes.load(cache))

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        faces, condition, answer = batch
        guess = self.networks["student"](with_condition(faces, condition)).float()
        error = moved(faces, guess) - moved(faces, answer)
        edges = sum(error.diff(dim=dim).abs().mean() for dim in (2, 3))
        return {
            "flow": (guess - answer)[:, :2].abs().mean(),
            "residual": (guess - answer)[:, 2:].abs().mean(),
            "picture": 4 * error.abs().mean(),
            "edges": 12 * torch.as_tensor(edges),
        }

    def figures(self, batch: Item) -> Mapping[str, float]:
        """error and idle: mean distance to the teacher in 8-bit levels, of the student and of doing nothing."""
        faces, condition, answer = batch
        target = moved(faces, answer)
        made = moved(faces, self.networks["student"](with_condition(faces, condition)))
        error, idle = (float(tensors.levels((x - target).abs().mean())) for x in (made, faces))
        return {"score": 1 - error / idle, "error": error, "idle": idle}

    def sample(self, batch: Item) -> Tensor:
        """Rows: the face, young, old, female, male, the teacher's answer to the batch's own condition."""
        faces, _, answer = (part[:8] for part in batch)
        corners = torch.tensor(CORNERS[:4], device=faces.device)
        made = [moved(faces, self.networks["student"](with_condition(faces, c.expand(len(faces), 2)))) for c in corners]
        return torch.stack([faces, *made, moved(faces, answer)], dim=1).flatten(0, 1)
