"""The training loop: it knows networks, losses and figures, but no GAN.

Everything a run leaves lies in one folder: ``log.jsonl`` (losses and figures), ``sample-*.png``,
``state.pt`` (resume) and ``<key>.safetensors`` (the running average of the weights, fp16).
"""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ganchain import tensors
from ganchain.train.recipe import Batch, Recipe

AVERAGE = 0.999  # decay of the running average of the weights that is exported
WARM_UP = 100


def train(
    recipe: Recipe,
    out: Path,
    *,
    seed: int = 0,
    threads: int | None = None,
    every: int = 500,
    resume: bool = False,
    device: str = "cpu",
) -> dict[str, float]:
    """Run ``recipe`` and leave its weights in ``out``; returns the last held-out figures."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)
    networks = {name: net.to(device) for name, net in recipe.networks.items()}
    averaged = copy.deepcopy(next(iter(networks.values()))).requires_grad_(False)
    optimisers = {
        name: torch.optim.Adam(net.parameters(), lr=recipe.rate, betas=(0.9, 0.99)) for name, net in networks.items()
    }
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda s: _rate(s, recipe.steps)) for o in optimisers.values()]
    first = 0
    if resume:
        first = _restore(out / "state.pt", networks, averaged, optimisers, schedules)
    train_batches = _endless(recipe, seed + first)
    held_out = list(DataLoader(recipe.dataset("val"), recipe.batch))
    console, sums, start = Console(), defaultdict[str, float](float), time.monotonic()
    figures: dict[str, float] = {}
    for step in range(first + 1, recipe.steps + 1):
        batch = _to(next(train_batches), device)
        for name, net in networks.items():
            with torch.autocast(device, torch.bfloat16):
                terms = recipe.losses(name, batch)
            optimisers[name].zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimisers[name].step()
            for term, value in terms.items():
                sums[f"{name}/{term}"] += float(value.detach())
        for schedule in schedules:
            schedule.step()
        _average(averaged, next(iter(networks.values())), min(AVERAGE, step / (step + 10)))
        if step % every == 0 or step == recipe.steps:
            figures = _evaluate(recipe, averaged, held_out, device, out / f"sample-{step:06d}.png")
            seconds = time.monotonic() - start
            left = seconds / (step - first) * (recipe.steps - step)
            losses = {term: value / every for term, value in sums.items()}
            sums.clear()
            _log(out / "log.jsonl", {"step": step, "seconds": seconds, "losses": losses, "figures": figures})
            console.print(f"{recipe.key} {step}/{recipe.steps} left {left / 60:.1f} min", losses, figures)
            _save(out, recipe.key, step, networks, averaged, optimisers, schedules)
    return figures


def _rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * 0.5 * (1 + float(torch.cos(torch.tensor(min(1.0, step / steps) * torch.pi))))


def _endless(recipe: Recipe, seed: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        recipe.dataset("train"),
        recipe.batch,
        shuffle=True,
        drop_last=True,
        num_workers=1,
        generator=generator,
    )
    while True:
        yield from loader


def _to(batch: Batch, device: str) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device)
    return tuple(_to(part, device) for part in batch)


@torch.no_grad()
def _average(averaged: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, new in zip(averaged.state_dict().values(), net.state_dict().values(), strict=True):
        mean.lerp_(new, 1 - decay)


@torch.no_grad()
def _evaluate(recipe: Recipe, averaged: nn.Module, held_out: list[Batch], device: str, sheet: Path) -> dict[str, float]:
    """Figures of the averaged weights (swapped in for the while) and a sample sheet."""
    name, live = next(iter(recipe.networks.items()))
    recipe.networks[name] = averaged
    try:
        rows = [recipe.figures(_to(batch, device)) for batch in held_out]
        sample = recipe.sample(_to(held_out[0], device))
    finally:
        recipe.networks[name] = live
    pixels = tensors.to_pixels(sample)
    count, height, width, _ = pixels.shape
    columns = recipe.columns
    grid = pixels.reshape(count // columns, columns, height, width, 3).swapaxes(1, 2)
    Image.fromarray(grid.reshape(-1, columns * width, 3)).save(sheet)
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _log(path: Path, line: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _save(
    out: Path,
    key: str,
    step: int,
    networks: dict[str, nn.Module],
    averaged: nn.Module,
    optimisers: dict[str, torch.optim.Adam],
    schedules: list[Any],
) -> None:
    state = {
        "step": step,
        "networks": {name: net.state_dict() for name, net in networks.items()},
        "averaged": averaged.state_dict(),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
        "schedules": [schedule.state_dict() for schedule in schedules],
    }
    torch.save(state, out / "state.tmp")
    (out / "state.tmp").replace(out / "state.pt")
    half = {name: tensor.half().contiguous() for name, tensor in averaged.state_dict().items()}
    save_file(half, out / "weights.tmp")
    (out / "weights.tmp").replace(out / f"{key}.safetensors")


def _restore(
    path: Path,
    networks: dict[str, nn.Module],
    averaged: nn.Module,
    optimisers: dict[str, torch.optim.Adam],
    schedules: list[Any],
) -> int:
    state = torch.load(path, weights_only=True)
    for name, net in networks.items():
        net.load_state_dict(state["networks"][name])
        optimisers[name].load_state_dict(state["optimisers"][name])
    for schedule, saved in zip(schedules, state["schedules"], strict=True):
        schedule.load_state_dict(saved)
    averaged.load_state_dict(state["averaged"])
    return int(state["step"])
