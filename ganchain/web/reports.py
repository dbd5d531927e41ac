"""Descriptions of jobs for their visitors: once, or again and again while they run (server-sent events)."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from ganchain.web.jobs import Job

INTERVAL = 0.25  # seconds between two descriptions of a job that runs


def describe(job: Job, place: int, progress: tuple[float, float]) -> dict[str, Any]:
    """Describe a job, as the answer of ``GET /jobs/ID``.

    Args:
        place: the number of jobs before it, while it waits.
        progress: the share that is done, and the seconds that are left, while it runs.
    """
    answer: dict[str, Any] = {"id": job.id, "state": job.state, "chain": job.name, "photo": job.upload.name}
    if job.state == "waiting":
        answer["place"] = place
    elif job.state == "running":
        share, left = progress
        answer |= {"stage": job.stage, "step": job.step, "steps": job.steps}
        answer |= {"share": round(share, 3), "left": round(left, 1)}
    elif job.state == "done":
        base = f"/jobs/{job.id}"
        answer["report"] = job.report
        if job.video is not None:
            answer["video"] = f"{base}/video"
        answer["pictures"] = [f"{base}/pictures/{number}" for number in range(len(job.pictures))]
        answer["thumbnails"] = [f"{base}/thumbnails/{number}" for number in range(len(job.thumbnails))]
        answer["previews"] = [
            {"shows": caption, "address": f"{base}/previews/{number}"}
            for number, (caption, _) in enumerate(job.previews)
        ]
        answer["yaml"] = f"{base}/chain"
        file = job.name if job.bundled else f"{job.name}.yaml"
        out = "" if job.video is None else f" -o {shlex.quote(_as_path(job.video.name))}"
        command = f"ganchain {'video' if out else 'run'}"
        answer["command"] = f"{command} {shlex.quote(file)} {shlex.quote(_as_path(job.upload.name))}{out}"
    elif job.error:
        answer["error"] = job.error
        answer |= {"problems": [problem.model_dump() for problem in job.problems]} if job.problems else {}
    return answer


def _as_path(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name  # a leading "-" begins an option


async def events(job: Job, describe_now: Callable[[], dict[str, Any]]) -> AsyncIterator[str]:
    """Yield a server-sent event for each change of a job, until it has ended."""
    former = ""
    while True:
        ended = job.ended.done()
        if (text := json.dumps(describe_now())) != former:
            yield f"data: {text}\n\n"
            former = text
        if ended:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(job.ended)), INTERVAL)
