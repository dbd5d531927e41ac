"""Faces with the points of a teacher, as its label files beside the data hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ganchain.errors import PhotoError
from ganchain.faces.mesh import POINTS
from ganchain.train.data import FOLDERS, Sample, crops_framing, is_plain_folder, pictures, randbelow, read, samples
from ganchain.train.datasets.points import PLACES, Item, rates

Columns = dict[str, NDArray[Any]]
NOISE = 4.0  # per cent of the iris distance; of faces above it the teacher's readings do not agree
SCENES = 16  # one training picture of so many shows no face, where there are such
SIDE = 256  # px


def table(data: Path, kind: str, folder: str) -> dict[str, Columns]:
    """Read DATA/KIND-FOLDER.npz: picture (relative to the folder) -> what the teacher says of it.

    Raises:
        PhotoError: there is no such file; it says what writes it.
    """
    file = data / f"{kind}-{folder}.npz"
    if not file.exists():
        teacher = {"points": "mesh", "mattes": "mattes"}[kind]
        raise PhotoError(
            f"no labels {file}; ganchain/train/teachers/{teacher}.py writes them, see docs/training.md", path=str(file)
        )
    with np.load(file) as stored:
        columns = {name: stored[name] for name in stored.files if len(stored[name]) == len(stored["names"])}
    names = columns.pop("names").tolist()
    return {name: {key: column[row] for key, column in columns.items()} for row, name in enumerate(names)}


def labelled(data: Path, folder: str, kind: str = "points") -> list[tuple[Sample, Columns]]:
    """List the pictures of DATA/FOLDER, all splits, with what the teacher says of them.

    Raises:
        PhotoError: the label file is missing, or says nothing of a picture.
    """
    rows, root = table(data, kind, folder), data if is_plain_folder(data) else data / folder
    pairs = []
    for sample in samples(data / folder):
        name = sample.path.relative_to(root).as_posix()
        if name not in rows:
            raise PhotoError(f"{data / f'{kind}-{folder}.npz'} says nothing of {name}; let the teacher label it anew")
        pairs.append((sample, rows[name]))
    return pairs


class Labelled(Dataset[Item]):
    """Faces of one split with the teacher's points.

    In training, faces are drawn so that closed eyes and open mouths come more often, and pictures of ``data``/scenes
    (which show no face) come in between; faces on which the teacher's readings disagree are left out.
    """

    def __init__(self, data: Path, split: str) -> None:
        self.train = split == "train"
        self.items: list[tuple[Sample, Tensor, Tensor]] = []
        for folder in _folders(data):
            place = torch.tensor(PLACES[str(FOLDERS[folder])])
            for sample, columns in labelled(data, folder):
                spread = columns["spread"].mean()  # not a number where the teacher finds no face
                if sample.split == split and (spread < NOISE or (not self.train and spread >= NOISE)):
                    points = torch.from_numpy(columns["points"][:, :2])
                    self.items.append((sample, points, place))
        self.scenes = pictures(data / "scenes") if self.train else []
        if self.train and self.items:
            self.rates = rates(torch.stack([points for _, points, _ in self.items]))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        if self.scenes and randbelow(SCENES) == 0:
            pixels = cv2.resize(read(self.scenes[randbelow(len(self.scenes))]), (SIDE, SIDE))
            whole = torch.tensor(PLACES["none"])
            return Item(torch.from_numpy(pixels).permute(2, 0, 1), torch.zeros(POINTS, 2), whole, torch.tensor(False))
        if self.train:
            index = int(torch.multinomial(self.rates, 1))
        sample, points, place = self.items[index]
        pixels = np.array(read(sample.path))
        grid = (points + 0.5) * 2 / pixels.shape[0] - 1
        return Item(torch.from_numpy(pixels).permute(2, 0, 1), grid, place, torch.tensor(True))


def _folders(data: Path) -> list[str]:
    """Choose the folders to learn from: those with faces in them; of a plain folder, the one of its framing."""
    framed = [folder for folder, framing in FOLDERS.items() if framing]
    if is_plain_folder(data):
        return [folder for folder in framed if FOLDERS[folder] == crops_framing(data)]
    return [folder for folder in framed if (data / folder).is_dir()]
