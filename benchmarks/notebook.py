"""Seed's way: face edits as a notebook puts them together; ``benchmarks/seed.py`` says what is compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.detection import Box
from ganchain.checkpoints import architectures, manifest
from ganchain.checkpoints.importing import import_files
from ganchain.faces.dlib_models import TEACHER, dlib, model_file
from ganchain.tensors import Pixels, to_faces, to_pixels
from tests.formula import published

SIDE = 256
KEEP = 5  # blocks of the Swapping AutoEncoder that keep the photo's own texture
LABELS = torch.tensor([[0.0, 1.0, 0.0, 0.0, 1.0]])  # blond, female, young, of StarGAN's five
MODELS = {  # key in a chain: table of shapes
    "seed-beautygan": "beautygan_tf1",
    "seed-stargan": "stargan_128",
    "seed-webtoon": "webtoon_swapae",
    "seed-srgan": "srgan",
}


class SeedsWay:
    """Notebook: models loaded once, then one photo after the other.

    Args:
        reference: a photo with the face whose makeup is taken.
        style: the picture whose texture is taken.
    """

    def __init__(self, reference: Pixels, style: Pixels) -> None:
        self.detector = dlib.get_frontal_face_detector()
        self.landmarks = dlib.shape_predictor(str(model_file(TEACHER)))
        weights = [manifest.load(key) for key in MODELS]
        nets: list[Any] = [architectures.build(entry.architecture, entry.tensors) for entry in weights]
        self.beautygan, self.stargan, self.webtoon, self.srgan = nets
        _, chips = self.chips(reference)
        self.reference = to_faces(chips[0])
        with torch.no_grad():
            self.texture = self.webtoon.encode(to_faces(cv2.resize(style, (SIDE, SIDE)).astype(np.uint8)))[1]
        self.edit(chips[0], {})  # the first one is slower: torch chooses its kernels

    def chips(self, pixels: Pixels) -> tuple[list[Box], list[Pixels]]:
        """Find the faces: their boxes, and their chips (256, 256, 3)."""
        boxes = self.detector(pixels, 1)
        shapes = dlib.full_object_detections()
        for box in boxes:
            shapes.append(self.landmarks(pixels, box))
        places = [(box.left(), box.top(), box.right(), box.bottom()) for box in boxes]
        return places, dlib.get_face_chips(pixels, shapes, size=SIDE) if boxes else []

    def edit(self, chip: Pixels, spent: dict[str, float]) -> Pixels:
        """Edit a chip (256, 256, 3) -> (1024, 1024, 3); adds each network's seconds to ``spent``."""
        networks: dict[str, Callable[[Tensor], Tensor]] = {
            "makeup": lambda face: self.beautygan.transfer(face, self.reference),
            "attributes": lambda face: self.stargan.generator(face, LABELS),
            "webtoon": self._draw,
            "upscale": self._enlarge,
        }
        for name, network in networks.items():
            start = time.perf_counter()
            with torch.no_grad():
                chip = to_pixels(network(to_faces(chip)).clamp(-1, 1))[0]
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        return chip

    def _draw(self, face: Tensor) -> Tensor:
        """Draw with the Swapping AutoEncoder."""
        structure, own = self.webtoon.encode(face)
        return self.webtoon.decode(structure, [own] * KEEP + [self.texture] * (self.webtoon.blocks - KEEP))

    def _enlarge(self, face: Tensor) -> Tensor:
        """Enlarge by SRResNet layer by layer as it was published, however ganchain runs it."""
        first = self.srgan.initial_conv((face + 1) / 2)
        return self.srgan.final_conv(self.srgan.upsample(first + self.srgan.body(first)))

    def __call__(self, path: Path, out: Path) -> tuple[dict[str, float], list[Box]]:
        """Edit one photo and write its faces into ``out``; returns seconds by step, and the faces' boxes."""
        spent: dict[str, float] = {}
        start = time.perf_counter()
        pixels = np.asarray(Image.open(path).convert("RGB"))
        read_at = time.perf_counter()
        boxes, chips = self.chips(pixels)
        cut_at = time.perf_counter()
        for number, chip in enumerate(chips):
            Image.fromarray(self.edit(chip, spent)).save(out / f"{path.stem}-face{number}.png")
        networks = sum(spent.values()) / max(1, len(chips))
        totals = {"detection": cut_at - read_at, "networks": networks, "end to end": time.perf_counter() - start}
        return spent | totals, boxes


def import_weights(folder: Path) -> None:
    """Import the published architectures, with weights by formula, under the keys of ``MODELS``."""
    for key, model in MODELS.items():
        path = folder / f"{key}.safetensors"
        save_file({name: torch.from_numpy(array) for name, array in published(model).items()}, path)
        import_files([path], key, side=SIDE if model == "stargan_128" else None)
        path.unlink()
