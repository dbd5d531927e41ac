"""The command ``ganchain batch``."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import click

from ganchain.batch.options import Options
from ganchain.batch.signals import Signals
from ganchain.cli.group import echo
from ganchain.cli.options import DEVICE, LICENSE_POLICY, timeout_option


@click.command()
@click.argument("chain")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IN...")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The output folder.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only photos whose path below IN matches; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No photos, or folders, that match; repeatable.")
@click.option(
    "--name",
    default=Options.name,
    show_default=True,
    metavar="TEMPLATE",
    help="Names of the outputs: {stem}, {name} (with suffix), {parent} (folder), {chain}, {ext}; / makes folders.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes  [default: one a core, as memory allows]")
@DEVICE
@click.option(
    "--engine",
    default=Options.engine,
    show_default=True,
    metavar="ENGINE",
    help="As of ganchain run: torch is the reference, auto takes the fastest that agrees with it.",
)
@timeout_option(Options.timeout, "A photo that takes longer is given up; a frame of a video stays as it is.")
@click.option(
    "--ray",
    is_flag=False,
    flag_value="auto",
    metavar="[ADDRESS]",
    help="Work on this Ray cluster (extra ray); auto: the one this machine is part of, local: this machine.",
)
@click.option("--points", is_flag=True, help="Record the 478 points of each face (MediaPipe's topology), in px.")
@click.option("--identity", is_flag=True, help="Record how far each face moves in dlib's embedding (extra evaluate).")
@click.option(
    "--accept-damaged", is_flag=True, help="Edit photos whose file is damaged, too, as far as they can be read."
)
@click.option("--overwrite", is_flag=True, help="Also replace files in OUT that neither a batch nor this chain made.")
@click.option(
    "--redo", is_flag=True, help="Do again what is finished; each output is replaced when the new one is there."
)
@LICENSE_POLICY
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.pass_context
def batch(
    ctx: click.Context, /, chain: str, inputs: tuple[Path, ...], out: Path, dry_run: bool, **options: object
) -> None:
    """Run CHAIN (a YAML file, or the name of a bundled chain) over all photos and videos in IN (folders, files).

    \b
    ganchain batch portrait photos/ -o characters/
    ganchain batch my.yaml a/ b/ -o out/ --exclude drafts --exclude '*-old.*'
    ganchain batch my.yaml photos/ -o out/ --include '2024/**/*.jpg' -n
    ganchain batch my.yaml photos/ -o out/ --name '{chain}/{stem}.{ext}' > log.jsonl

    The tree of a folder is mirrored in OUT; several folders lie there under their names. Photos of the same name
    (a.jpg, a.png) get outputs of different names, the same ones each time.

    Every photo ends as ok, no_face, skipped (done by an earlier batch) or failed, and OUT/ganchain-batch.jsonl has a
    line about each. What happens to one does not stop the others. Ctrl-C lets the running photos end, a second one
    does not. After that, a power cut or a full disk the same command does only what is missing; a failed photo is
    tried again; a photo, chain or weights that changed are done anew.

    Videos and pictures that move (extra `video`) are edited as by ganchain video, after the photos; an output has the
    container of its input. --exclude '*.mov' leaves some out.

    With --ray the photos and OUT must lie under the same paths on all machines, and ganchain be installed there.

    Off a terminal there is one JSON line a photo on standard output. Exit status: 0 all fine, 1 some failed, 2
    nothing was begun because the command was wrong, 130 interrupted.
    """
    if dry_run:
        _print_plan(chain, inputs, out, Options(**options))  # type: ignore[arg-type]
        return
    signals = Signals()
    with signals.caught():  # before the imports, which take seconds
        ctx.exit(_run(chain, inputs, out, Options(**options), signals))  # type: ignore[arg-type]


def _run(chain: str, inputs: tuple[Path, ...], out: Path, options: Options, signals: Signals) -> int:
    """Run the batch, and print its records and its summary; returns the exit status."""
    import json

    from ganchain.batch import display
    from ganchain.batch.run import batch as run

    on_terminal = sys.stdout.isatty()
    with display.bar() if on_terminal else display.lines() as shown:
        summary = run(chain, inputs, out, options, shown.on_record, shown.on_found, signals, shown.on_progress)
    with suppress(OSError):  # a pipe or a terminal that is gone
        if not on_terminal:
            echo(json.dumps({"summary": display.summary_fields(summary)}))
    with suppress(OSError):
        for line in display.summary_lines(summary):
            echo(line, err=True)
    return summary.exit_code


def _print_plan(chain: str, inputs: tuple[Path, ...], out: Path, options: Options) -> None:
    from ganchain.batch.display import NAMED, damaged_line
    from ganchain.batch.journal import Journal
    from ganchain.batch.plan import finished, plan
    from ganchain.errors import plain

    record = Journal(out)
    planned = plan(chain, inputs, out, record, options)
    todo = [item for item, done in finished(planned, record, out, redo=options.redo) if not done]
    for item in todo[:NAMED]:
        echo(plain(f"{item.source} -> {out / item.target}"))
    if len(todo) > NAMED:
        echo(f"and {len(todo) - NAMED} more")
    twice, unreadable = len(planned.inputs.twice), planned.inputs.unreadable
    for folder, reason in unreadable.items():
        echo(plain(f"{folder}: {reason}"))
    for line in planned.inputs.passed.lines():
        echo(line)
    if record.damaged:
        echo(damaged_line(record.damaged))
    for note in planned.notes:
        echo(note)
    done = planned.total - len(todo) - len(unreadable) - twice
    videos = sum(bool(item.video) for item in todo)
    counted = f"{len(todo)} to do" + (f" ({videos} of them video{'s' * (videos > 1)})" if videos else "")
    echo(f"{planned.total} inputs: {counted}, {done} done", nl=False)
    echo(f", {twice} of them the same file as another" if twice else "")
