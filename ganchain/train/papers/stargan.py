"""StarGAN (Choi et al. 2018): one generator for several attributes of faces, learned from labelled photos.

The data are either of:

* the public CelebA layout: ``list_attr_celeba.txt`` (names in its second line, then a file and its -1 or 1 a row) and
  the pictures in any folder beside it;
* ``labels.csv`` with a column ``file`` and others: the label "Male" reads a column of that name where 1 stands for
  yes, "gender=male" a column of genders. Blanks are no.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ganchain.errors import ChainError, available
from ganchain.nets.stargan import Discriminator, Generator
from ganchain.train.data import Sample, samples
from ganchain.train.papers import Paper, half_then_linear, losses, picture

CELEBA = "list_attr_celeba.txt"


def labelled(data: Path, split: str) -> list[Sample]:
    """List the samples under ``data`` with their labels by column."""
    pictures = samples(data, split)
    if not (data / CELEBA).exists():
        return pictures
    _, names, *rows = (data / CELEBA).read_text().splitlines()
    attributes = {file: dict(zip(names.split(), values, strict=True)) for file, *values in map(str.split, rows)}
    return [
        Sample(sample.path, sample.split, attributes[sample.path.name])
        for sample in pictures
        if sample.path.name in attributes
    ]


def label_value(sample: Sample, label: str) -> float:
    """Return 1 if the sample has the ``label`` ("column", or "column=value"), else 0.

    Raises:
        ChainError: the table has no such column.
    """
    column, _, value = label.partition("=")
    if column not in sample.labels:
        raise ChainError(f"no label {column!r} for {sample.path.name}; {available(column, sample.labels)}")
    return float(sample.labels[column] == (value or "1"))


class Labelled(Dataset[tuple[Tensor, Tensor]]):
    """Pairs (face (3, side, side) -1..1, labels (L,) of 0 and 1), cut from the middle of a picture."""

    def __init__(self, faces: list[Sample], labels: tuple[str, ...], side: int, fixed: bool) -> None:
        self.faces, self.side, self.fixed = faces, side, fixed
        self.labels = torch.tensor([[label_value(sample, label) for label in labels] for sample in faces])

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return picture(self.faces[index].path, self.side, self.side, self.fixed), self.labels[index]


class StarGAN(Paper):
    """Train StarGAN on the labelled faces under ``data``.

    A step is one of the discriminator, as the authors count their 200,000; the generator takes every ``critics``-th.

    Args:
        labels: the labels that are edited; by default those of the paper's published weights.
        side: side of the faces in px; a multiple of 2 ** depth.
        width, repeats, depth: the networks' channels, residual blocks and discriminator's layers.
        critics: steps of the discriminator for one of the generator.
        classification, reconstruction, penalty: weights of the terms (lambda cls, rec and gp).
    """

    key = "stargan"
    columns = 3

    def __init__(
        self,
        data: Path,
        steps: int = 200_000,
        batch: int = 16,
        rate: float = 1e-4,
        labels: tuple[str, ...] = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"),
        side: int = 128,
        width: int = 64,
        repeats: int = 6,
        depth: int = 6,
        critics: int = 5,
        classification: float = 1.0,
        reconstruction: float = 10.0,
        penalty: float = 10.0,
    ) -> None:
        self.data, self.steps, self.batch, self.rate = data, steps, batch, rate
        self.labels, self.side, self.turns = labels, side, {"generator": critics}
        self.classification, self.reconstruction, self.penalty = classification, reconstruction, penalty
        self.networks: dict[str, nn.Module] = {
            "generator": Generator(len(labels), width, repeats),
            "discriminator": Discriminator(side, len(labels), width, depth),
        }

    def schedule(self, step: int) -> float:
        """Keep the rate for half of the steps, then lower it linearly to zero."""
        return half_then_linear(step, self.steps)

    def dataset(self, split: str) -> Dataset[Any]:
        """Return faces with their labels."""
        return Labelled(labelled(self.data, split), self.labels, self.side, fixed=split != "train")

    def losses(self, player: str, batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        """Compute the terms of the generator or of the discriminator."""
        faces, labels = batch
        target = labels[torch.randperm(len(labels))]  # labels of other faces, so that they occur as in the data
        return (self._generator if player == "generator" else self._discriminator)(faces, labels, target)

    def _generator(self, faces: Tensor, labels: Tensor, target: Tensor) -> dict[str, Tensor]:
        generator = self.networks["generator"]
        fake = generator(faces, target).float()
        realness, logits = self.networks["discriminator"](fake)
        back = generator(fake, labels).float()
        return {
            "adversarial": losses.wasserstein_generator(realness.float()),
            "classification": self.classification * losses.domain_classification(logits.float(), target),
            "reconstruction": self.reconstruction * losses.reconstruction(faces, back),
        }

    def _discriminator(self, faces: Tensor, labels: Tensor, target: Tensor) -> dict[str, Tensor]:
        discriminator = self.networks["discriminator"]
        with torch.no_grad():
            fake = self.networks["generator"](faces, target).float()
        realness, logits = discriminator(faces)
        return {
            "adversarial": losses.wasserstein_critic(realness.float(), discriminator(fake)[0].float()),
            "classification": self.classification * losses.domain_classification(logits.float(), labels),
            "penalty": self.penalty * losses.gradient_penalty(lambda x: discriminator(x)[0], faces, fake),
        }

    def figures(self, batch: tuple[Tensor, Tensor]) -> Mapping[str, float]:
        """Measure how many labels the discriminator reads rightly off edited faces (the score) and off real ones."""
        (faces, labels), generator, discriminator = batch, self.networks["generator"], self.networks["discriminator"]
        fake = generator(faces, target := labels.roll(1, dims=0))
        fake_labels, real_labels = ((discriminator(x)[1] > 0).float() for x in (fake, faces))
        return {
            "score": float((fake_labels == target).float().mean()),
            "labels read off real faces": float((real_labels == labels).float().mean()),
            "reconstruction": float(losses.reconstruction(faces, generator(fake, labels).float())),
        }

    def sample(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Draw rows of face, the same with the labels of the face before, and back."""
        faces, labels = (part[:8] for part in batch)
        generator = self.networks["generator"]
        fake = generator(faces, labels.roll(1, dims=0))
        return torch.stack([faces, fake, generator(fake, labels)], dim=1).flatten(0, 1).float()
