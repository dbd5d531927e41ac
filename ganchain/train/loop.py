"""Training loop.

A run leaves in its folder: ``log.jsonl`` (losses and figures), ``sample-STEP.png``, ``state.pt`` (for
``resume``) and ``KEY.safetensors`` (the running average of the weights, fp16). All that is random follows from the
seed and the step, so a run that was stopped and resumed gives the numbers of one that was not.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, Dataset

from ganchain.errors import ChainError, PhotoError
from ganchain.train.journal import Journal
from ganchain.train.order import Order, Seeded
from ganchain.train.recipe import Batch, Recipe
from ganchain.train.training import Training

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["bf16-mixed", "32-true"]
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def train(
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    threads: int | None = None,
    every: int = 500,
    resume: bool = False,
    device: Device = "cpu",
    devices: int = 1,
    precision: Precision = "bf16-mixed",
    workers: int | None = None,
) -> dict[str, float]:
    """Run ``recipe`` and leave its weights in ``out``.

    Args:
        every: steps between figures, samples and checkpoints.
        devices: number of devices; each gets batches of its own.
        workers: processes a device that read and vary the pictures; None: one on a CPU, else as many as there are
            cores for it, at most 8.

    Returns:
        The last held-out figures; none if the run was finished already.

    Raises:
        ChainError: there is nothing to resume, a run would be overwritten, or a device is missing.
        PhotoError: a split holds no picture.
    """
    state = begin(out, resume)
    torch.set_num_threads(threads or torch.get_num_threads())
    fabric = _fabric(device, devices, precision)
    torch.manual_seed(seed)
    training = Training(recipe, fabric, seed)
    if resume:
        training.restore(state)
    with fabric.rank_zero_first():  # the first process makes the files that the recipe keeps on the disk
        held_out = list(_held_out(recipe, seed))
        batches = _batches(recipe, fabric, seed, training.step, workers)
    first, figures = fabric.global_rank == 0, dict[str, float]()
    with Journal(out, recipe.key, recipe.steps, training.step, silent=not first) as journal:
        while training.step < recipe.steps:
            journal.add(training.advance(fabric.to_device(next(batches))))
            if first and (training.step % every == 0 or training.step == recipe.steps):
                losses = journal.losses()
                figures, sheet = training.evaluate(held_out)
                journal.write(losses, figures, sheet)
                training.save(out)
    return figures


def begin(out: Path, resume: bool) -> Path:
    """Return the path of the checkpoint in ``out``, after checking that it is there to resume, and else not there.

    Raises:
        ChainError: there is nothing to resume, or a run would be overwritten.
    """
    state = out / "state.pt"
    if resume and not state.exists():
        raise ChainError(f"nothing to resume: there is no checkpoint {state}")
    if state.exists() and not resume:
        raise ChainError(f"{out} holds a run already; go on with it by --resume, or choose another folder by -o")
    out.mkdir(parents=True, exist_ok=True)
    return state


def _fabric(device: Device, devices: int, precision: Precision) -> Fabric:
    """Start Lightning Fabric on the devices that were asked for."""
    count = torch.cuda.device_count()
    if device == "cuda" and count < devices:
        raise ChainError(f"device cuda, devices {devices}: torch finds {count} here")
    accelerator = ("cuda" if count >= devices else "cpu") if device == "auto" else device
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=precision)
    fabric.launch()
    return fabric


def _held_out(recipe: Recipe, seed: int) -> DataLoader[Batch]:
    """Return batches of the split "val" in their order."""
    pictures, size = _pictures(recipe, "val")
    return DataLoader(Seeded(pictures, seed), recipe.batch, sampler=[(index, index) for index in range(size)])


def _batches(recipe: Recipe, fabric: Fabric, seed: int, step: int, workers: int | None) -> Iterator[Batch]:
    """Return batches of the split "train" without end, from ``step`` on."""
    pictures, size = _pictures(recipe, "train")
    order = Order(size, recipe.batch, seed, step, fabric.global_rank, fabric.world_size)
    if workers is None:
        cores = (os.cpu_count() or 1) // fabric.world_size
        workers = 1 if fabric.device.type == "cpu" else min(max(1, cores - 1), 8)
    return iter(DataLoader(Seeded(pictures, seed), batch_sampler=order, num_workers=workers))


def _pictures(recipe: Recipe, split: str) -> tuple[Dataset[Any], int]:
    """Return the recipe's dataset of ``split`` and its size; an empty one is refused."""
    pictures = recipe.dataset(split)
    size = len(pictures)  # type: ignore[arg-type]
    if size == 0:
        raise PhotoError(f"{recipe.key}: the split {split!r} holds no picture")
    return pictures, size
