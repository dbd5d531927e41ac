"""Order of the pictures and their random numbers: functions of the seed and the step alone.

So a resumed run needs no state of any random generator, and neither the number of workers nor that of processes
changes what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

from ganchain.train.recipe import seeded

Place = tuple[int, int]  # index of the picture, number of the draw


def derive_seed(*parts: int | str) -> int:
    """Derive a seed of 64 bits from ``parts``; equal parts give equal seeds, others give unrelated ones."""
    return int.from_bytes(sha256(repr(parts).encode()).digest()[:8], "little")


class Seeded(Dataset[Any]):
    """Dataset indexed by place; what is random in an item comes from ``seed`` and the number of the draw."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, place: Place) -> Any:
        index, number = place
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "item", number))
            return self.dataset[index]


class Order(Sampler[list[Place]]):
    """Sampler of batches without end, from step ``first`` (0, 1 ...) on, for process ``rank`` of ``world``.

    Pictures are counted through all steps and processes. Number n is the (n mod size)-th of the shuffle of round
    n // size, so a batch may reach into the next round, and every picture is seen once a round.
    """

    def __init__(self, size: int, batch: int, seed: int, first: int = 0, rank: int = 0, world: int = 1) -> None:
        self.size, self.batch, self.seed, self.first = size, batch, seed, first
        self.rank, self.world = rank, world
        self._round, self._shuffled = -1, list[int]()

    def __iter__(self) -> Iterator[list[Place]]:
        for step in count(self.first):
            start = (step * self.world + self.rank) * self.batch
            yield [(self._index(number), number) for number in range(start, start + self.batch)]

    def _index(self, number: int) -> int:
        """Return the picture of draw ``number``."""
        round_number, place = divmod(number, self.size)
        if round_number != self._round:
            shuffle = torch.randperm(self.size, generator=seeded(derive_seed(self.seed, "round", round_number)))
            self._round, self._shuffled = round_number, shuffle.tolist()
        return self._shuffled[place]
