"""Display of a batch: a progress bar on a terminal, JSON lines elsewhere, and a summary at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import click

from ganchain.batch.loop import OnProgress, OnRecord
from ganchain.batch.plan import OnFound
from ganchain.batch.record import Record, Status
from ganchain.batch.summary import Summary
from ganchain.errors import plain
from ganchain.photos.find import Item
from ganchain.video.summary import STEPS, Progress

FOUND_STEP = 100  # photos between two updates, while they are looked for
NAMED = 20  # failed photos named in the summary
STATUSES: tuple[Status, ...] = ("ok", "no_face", "skipped", "failed")


class Display(NamedTuple):
    """Calls that show how far a batch is: of each record, of each photo that is found, and of each video."""

    on_record: OnRecord
    on_found: OnFound | None = None
    on_progress: OnProgress | None = None


@contextmanager
def lines() -> Iterator[Display]:
    """Print one JSON line a photo on standard output."""

    def show(record: Record, summary: Summary) -> None:
        line = {
            "input": record.input,
            "type": record.type,
            "status": record.status,
            "outputs": [output["path"] for output in record.outputs],
            "faces": record.video["edited"] if record.video else sum(face["left_out"] is None for face in record.faces),
            "seconds": round(sum(record.seconds.values()), 3),
            "error": record.error,
        }
        click.echo(json.dumps(line))

    yield Display(show)


@contextmanager
def bar() -> Iterator[Display]:
    """Show a progress bar with the rate, the time left and the counts, and one for each video that is being done.

    Failed photos are named above it.
    """
    found = count(1)
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bars(*columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)
        videos = dict[str, TaskID]()

        def show(record: Record, summary: Summary) -> None:
            rate = "" if summary.has_videos else f"{summary.rate:.2f} photos/s  "
            progress.update(task, total=summary.total, advance=1, description=rate + _counts(summary))
            if record.input in videos:
                progress.remove_task(videos.pop(record.input))
            if record.status == "failed":
                reason = escape(plain(record.error or ""))
                progress.console.print(f"[red]{escape(plain(record.input))}[/]: {reason}", highlight=False)

        def show_found() -> None:
            if (number := next(found)) % FOUND_STEP == 0:
                progress.update(task, description=f"looking for photos: {number}")

        def show_video(item: Item, reached: Progress) -> None:
            if item.input not in videos:
                videos[item.input] = progress.add_task("", total=None)
            rate = f"  {reached.rate:.1f} frames/s" if reached.rate else ""
            words = f"{escape(plain(item.input))}: {STEPS[reached.step]}{rate}"
            total = reached.total or None
            progress.update(videos[item.input], completed=reached.done, total=total, description=words)

        yield Display(show, show_found, show_video)


def summary_fields(summary: Summary) -> dict[str, object]:
    """Turn the summary into the fields of its JSON line."""
    return {
        "total": summary.total,
        **{status: summary.counts[status] for status in STATUSES},
        "left": summary.left,
        "seconds": round(summary.seconds, 3),
        "photos_per_second": round(summary.rate, 3),
        "out": str(summary.out),
        "record": str(summary.record),
        "stopped": summary.stopped,
        "interrupted": summary.interrupted,
        "unrecorded": summary.unrecorded,
        "videos": summary.videos,
        "spoilt_frames": summary.spoilt_frames,
        "notes": summary.notes,
        "passed": summary.passed,
        "damaged": len(summary.damaged),
    }


def summary_lines(summary: Summary) -> Iterator[str]:
    """Write the summary as lines of text."""
    spent = f"{summary.seconds:.1f} s, {summary.rate:.2f} photos/s"
    kinds = "photos"
    if summary.has_videos:  # they take longer
        spent, kinds = f"{summary.seconds:.1f} s", "photos and videos"
    yield f"{_counts(summary) or 'nothing done'} of {summary.total} {kinds} in {spent}"
    for input_, reason in list(summary.failed.items())[:NAMED]:
        yield f"failed: {plain(input_)}: {plain(reason)}"
    if len(summary.failed) > NAMED:
        yield f"and {len(summary.failed) - NAMED} more failed: see {summary.record}"
    yield from summary.passed
    yield from map(plain, summary.notes[:NAMED])
    if len(summary.notes) > NAMED:
        yield f"and {len(summary.notes) - NAMED} more notes: see {summary.record}"
    if summary.stopped is not None:
        yield f"stopped: {summary.stopped}"
    if summary.left:
        yield f"{summary.left} not begun; the same command goes on with them"
    if summary.unrecorded:
        yield f"{summary.unrecorded} results could not be written to {summary.record}; a rerun does these photos again"
    if summary.damaged:
        yield damaged_line(summary.damaged)
    yield f"outputs and record: {summary.out}"


def damaged_line(numbers: Sequence[int]) -> str:
    """Name the damaged lines of a record."""
    named = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
    return f"the record was damaged (line {named}); what stood there is done again"


def _counts(summary: Summary) -> str:
    """List the counts by status: "3 ok, 1 failed"."""
    return ", ".join(f"{summary.counts[status]} {status}" for status in STATUSES if summary.counts[status])
