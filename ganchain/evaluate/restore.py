"""Figures of restoration: PSNR, likeness, and whether clean test pictures are told from spoilt ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganchain.evaluate.spoilt import RECIPES, Spoilt
from ganchain.faces.dlib_models import Embedder
from ganchain.nets.restorer import Restorer, share_needed
from ganchain.stages.restore import Restore
from ganchain.tensors import Pixels, bicubic, resize, to_faces, to_pixels
from ganchain.train.data import Sample, read, samples

EMBEDDING_SIDE = 150  # px
PHOTOS = 256  # px, the least side of whole photos


def figures(network: torch.nn.Module, data: Path, limit: int | None) -> dict[str, float]:
    """Measure a restorer on the test split of ``data``: aligned faces, and for the network of whole photos also those.

    At most ``limit`` pictures of each kind. PSNR is that of the colours; the gain is over bicubic enlargement. The
    network of faces sees the face at its own side, enlarged by bicubic interpolation.
    """
    assert isinstance(network, Restorer)
    whole = len(network.factors) > 1
    faces = picked(samples(data / "faces256", "test"), limit)
    values = {"faces": float(len(faces))} | gains(network, faces, "", embed=True)
    if whole and (data / "photos_cc0").is_dir():
        photos = picked(samples(data / "photos_cc0", "test"), limit)
        values |= {"photos": float(len(photos))} | gains(network, photos, "photos, ", embed=False)
    return values


def picked(pictures: list[Sample], limit: int | None) -> list[Sample]:
    """Pick at most ``limit`` pictures evenly."""
    if limit is None or len(pictures) <= limit:
        return pictures
    return [pictures[round(i * (len(pictures) - 1) / max(limit - 1, 1))] for i in range(limit)]


def gains(network: Restorer, pictures: list[Sample], prefix: str, *, embed: bool) -> dict[str, float]:
    """Measure each recipe on ``pictures``: mean PSNR, the gain over bicubic, and the embedding's distances."""
    embedder = Embedder() if embed else None
    stage = Restore(scope="photo" if len(network.factors) > 1 else "face")
    rows: dict[str, list[float]] = {}
    for seed, sample in enumerate(pictures):
        photo = read(sample.path)
        rows.setdefault(f"{prefix}clean: left alone", []).append(float(read_as(stage, photo) < 0.5))
        for name, spoilt in spoilt_versions(photo, seed):
            plain, restored = (to_pixels(answer)[0] for answer in answers(network, spoilt))
            gain = psnr(restored, spoilt.clean) - psnr(plain, spoilt.clean)
            seen = spoilt.pixels if len(network.factors) > 1 else to_pixels(answers(network, spoilt)[0])[0]
            rows.setdefault(f"{prefix}{name}: seen to be spoilt", []).append(float(read_as(stage, seen) >= 0.5))
            measured = {"psnr": psnr(restored, spoilt.clean), "gain over bicubic, dB": gain}
            if embedder is not None:
                clean, *others = (embedding(embedder, p) for p in (spoilt.clean, restored, plain))
                distances = [float(np.linalg.norm(other - clean)) for other in others]
                measured |= {"embedding distance": distances[0], "embedding distance of bicubic": distances[1]}
            for figure, value in measured.items():
                rows.setdefault(f"{prefix}{name}: {figure}", []).append(value)
    return {figure: float(np.mean(values)) for figure, values in rows.items()}


def spoilt_versions(photo: Pixels, seed: int) -> Iterator[tuple[str, Spoilt]]:
    """Yield the name of each recipe and what it makes of ``photo``, cut to a multiple of 4 px."""
    height, width = (side // 4 * 4 for side in photo.shape[:2])
    for name, spoil in RECIPES.items():
        yield name, spoil(photo[:height, :width], seed)


def answers(network: Restorer, spoilt: Spoilt) -> tuple[Tensor, Tensor]:
    """Enlarge a spoilt picture by bicubic interpolation and by the network: (1, 3, H, W) each."""
    small = to_faces(spoilt.pixels)
    plain = bicubic(small, spoilt.factor).clamp(-1, 1)
    whole = len(network.factors) > 1
    return plain, network(small, spoilt.factor) if whole else network(plain)


def read_as(stage: Restore, photo: Pixels) -> float:
    """Return how much ``amount: auto`` restores a picture, 0..1."""
    return share_needed(stage.net, photo)


def embedding(embedder: Embedder, face: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Embed an aligned face."""
    return embedder(to_pixels(resize(to_faces(face), (EMBEDDING_SIDE, EMBEDDING_SIDE)))[0])


def psnr(a: Pixels, b: Pixels) -> float:
    """Compute the dB between two pictures."""
    return float(10 * np.log10(255**2 / max(1e-9, float(np.mean((a.astype(np.float64) - b) ** 2)))))
