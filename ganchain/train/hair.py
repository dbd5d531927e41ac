"""Recipe of the hair matte: a network learns the mattes that GrabCut got right and finds hair on every head.

A few hundred mattes are enough because each is seen with ever other hair colour, background, light and place;
of the heads where the teacher failed, only what cannot be hair is learnt. Loss: binary cross-entropy with a
soft target and L1 of its finite differences, where the target is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
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

from ganchain.framing import HEAD
from ganchain.nets.unet import UNet
from ganchain.recolour import DYES, Dye, dye
from ganchain.stages.attributes import firm
from ganchain.tensors import Pixels, levels, to_faces, to_pixels
from ganchain.train.data import Sample, read, samples
from ganchain.train.landmarks import landmarks
from ganchain.train.recipe import Recipe
from ganchain.train.teachers.hair import matte

Maps = NDArray[np.uint8]  # (N, 3, H, W): hair, backdrop (0..255) and known (0 or 255)
Item = tuple[Tensor, Tensor, Tensor]  # face (3, H, W) -1..1, hair and known (1, H, W) 0..1


def maps(found: list[Sample], cache: Path) -> Maps:
    """The teacher's answers for ``found``; read from ``cache`` (.npz) when it fits them."""
    names = np.array([str(sample.path) for sample in found])
    if cache.exists():
        with np.load(cache) as stored:
            if np.array_equal(stored["names"], names):
                return np.asarray(stored["maps"])
    points = landmarks(found, HEAD, cache.with_name(f"landmarks-{cache.name}"))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        made = np.stack(list(pool.map(_map, [sample.path for sample in found], points, chunksize=20)))
    np.savez_compressed(cache, names=names, maps=made)
    return made


def _map(path: Path, points: NDArray[np.float64]) -> Maps:
    cv2.setNumThreads(1)
    found = matte(read(path), points)
    return np.asarray((np.stack([found.hair, found.backdrop, found.known]) * 255).round(), np.uint8)


class Heads(Dataset[Item]):
    """Heads and their mattes; varied: dyed, put before another background, moved and lit at random."""

    def __init__(self, found: list[Sample], answers: Maps, varied: bool) -> None:
        self.found, self.answers, self.varied = found, answers, varied

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: int) -> Item:
        pixels, answer = read(self.found[index].path), self.answers[index]
        if self.varied:
            if answer[2].all():
                pixels = self._before(self._dyed(pixels, answer[0]), answer[1])
            pixels, answer = _moved(pixels, answer)
            pixels = _lit(pixels)
        planes = torch.from_numpy(answer.copy()).float()[:, None] / 255
        return to_faces(pixels)[0], planes[0], planes[2]

    def _dyed(self, pixels: Pixels, hair: NDArray[np.uint8]) -> Pixels:
        if _chance(0.5):
            return pixels
        light, reddish, yellow = _between(6, 75), _between(-1, 14), _between(-3, 30)
        ramp = ((0.0, 0.0, 0.0), (50.0, reddish, yellow), (100.0, reddish / 2, yellow / 2))
        colour = Dye(light, (4 + light / 8, 8 + light / 8), ramp)
        alpha = torch.from_numpy(hair).float()[None, None] / 255
        return np.asarray(to_pixels(dye(to_faces(pixels), alpha, colour))[0])

    def _before(self, pixels: Pixels, backdrop: NDArray[np.uint8]) -> Pixels:
        """Another background: a part of another training picture, sharp or blurred, or a flat colour."""
        if _chance(0.4):
            return pixels
        other = read(self.found[int(torch.randint(len(self.found), ()))].path)
        side, (height, width) = int(_between(24, 128)), pixels.shape[:2]
        part = other[:side, :side] if _chance(0.5) else other[-side:, -side:]  # wall or clothes
        behind = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        if _chance(0.3):
            behind = np.broadcast_to(torch.randint(256, (3,)).numpy().astype(np.uint8), pixels.shape)
        alpha = backdrop[..., None] / 255
        return np.asarray((pixels * (1 - alpha) + behind * alpha).round(), np.uint8)


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _chance(share: float) -> bool:
    return float(torch.rand(())) < share


def _moved(pixels: Pixels, answer: Maps) -> tuple[Pixels, Maps]:
    """Mirror, turn (12 degrees), scale (0.8-1.25) and shift (8 %), so that errors of alignment do not matter."""
    side = pixels.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), _between(-12, 12), _between(0.8, 1.25))
    matrix[:, 2] += _between(-0.08, 0.08) * side, _between(-0.08, 0.08) * side
    if _chance(0.5):
        matrix[0] = (0, 0, 2 * middle) - matrix[0]
    planes = np.ascontiguousarray(answer.transpose(1, 2, 0))
    turned, marked = (
        np.asarray(cv2.warpAffine(x, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
        for x in (pixels, planes)
    )
    return turned, marked.transpose(2, 0, 1)


def _lit(pixels: Pixels) -> Pixels:
    """Another exposure (gamma 0.6-1.6), white balance (10 %) and sharpness."""
    light = (pixels / 255) ** _between(0.6, 1.6) * (0.9 + 0.2 * torch.rand(3).numpy())
    changed = np.asarray((light * 255).clip(0, 255).round(), np.uint8)
    if _chance(0.3):
        changed = np.asarray(cv2.GaussianBlur(changed, (0, 0), _between(0.4, 1.6)), np.uint8)
    return changed


class Hair(Recipe):
    """Train the hair matte on ``data``/wide256; the teacher's mattes are cached in ``cache``."""

    key = "attributes-hair"
    columns = 5

    def __init__(
        self,
        data: Path,
        steps: int = 3800,
        batch: int = 8,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        cache: Path = Path("runs/cache"),
    ) -> None:
        self.data, self.steps, self.batch, self.rate, self.cache = data, steps, batch, rate, cache
        self.networks: dict[str, nn.Module] = {"student": UNet(3, 1, widths, depths)}

    def dataset(self, split: str) -> Dataset[Any]:
        """Held-out pairs hold good mattes only; in training half are good ones."""
        found = samples(self.data / "wide256")
        answers = maps(found, self.cache / "attributes-hair.npz")
        mine = [i for i, sample in enumerate(found) if sample.split == split]
        good = [i for i in mine if answers[i, 2].all()]
        kept = good if split != "train" else mine + good * round((len(mine) - len(good)) / max(len(good), 1))
        return Heads([found[i] for i in kept], answers[kept], varied=split == "train")

    def losses(self, player: str, batch: Item) -> Mapping[str, Tensor]:
        faces, hair, known = batch
        logits = self.networks["student"](faces).float()
        entropy = F.binary_cross_entropy_with_logits(logits, hair, reduction="none")
        border = sum(
            (
                (torch.sigmoid(logits).diff(dim=d) - hair.diff(dim=d)).abs() * known.narrow(d, 1, known.shape[d] - 1)
            ).mean()
            for d in (2, 3)
        )
        return {"entropy": (entropy * known).sum() / known.sum(), "border": torch.as_tensor(border)}

    def figures(self, batch: Item) -> Mapping[str, float]:
        """Overlap and mean absolute error of the matte; errors to heads dyed by the teacher's, in 8-bit levels."""
        faces, hair, _ = batch
        made = torch.sigmoid(self.networks["student"](faces).float())
        both = torch.minimum(made, hair).sum(dim=(1, 2, 3))
        iou = float((both / torch.maximum(made, hair).sum(dim=(1, 2, 3))).mean())
        targets = torch.stack([dye(faces, hair, colour) for colour in DYES.values()])
        dyed = torch.stack([dye(faces, firm(made), colour) for colour in DYES.values()])
        return {
            "score": iou,
            "iou": iou,
            "matte error": float((made - hair).abs().mean()),
            "error": float(levels((dyed - targets).abs().mean())),
            "error of doing nothing": float(levels((faces - targets).abs().mean())),
        }

    def sample(self, batch: Item) -> Tensor:
        """Rows: the face, its matte, black, brown, blond."""
        faces = batch[0][:6]
        made = torch.sigmoid(self.networks["student"](faces).float())
        dyed = [dye(faces, made, colour) for colour in DYES.values()]
        return torch.stack([faces, made.expand_as(faces) * 2 - 1, *dyed], dim=1).flatten(0, 1)
