"""The command ``ganchain video``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganchain.cli.group import echo
from ganchain.cli.options import DEVICE, LICENSE_POLICY, Number, timeout_option
from ganchain.video.options import Options

if TYPE_CHECKING:
    from ganchain.checkpoints.manifest import Policy
    from ganchain.video.summary import OnProgress, Progress, Summary

NAMED = 5  # frames that failed and are named


@click.command()
@click.argument("chain")
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The output; its suffix is the format: .mp4, .mov, .mkv, .webm, .gif, .webp; without one, a folder of frames.",
)
@click.option(
    "--codec", help="h264 (the default), h265, vp9 (.webm), prores (.mov with transparency), ffv1 (lossless)."
)
@click.option("--crf", type=click.IntRange(0, 63), help="Quality, lower is better  [default: h264 18, h265 21, vp9 24]")
@click.option(
    "--steady",
    type=Number(min=0, max=1),
    default=Options.steady,
    show_default=True,
    help="How still edits are held: 0 edits every frame on its own, 1 holds most.",
)
@click.option(
    "--label",
    is_flag=False,
    flag_value="AI edited",
    default=Options.label,
    metavar="[WORD]",
    help='Write a small word into a corner of every frame; without WORD it is "AI edited".',
)
@timeout_option(Options.timeout, "A frame that takes longer stays as it is.")
@DEVICE
@click.option("--engine", default="torch", show_default=True, metavar="ENGINE", help="As of ganchain run.")
@click.option("--overwrite", is_flag=True, help="Also replace an output that was not made with this chain.")
@click.option("--redo", is_flag=True, help="Do a finished video once more.")
@LICENSE_POLICY
@click.pass_context
def video(
    ctx: click.Context,
    /,
    chain: str,
    video: Path,
    out: Path,
    device: str,
    engine: str,
    license_policy: Policy | None,
    **options: object,
) -> None:
    """Run CHAIN (a YAML file, or the name of a bundled chain) over VIDEO: a file, a GIF or WebP, or a folder of frames.

    \b
    ganchain video webtoon clip.mp4 -o drawn.mp4
    ganchain video my.yaml clip.mov -o out.mp4 --crf 14 --label
    ganchain video retouch frames/ -o frames-retouched
    ganchain video portrait wave.gif -o wave-drawn.gif --steady 1

    Faces are found every few frames and at cuts, and followed in between. `faces:` of the chain means these tracks:
    largest is the largest of each scene, [0, 2] are numbers as OUT.tracks.jsonl has them. It has a line for each face
    in each frame: track, box, and whether it was edited, fading, left or not chosen. Faces that come and go fade in
    and out, and profiles are left alone.

    Sound, subtitles, chapters and times are copied as they are, and so are the colours' matrix and range. HDR is
    refused. The video is read upright. It says in its metadata that it was edited.

    What is finished lies in a hidden folder beside OUT until the end: after Ctrl-C, a power cut or a full disk the same
    command goes on there, and gives the same bytes. A frame that fails stays as it is, and is named.

    Exit status: 0 all fine, 1 frames failed, 2 nothing was begun, 130 interrupted. Needs the extra `video` (PyAV).
    """
    from ganchain.pipeline.pipeline import Pipeline
    from ganchain.video.run import edit

    chosen = Options(**options)  # type: ignore[arg-type]
    pipeline = Pipeline.from_yaml(chain, device=device, engine=engine, license_policy=license_policy)
    try:
        with _shown() as on_progress:
            summary = edit(pipeline, video, out, chosen, on_progress)
    except KeyboardInterrupt:
        echo("stopped; the same command goes on from here", err=True)
        ctx.exit(130)
    for line in _lines(summary):
        echo(line, err=True)
    if summary.failed:
        ctx.exit(1)


@contextmanager
def _shown() -> Iterator[OnProgress]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from ganchain.video.summary import STEPS

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(*columns, TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        tasks = {}

        def show(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = bar.add_task(STEPS[progress.step], rate="")
            rate = f"{progress.rate:.1f} frames/s" if progress.rate else ""
            bar.update(tasks[progress.step], completed=progress.done, total=progress.total or None, rate=rate)

        yield show


def _lines(summary: Summary) -> Iterator[str]:
    """Write the summary as lines of text."""
    if summary.skipped:
        yield f"finished before: {summary.out}; --redo does it once more"
        return
    tracks = f"{summary.tracks} face{'s' * (summary.tracks != 1)}"
    cuts = f"{summary.cuts} cut{'s' * (summary.cuts != 1)}"
    rate = summary.frames / summary.seconds
    spent = f"{summary.seconds:.1f} s, {rate:.1f} frames/s"
    yield f"{summary.frames} frames, {cuts}, {tracks}, {summary.edited} edited, {spent}"
    if summary.resumed:
        yield f"{summary.resumed} segments were finished before"
    yield from summary.notes
    for number, reason in list(summary.failed.items())[:NAMED]:
        yield f"frame {number} stays as it was: {reason}"
    if len(summary.failed) > NAMED:
        yield f"and {len(summary.failed) - NAMED} more frames: see {summary.record}"
    yield f"-> {summary.out}"
