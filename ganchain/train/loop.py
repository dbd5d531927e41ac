"""The training loop: it knows networks, losses and figures, but no GAN.

A run leaves in its folder: ``log.jsonl`` (losses and figures), ``sample-STEP.png``, ``state.pt`` (for
``--resume``) and ``KEY.safetensors`` (the running average of the weights, fp16).
"""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from math import cos, pi
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ganchain import tensors
from ganchain.train.depthwise import quick
from ganchain.train.recipe import Batch, Recipe

AVERAGE = 0.999  # decay of the running average of the weights, which is what is exported
WARM_UP = 100  # steps


class Training:
    """What a run must remember to go on: networks, their average, optimisers, the step."""

    def __init__(self, recipe: Recipe, out: Path, device: str) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        self.step = 0
        for net in recipe.networks.values():
            quick(net).to(device)
        self.exported = next(iter(recipe.networks))
        self.average = copy.deepcopy(recipe.networks[self.exported]).requires_grad_(False)
        self.optimisers = {
            name: torch.optim.Adam(net.parameters(), lr=recipe.rate, betas=(0.9, 0.99))
            for name, net in recipe.networks.items()
        }

    def advance(self, batch: Batch) -> dict[str, float]:
        """One step of every network; returns the loss terms."""
        self.step += 1
        values: dict[str, float] = {}
        for name, net in self.recipe.networks.items():
            optimiser = self.optimisers[name]
            optimiser.param_groups[0]["lr"] = self.recipe.rate * _schedule(self.step, self.recipe.steps)
            with torch.autocast(self.device, torch.bfloat16):
                terms = self.recipe.losses(name, batch)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            values |= {f"{name}/{term}": float(value.detach()) for term, value in terms.items()}
        decay = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            live = self.recipe.networks[self.exported].state_dict().values()
            for mean, new in zip(self.average.state_dict().values(), live, strict=True):
                mean.lerp_(new, 1 - decay)
        return values

    @torch.no_grad()
    def evaluate(self, held_out: list[Batch]) -> dict[str, float]:
        """Held-out figures of the averaged weights, and a sheet of samples."""
        networks, live = self.recipe.networks, self.recipe.networks[self.exported]
        networks[self.exported] = self.average
        try:
            rows = [self.recipe.figures(_to(batch, self.device)) for batch in held_out]
            sample = tensors.to_pixels(self.recipe.sample(_to(held_out[0], self.device)))
        finally:
            networks[self.exported] = live
        columns, (count, height, width, _) = self.recipe.columns, sample.shape
        sheet = sample.reshape(count // columns, columns, height, width, 3).swapaxes(1, 2)
        Image.fromarray(sheet.reshape(-1, columns * width, 3)).save(self.out / f"sample-{self.step:06d}.png")
        return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {**self.recipe.networks, **{f"{n}-adam": o for n, o in self.optimisers.items()}, "average": self.average}

    def save(self) -> None:
        """Write state and weights; each file appears whole or not at all."""
        part = self.out / "part"
        torch.save({"step": self.step, **{name: one.state_dict() for name, one in self._parts().items()}}, part)
        part.replace(self.out / "state.pt")
        save_file({key: value.half().contiguous() for key, value in self.average.state_dict().items()}, part)
        part.replace(self.out / f"{self.recipe.key}.safetensors")

    def restore(self) -> None:
        state = torch.load(self.out / "state.pt", weights_only=True)
        self.step = state["step"]
        for name, one in self._parts().items():
            one.load_state_dict(state[name])


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
    torch.set_num_threads(threads or torch.get_num_threads())
    torch.manual_seed(seed)
    training = Training(recipe, out, device)
    if resume:
        training.restore()
    first, start, sums = training.step, time.monotonic(), defaultdict[str, float](float)
    held_out, batches = list(DataLoader(recipe.dataset("val"), recipe.batch)), _endless(recipe, seed + first)
    figures: dict[str, float] = {}
    while training.step < recipe.steps:
        for term, value in training.advance(_to(next(batches), device)).items():
            sums[term] += value / every
        if training.step % every == 0 or training.step == recipe.steps:
            figures, seconds = training.evaluate(held_out), time.monotonic() - start
            line = {"step": training.step, "seconds": round(seconds), "losses": dict(sums), "figures": figures}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            left = seconds / (training.step - first) * (recipe.steps - training.step) / 60
            Console().print(f"{recipe.key} {training.step}/{recipe.steps}, {left:.0f} min left", figures)
            sums.clear()
            training.save()
    return figures


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    return min(1.0, step / WARM_UP) * 0.5 * (1 + cos(pi * min(1.0, step / steps)))


def _endless(recipe: Recipe, seed: int) -> Iterator[Batch]:
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        recipe.dataset("train"),
        recipe.batch,
        shuffle=True,
        drop_last=True,
        num_workers=1,
        persistent_workers=True,
        generator=order,
    )
    while True:
        yield from loader


def _to(batch: Batch, device: str) -> Batch:
    return batch.to(device) if isinstance(batch, Tensor) else tuple(_to(part, device) for part in batch)
