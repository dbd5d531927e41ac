"""The progress of jobs: how much is done, and how long the rest will take, by what such steps took before."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from math import prod
from typing import Any

from ganchain.chains import Chain, StageSpec
from ganchain.web.jobs import Job

FIRST = {
    "reading": 0.3,
    "makeup": 0.2,
    "attributes": 0.4,
    "webtoon": 1.0,
    "restore": 3.0,
    "upscale": 0.4,
    "writing": 0.5,
}
UNKNOWN = 1.0  # seconds for each megapixel of the result
VIDEO_SHARES = (0.35, 0.6, 0.05)  # of the steps of a video
VIDEO_FRAME = 0.2  # seconds, as long as nothing else is known
SMALLEST = 0.25  # megapixels; what is smaller takes as long


class Pace:
    """Seconds that steps of jobs take for each megapixel of the result, learned from jobs that have ended."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def learn(self, job: Job) -> None:
        """Learn from a job that is done."""
        size, times = megapixels(job), [*job.begun.values(), time.monotonic()]
        for step, seconds in zip(job.begun, (b - a for a, b in pairwise(times)), strict=True):
            key, before = _key(job.chain, step), self._rates.get(_key(job.chain, step))
            self._rates[key] = seconds / size if before is None else (before + seconds / size) / 2

    def progress(self, job: Job) -> tuple[float, float]:
        """Estimate which share of a running job is done, 0..1, and the seconds that are left."""
        if job.upload.video:
            return _of_video(job)
        expected = {step: self._rates.get(key, first) * megapixels(job) for step, key, first in _steps(job.chain)}
        *before, current = job.begun or {0: time.monotonic()}
        elapsed = time.monotonic() - job.begun.get(current, time.monotonic())
        done, whole = sum(expected.pop(step, 0.0) for step in before), sum(expected.values())
        now = expected.pop(current, 0.0)
        if job.share:  # counted
            part, left = job.share, elapsed * (1 - job.share) / job.share
        else:
            part = 1 - math.exp(-elapsed / max(now, 0.05))
            left = max(now - elapsed, now * (1 - part))
        return (done + now * part) / max(done + whole, 0.01), left + sum(expected.values())


def _of_video(job: Job) -> tuple[float, float]:
    """Estimate the progress of a video, whose frames are counted."""
    started = next((begun for step, begun in job.begun.items() if step > 0), time.monotonic())
    done = sum(VIDEO_SHARES[: max(0, job.step - 1)]) + VIDEO_SHARES[max(0, job.step - 1)] * job.share
    if job.step == 0 or done < 0.01:
        return 0.0, VIDEO_FRAME * job.upload.video.frames if job.upload.video else 0.0
    return done, (time.monotonic() - started) * (1 - done) / done


def scale(stages: Iterable[tuple[type[Any], Mapping[str, Any]]]) -> int:
    """Compute how many times as wide as the photo the result of stages is, given their classes and options."""
    return prod(
        int(options.get("factor") or cls.scale)
        for cls, options in stages
        if cls.effect == "enlarge" and options.get("scope") != "face"
    )


def megapixels(job: Job) -> float:
    """Compute the megapixels of a job's result."""
    width, height = job.upload.size
    wider = scale((spec.cls, spec.options) for spec in job.chain.stages)
    return max(SMALLEST, width * height * wider**2 / 1e6)


def _steps(chain: Chain) -> Iterator[tuple[int, str, float]]:
    """Yield each step of a chain, its key, and the seconds for a megapixel as long as nothing is learned."""
    for step in range(len(chain.stages) + 2):
        name = chain.stages[step - 1].name if 0 < step <= len(chain.stages) else ("writing" if step else "reading")
        yield step, _key(chain, step), FIRST.get(name, UNKNOWN)


def _key(chain: Chain, step: int) -> str:
    """Name a step with what its time depends on."""
    if not 0 < step <= len(chain.stages):
        return f"{'writing' if step > 0 else 'reading'} {chain.output.format}"
    spec: StageSpec = chain.stages[step - 1]
    return f"{spec.name} {sorted((key, str(value)) for key, value in spec.options.items() if value is not None)}"
