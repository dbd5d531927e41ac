"""Recipe of the judge: gender and age of real labelled faces, for ``ganchain evaluate`` and perceptual losses.

The sources of faces differ in age, gender, sharpness and light. To keep the network from telling age by the source,
every cell (gender, age) of a source is drawn equally often, and pictures are lit, blurred and compressed at random.
The loss is binary cross-entropy, on age with a soft target that rises with the years.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.nets.age_gender import INPUT_SIDE, AgeGender
from ganchain.tensors import Pixels, resize, to_faces
from ganchain.train.data import Sample, randbelow, read, samples
from ganchain.train.recipe import Recipe

Item = tuple[Tensor, Tensor]  # face (3, INPUT_SIDE, INPUT_SIDE) -1..1, (male, old) 0..1 or NaN where unknown
OLD = {"2": 0.03, "3": 0.12, "4": 0.5, "5": 0.88, "6": 0.97, "7": 0.97}  # by the first digit of the label
SHARES = {"fairface": 0.72, "congress": 0.24, "canada": 0.04}  # weights of the draws; any other source has 1


def targets(sample: Sample) -> Tensor:
    """Turn labels into targets (male, old) 0..1; NaN where there is no label."""
    gender, age = sample.labels["gender"], sample.labels["age"]
    return torch.tensor([float(gender == "male") if gender else torch.nan, OLD[age[0]] if age else torch.nan])


class Labelled(Dataset[Item]):
    """Labelled faces in order."""

    def __init__(self, faces: list[Sample]) -> None:
        self.faces = [sample for sample in faces if sample.labels["gender"]]

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Item:
        sample = self.faces[index]
        return resize(to_faces(read(sample.path)), (INPUT_SIDE, INPUT_SIDE))[0], targets(sample)


class Balanced(Labelled):
    """Varied draws of faces from cells of equal chance; as many draws as there are faces."""

    def __init__(self, faces: list[Sample]) -> None:
        super().__init__(faces)
        cells: dict[str, dict[str, list[Sample]]] = {}  # by source, and by gender and age group
        for sample in self.faces:
            source, age = sample.labels["dataset"].partition("_")[0], sample.labels["age"][:1]
            group = {"2": "young", "3": "young", "4": "middle", "": ""}.get(age, "old")
            cells.setdefault(source, {}).setdefault(f"{sample.labels['gender']} {group}", []).append(sample)
        self.sources = [list(groups.values()) for groups in cells.values()]
        self.shares = torch.tensor([SHARES.get(source, 1.0) for source in cells])

    def __getitem__(self, index: int) -> Item:
        cells = self.sources[int(torch.multinomial(self.shares, 1))]
        sample = (cell := cells[randbelow(len(cells))])[randbelow(len(cell))]
        return to_faces(augment(read(sample.path)))[0], targets(sample)


def augment(pixels: Pixels) -> Pixels:
    """Vary a face at random: (H, H, 3) -> (INPUT_SIDE, INPUT_SIDE, 3).

    It is moved (turn 8 degrees, scale 0.88-1.14, shift 4 %, mirrored), lit, blurred, made noisy, compressed and partly
    covered.
    """
    side = pixels.shape[0]
    turn, zoom, right, down = ((torch.rand(4) * 2 - 1) * torch.tensor([8, 0.13, 0.04, 0.04])).tolist()
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, float(np.exp(zoom)))
    matrix[:, 2] += right * side, down * side
    if _chance(0.5):
        matrix[0] = (0, 0, side - 1) - matrix[0]
    moved = cv2.warpAffine(pixels, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
    small = cv2.resize(moved, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA)
    gamma = float(torch.empty(()).uniform_(-0.45, 0.45).exp())
    light: NDArray[Any] = (small / 255) ** gamma * (0.9 + 0.2 * torch.rand(3).numpy())
    if _chance(0.15):
        light = np.repeat(light.mean(axis=2, keepdims=True), 3, axis=2)
    if _chance(0.4):
        few_pixels = int(torch.randint(48, INPUT_SIDE, ()))
        light = cv2.resize(
            cv2.resize(light, (few_pixels, few_pixels), interpolation=cv2.INTER_AREA), (INPUT_SIDE, INPUT_SIDE)
        )
    if _chance(0.3):
        light = light + float(torch.rand(())) * 0.06 * torch.randn(light.shape).numpy()
    picture = np.asarray((light * 255).clip(0, 255).round(), np.uint8)
    if _chance(0.4):
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 35 + randbelow(60)])
        picture = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    if _chance(0.35):
        x, y, width, height = (
            randbelow(INPUT_SIDE - 12),
            randbelow(INPUT_SIDE - 12),
            12 + randbelow(36),
            12 + randbelow(36),
        )
        picture[y : y + height, x : x + width] = torch.randint(256, (3,)).numpy()
    return picture


def _chance(share: float) -> bool:
    """Return True with probability ``share``."""
    return float(torch.rand(())) < share


class Judge(Recipe):
    """Train a network that tells gender and age on ``data``/faces256."""

    key = "age-gender"
    columns = 2

    def __init__(
        self,
        data: Path,
        steps: int = 6000,
        batch: int = 48,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (16, 40, 72, 104),
        depths: tuple[int, ...] = (1, 2, 2, 1),
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.networks: dict[str, nn.Module] = {"judge": AgeGender(widths, depths)}

    def dataset(self, split: str) -> Dataset[Any]:
        """Return labelled faces, balanced and varied in training."""
        faces = samples(self.data / "faces256", split)
        return Balanced(faces) if split == "train" else Labelled(faces)

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        """Compute the cross-entropy of gender and of age."""
        faces, target = batch
        logits = self.networks["judge"](faces).float()
        entropy = F.binary_cross_entropy_with_logits(logits, target.nan_to_num(), reduction="none")
        return {name: (entropy * ~target.isnan())[:, i].mean() for i, name in enumerate(("gender", "age"))}

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Measure the shares of right answers on gender, and on age for faces labelled under 40 or 50 and more."""
        faces, target = batch
        right = (self.networks["judge"](faces) > 0) == (target > 0.5)
        labelled = ~target.isnan() & (target != 0.5)
        gender, age = ((right & labelled).sum(dim=0) / labelled.sum(dim=0).clamp(min=1)).tolist()
        return {"score": (gender + age) / 2, "gender accuracy": gender, "age accuracy": age}

    def sample(self, batch: Item) -> Tensor:
        """Draw each face beside bars of its probabilities: male (red), old (green), from 0 to the full width."""
        probabilities = torch.sigmoid(self.networks["judge"](faces := batch[0][:8]).float())
        bars = torch.full_like(faces, -1.0)
        for picture, shares in zip(bars, probabilities.tolist(), strict=True):
            for row, share in enumerate(shares):
                picture[row, 24 + 40 * row : 48 + 40 * row, : round(share * INPUT_SIDE)] = 1
        return torch.stack([faces, bars], dim=1).flatten(0, 1)
