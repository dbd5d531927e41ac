"""Journal of a run: log.jsonl, sample sheets, TensorBoard where it is installed, the time left."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ganchain import files
from ganchain.errors import GanchainError
from ganchain.tensors import Pixels


class Journal:
    """Journal of one run in its folder ``out``; a resumed run drops what was written after its checkpoint.

    On a terminal there is a progress bar, else one plain line whenever figures are computed.
    """

    def __init__(self, out: Path, name: str, steps: int, step: int, *, silent: bool = False) -> None:
        self.out, self.name, self.steps, self.step, self.first = out, name, steps, step, step
        self.values: dict[str, list[Tensor]] = defaultdict(list)
        self.console = Console(quiet=silent)
        bar = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(True)
        self.progress = Progress(*bar, console=self.console, disable=silent or not self.console.is_terminal)
        self.task = self.progress.add_task(name, total=steps, completed=step)
        self.start, self.log = time.monotonic(), out / "log.jsonl"
        self.seconds_before = 0.0 if silent else self._resume_log()
        self.board = None if silent else _board(out, step)

    def _resume_log(self) -> float:
        """Drop the lines after the first step, and one that was cut off; returns the seconds so far."""
        texts = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        lines = [json.loads(text) for text in texts if text.endswith("\n")]
        lines_before = [line for line in lines if line["step"] <= self.first]
        files.write(self.log, "".join(json.dumps(line) + "\n" for line in lines_before))
        return float(lines_before[-1]["seconds"]) if lines_before else 0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        if self.board is not None:
            self.board.close()

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the loss terms of one more step."""
        self.step += 1
        for term, value in terms.items():
            self.values[term].append(value)
        self.progress.update(self.task, completed=self.step)

    def losses(self) -> dict[str, float]:
        """Return the means of the loss terms since the last call.

        Raises:
            GanchainError: a term is no finite number.
        """
        means = {term: sum(map(float, values)) / len(values) for term, values in self.values.items()}
        self.values.clear()
        for term, mean in means.items():
            if not isfinite(mean):
                raise GanchainError(
                    f"step {self.step}: the loss {term} is {mean}; a lower rate may help (the last checkpoint is kept)"
                )
        return means

    def write(self, losses: Mapping[str, float], figures: Mapping[str, float], sheet: Pixels) -> None:
        """Write losses, figures and the sample sheet of this step, and say how long the run will take."""
        step, passed = self.step, time.monotonic() - self.start
        line = {"step": step, "seconds": round(self.seconds_before + passed), "losses": losses, "figures": figures}
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        Image.fromarray(sheet).save(self.out / f"sample-{step:06d}.png")
        if self.board is not None:
            for name, value in {**losses, **figures}.items():
                self.board.add_scalar(name.replace(" ", "_"), value, step)
            self.board.add_image("sample", sheet, step, dataformats="HWC")
        left = passed / (step - self.first) * (self.steps - step)
        summary = ", ".join(f"{name} {value:.4g}" for name, value in (figures or losses).items())
        self.console.print(f"{self.name} {step}/{self.steps}, {_duration(left)} left: {summary}", soft_wrap=True)


def _duration(seconds: float) -> str:
    """Write seconds in words."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _board(out: Path, step: int) -> Any:
    """Open a writer of TensorBoard's files; None where it is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(out), purge_step=step + 1)
