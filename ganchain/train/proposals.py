"""Recipe of the proposals: a small network learns where dlib's detector finds faces.

    python -m ganchain.train.proposals DATA proposals.safetensors [SEED]

Scenes are made of training faces, laid onto photos or noise in many sizes, lights and qualities; a fifth are photos as
they are. What dlib finds in a scene at full size is what the network learns to find in a quarter of it. About twenty
minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import cos, log, pi
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ganchain import files
from ganchain.faces.dlib_models import HogDetector
from ganchain.faces.proposals import REACH, SIZE, STRIDE, ProposalNet
from ganchain.nets.points import folded
from ganchain.tensors import HALF_RANGE, Pixels
from ganchain.train.data import Sample, read, samples
from ganchain.train.shape import degrade

SIDE, REDUCED, CROP = 1024, 4, 96  # px of a scene; of it in one px that is learnt from; of what is learnt at a time
SCENES, STEPS, BATCH, RATE = 1800, 7000, 48, 3e-3
NATURAL = 0.2  # share of photos as they are
AVERAGE = 0.998  # decay of the running average of the weights
WIDTHS, DEPTH = (8, 16, 64), 5
SMALLEST, LARGEST = 14.6, 37.5  # px of the faces to be found
LARGEST_SCALE = 0.8  # of a picture: there, dlib has found all faces down to the smallest
LEAST, FACE = -0.2, 0.2  # scores of dlib's detections that are no negatives, and of those that are faces

Boxes = NDArray[np.float64]  # (N, 5): left, top, right, bottom, score


class Scene(NamedTuple):
    """Scene to learn from: (SIDE / REDUCED) square of luma, and what dlib found in it, in px of the whole scene."""

    luma: Pixels
    boxes: Boxes


class Crops(NamedTuple):
    """Batch to learn from: pictures (N, 1, CROP, CROP) -1..1, and what is to be answered.

    ``face`` (N, h, w) is 1 where a face is near, ``weight`` how much that counts, ``place`` (N, 3, h, w) the rest.
    """

    pictures: Tensor
    face: Tensor
    weight: Tensor
    place: Tensor


def background(photos: Sequence[Sample], rng: Generator) -> Pixels:
    """Make what faces are laid onto: a part of a photo, or coarse noise."""
    if rng.random() < 0.75:
        photo = read(photos[int(rng.integers(len(photos)))].path)
        side = int(min(photo.shape[:2]) * rng.uniform(0.25, 1))
        y, x = (rng.integers(0, length - side + 1) for length in photo.shape[:2])
        part = np.ascontiguousarray(np.rot90(photo[y : y + side, x : x + side], rng.choice([0, 0, 0, 1, 2, 3])))
        return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    side = int(2 ** rng.uniform(0, 7))
    noise = rng.uniform(0, 255) + (rng.uniform(0, 255, (side, side, 3)) - 128) * rng.uniform(0, 1)
    return np.asarray(cv2.resize(noise.clip(0, 255).astype(np.uint8), (SIDE, SIDE)), np.uint8)


def lay(scene: Pixels, face: Pixels, side: int, rng: Generator) -> None:
    """Lay a face of ``side`` px, turned a little, onto a scene; it may reach beyond the edge."""
    turn = np.array(cv2.getRotationMatrix2D((128, 128), rng.normal(0, 12), side / 256), np.float64)
    turn[:, 2] += side / 2 - 128
    if side < 180:
        face = np.asarray(cv2.GaussianBlur(face, (0, 0), 100 / side), np.uint8)
    face = np.asarray(cv2.warpAffine(face, turn, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8)
    face = degrade(face, rng)
    axis, power = np.abs(np.linspace(-1, 1, side)), float(rng.choice([2, 4, 20]))
    radius = (axis[None] ** power + axis[:, None] ** power) ** (1 / power)
    cover = ((1 - radius) / rng.uniform(0.02, 0.3)).clip(0, 1)[..., None]
    x, y = rng.integers(-side // 3, SIDE - side * 2 // 3, 2).tolist()
    inside = np.s_[max(0, -y) : SIDE - y, max(0, -x) : SIDE - x]
    there = scene[max(0, y) : y + side, max(0, x) : x + side]
    there[:] = (there * (1 - cover[inside]) + face[inside] * cover[inside]).round().astype(np.uint8)


def compose(faces: Sequence[Sample], photos: Sequence[Sample], rng: Generator) -> Pixels:
    """Make a scene (SIDE, SIDE, 3) of up to 30 faces; a share of all scenes are photos as they are."""
    if rng.random() < NATURAL:
        photo = read(photos[int(rng.integers(len(photos)))].path)
        grow = 1280 / max(photo.shape[:2]) * np.exp(rng.uniform(-0.6, 0.5))
        kind = cv2.INTER_AREA if grow < 1 else cv2.INTER_LINEAR
        sized = cv2.resize(photo, None, fx=grow, fy=grow, interpolation=kind)
        y, x = (int(rng.integers(0, max(1, length - SIDE + 1))) for length in sized.shape[:2])
        part = sized[y : y + SIDE, x : x + SIDE]
        down, right = SIDE - part.shape[0], SIDE - part.shape[1]
        return np.asarray(cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REFLECT_101), np.uint8)
    scene = background(photos, rng).copy()
    usual = np.exp(rng.uniform(log(110), log(420)))
    for _ in range(int(rng.choice([0, 1, 2, 4, 8, 16, 30]))):
        side = int(np.clip(usual * np.exp(rng.normal(0, 0.35)), 80, 900))
        lay(scene, read(faces[int(rng.integers(len(faces)))].path), side, rng)
    return degrade(scene, rng) if rng.random() < 0.5 else scene


def search(scene: Pixels) -> Scene:
    """Find what dlib finds in a scene."""
    boxes = [(*box, score) for box, score in HogDetector()(scene, LEAST)]
    small = cv2.resize(scene, (SIDE // REDUCED, SIDE // REDUCED), interpolation=cv2.INTER_AREA)
    return Scene(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), np.array(boxes).reshape(-1, 5))


def crop(scene: Scene, rng: Generator) -> tuple[NDArray[np.float32], Boxes]:
    """Cut a picture (CROP, CROP) -1..1 out of a scene of any size, often around a face; and the boxes in its px."""
    scale, corner = float(2 ** rng.uniform(-3.3, -0.33)), rng.uniform(0, 1, 2) * (SIDE / REDUCED)
    if len(scene.boxes) and rng.random() < 0.7:
        left, top, right, bottom, _ = scene.boxes[int(rng.integers(len(scene.boxes)))] / REDUCED
        wanted = np.exp(rng.uniform(log(SMALLEST * 0.9), log(LARGEST * 1.1)))
        scale, corner = min(LARGEST_SCALE, float(wanted) / (right - left)), np.array([left + right, top + bottom]) / 2
    side = max(STRIDE, round(len(scene.luma) * scale))
    scale = side / len(scene.luma)
    small = cv2.resize(scene.luma, (side, side), interpolation=cv2.INTER_AREA)
    x, y = np.clip(corner * scale - rng.uniform(0.1, 0.9, 2) * CROP, -8, max(-8, side - CROP + 8)).astype(int).tolist()
    rows, columns = (np.abs(np.arange(first, first + CROP)) for first in (y, x))
    rows, columns = (np.where(axis < side, axis, 2 * side - 2 - axis).clip(0, side - 1) for axis in (rows, columns))
    picture = small[rows][:, columns] / np.float32(HALF_RANGE) - 1
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.4, 1.3) + rng.uniform(-0.3, 0.3)
    picture = picture + rng.normal(0, 1, picture.shape) * rng.exponential(0.015)
    boxes = scene.boxes.copy()
    boxes[:, :4] = (boxes[:, :4] + 0.5) / REDUCED * scale - 0.5 - (x, y, x, y)
    if rng.random() < 0.5:
        picture, boxes[:, [0, 2]] = picture[:, ::-1], CROP - 1 - boxes[:, [2, 0]]
    return picture.astype(np.float32), boxes


def answer(boxes: Boxes) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Write what the network is to answer: ``face``, ``weight`` and ``place`` of ``Crops``, of one picture."""
    cells = CROP // STRIDE
    face, weight = np.zeros((cells, cells), np.float32), np.ones((cells, cells), np.float32)
    place, middles = np.zeros((3, cells, cells), np.float32), (np.arange(cells) + 0.5) * STRIDE - 0.5
    for left, top, right, bottom, score in boxes:
        size = (right - left) + 1 / REDUCED
        if not 0.7 * SMALLEST < size < 1.4 * LARGEST:
            continue
        x, y = (left + right) / 2 - middles[None], (top + bottom) / 2 - middles[:, None]
        away = np.maximum(np.abs(x), np.abs(y))
        weight[(away <= max(STRIDE, 0.45 * size)) & (face == 0)] = 0  # neither near nor away
        if score >= FACE and 0.97 * SMALLEST <= size <= LARGEST:
            near = away <= max(STRIDE / 2, 0.22 * size)
            face[near], weight[near] = 1, 1 + float(score < 0.8)
            values = (x / REACH, y / REACH, np.full((1, 1), log(size / SIZE)))
            for plane, value in zip(place, values, strict=True):
                plane[near] = np.broadcast_to(value, plane.shape)[near]
    return face, weight, place


def batch(scenes: Sequence[Scene], rng: Generator) -> Crops:
    """Make a batch of crops."""
    pictures, boxes = zip(*(crop(scenes[int(rng.integers(len(scenes)))], rng) for _ in range(BATCH)), strict=True)
    face, weight, place = (torch.from_numpy(np.stack(part)) for part in zip(*map(answer, boxes), strict=True))
    return Crops(torch.from_numpy(np.stack(pictures))[:, None], face, weight, place)


def loss(net: nn.Module, crops: Crops) -> Tensor:
    """Compute the loss: cross entropy in which faces and what is taken for one count more, and distances."""
    read = net(crops.pictures)
    entropy = F.binary_cross_entropy_with_logits(read[:, 0], crops.face, reduction="none")
    factor = torch.where(crops.face > 0, 4.0, 0.25 + torch.sigmoid(read[:, 0].detach()))
    count = crops.face.sum().clamp(min=1)
    apart = F.smooth_l1_loss(read[:, 1:], crops.place, reduction="none", beta=0.1) * crops.face[:, None]
    return (0.5 * (entropy * factor * crops.weight).sum() + 2 * apart.sum()) / count


def train(data: Path, out: Path, seed: int = 0, *, scenes: int = SCENES, steps: int = STEPS) -> None:
    """Train on the pictures of ``data`` and write ``out``."""
    rng = default_rng(seed)
    torch.manual_seed(seed)
    wide, photos = samples(data / "wide256", "train"), samples(data / "photos_cc0", "train")
    faces = [*samples(data / "faces256", "train"), *wide * 3]
    found = [search(compose(faces, photos, rng)) for _ in range(scenes)]
    net = ProposalNet(WIDTHS, DEPTH, norm=True)
    mean = get_ema_multi_avg_fn(AVERAGE)  # type: ignore[no-untyped-call]
    average = AveragedModel(net, multi_avg_fn=mean, use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.02)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 200) * 0.5 * (1 + cos(pi * step / steps))
        optimiser.zero_grad()
        loss(net, batch(found, rng)).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(net)
    files.write(out, save({name: value.half() for name, value in folded(average.module).items()}))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("python -m ganchain.train.proposals DATA OUT.safetensors [SEED]")
    train(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
