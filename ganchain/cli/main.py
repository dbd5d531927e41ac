"""The command line: thin commands over the library, no logic of their own.

Heavy imports stand inside the commands, so that ``ganchain --help`` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganchain._version import VERSION
from ganchain.cli.batch import batch
from ganchain.cli.bench import bench
from ganchain.cli.evaluate import evaluate
from ganchain.cli.faces import faces
from ganchain.cli.grid import grid
from ganchain.cli.group import VERBOSE, Group, echo, print_failure, print_passed
from ganchain.cli.live import live
from ganchain.cli.looks import looks
from ganchain.cli.options import DEVICE, LICENSE_POLICY
from ganchain.cli.serve import serve
from ganchain.cli.show import show
from ganchain.cli.sign import sign
from ganchain.cli.train import align, train
from ganchain.cli.video import video
from ganchain.cli.weights import weights
from ganchain.errors import plain

if TYPE_CHECKING:
    from ganchain.checkpoints.manifest import Policy
    from ganchain.pipeline.outputs import Targets
    from ganchain.pipeline.result import Result
    from ganchain.sheets.people import Pages


@click.group(cls=Group, params=[VERBOSE], context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="ganchain")
def main() -> None:
    """Make a character of a photo: faces are found and aligned once, edited by a chain, and put back.

    \b
    ganchain run portrait photo.jpg          the bundled chain with all four stages
    ganchain run my.yaml photos/ -o out/     your own chain over a folder
    ganchain batch my.yaml photos/ -o out/   thousands of photos: all cores, resumed after whatever happens
    ganchain video webtoon clip.mp4 -o o.mp4 the same on video: faces tracked, edits held still
    ganchain live retouch --open             the same on your camera, at once
    ganchain bench my.yaml photos/           what the chain costs on this machine
    ganchain serve --open                    the same in a browser, and as an HTTP API
    ganchain grid photo.jpg -o grid.png      one photo under many settings, side by side
    ganchain looks photo.jpg                 one photo in all makeup looks
    ganchain show character.png              what a picture says of its making; `sign` signs it
    ganchain faces photo.jpg -o boxes.png    which faces there are, numbered
    ganchain stages makeup                   what a stage does and its options
    ganchain weights list                    bundled weights, and published ones to fetch or import
    ganchain align photos/ -o faces/         crops to train on
    ganchain train webtoon --data faces/     your own weights for a stage
    ganchain evaluate --data faces/          how good they are
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine threads that spin take seconds for ms


@main.command()
@click.argument("chain")
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A file for one photo, else a folder.")
@DEVICE
@click.option(
    "--engine",
    default="torch",
    show_default=True,
    help="How networks are run: torch (the reference), torch-half, torch-graph (CUDA), openvino, openvino-half (CPU); "
    "auto measures and takes the fastest that agrees with torch.",
)
@click.option(
    "--save-stages",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the photo after each stage.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw each face before and after each stage, a row a face: sheet.png, sheet.jpg, or sheet.html, a page "
    "with before/after sliders. Many rows go over several files.",
)
@LICENSE_POLICY
@click.option(
    "--accept-damaged", is_flag=True, help="Edit photos whose file is damaged, too, as far as they can be read."
)
@click.option("--overwrite", is_flag=True, help="Also replace files that were not made with this chain.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the chain with all its defaults and do nothing.")
@click.pass_context
def run(
    ctx: click.Context,
    chain: str,
    photos: tuple[Path, ...],
    out: Path | None,
    device: str,
    engine: str,
    save_stages: Path | None,
    sheet: Path | None,
    accept_damaged: bool,
    license_policy: Policy | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Run CHAIN (a YAML file, or the name of a bundled chain) over PHOTOS (files or folders).

    Without -o the results lie in the current folder as NAME-CHAIN.png. A photo that cannot be read does not
    stop the others: it is named, and the exit status is 1. In folders, what CHAIN has made before is passed over.
    No photo is ever overwritten, and another file only if CHAIN made it.
    """
    from ganchain.cli import describe
    from ganchain.photos.folders import Passed, expand
    from ganchain.photos.protect import Protection
    from ganchain.pipeline import outputs
    from ganchain.pipeline.pipeline import Pipeline
    from ganchain.sheets import people

    if dry_run:
        describe.chain(chain, license_policy)
        return
    if not photos:
        raise click.UsageError("Missing argument 'PHOTOS...'.")
    keep_steps = save_stages is not None or sheet is not None
    pipeline = Pipeline.from_yaml(
        chain,
        device=device,
        engine=engine,
        keep_steps=keep_steps,
        accept_damaged=accept_damaged,
        license_policy=license_policy,
    )
    name, passed = Path(chain).stem, Passed()
    sources = expand(photos, name, passed)
    print_passed(passed.lines())
    protection = Protection([*sources, *outputs.reads(pipeline.described)], name, overwrite=overwrite)
    targets = outputs.Targets(out, name, pipeline.output, alone=len(sources) == 1, protection=protection)
    pages = None if sheet is None else people.Pages.of(pipeline, sheet, sources, protection)
    pipeline.prepare()
    failed = 0
    for source, result in zip(sources, pipeline.run(sources), strict=True):
        _report(source, result, _write(source, result, targets, save_stages, pages))
        failed += result.status == "failed"
    for path in pages.close() if pages is not None else ():
        echo(f"-> {path}")
    if failed:
        echo(f"{failed} of {len(sources)} photos failed", err=True)
        ctx.exit(1)


def _write(
    source: Path, result: Result, targets: Targets, save_stages: Path | None, pages: Pages | None
) -> Sequence[Path]:
    """Write what was asked for of one photo; an error becomes its result, and costs the others nothing."""
    try:
        written = targets.write(source, result)
        if save_stages is not None:
            targets.write_steps(source, result, save_stages)
        if pages is not None:
            pages.take(source, result)
    except Exception as error:
        result.status, result.error = "failed", error
        return ()
    return written


def _report(source: Path, result: Result, written: Iterable[Path]) -> None:
    from ganchain.faces.detect import NOT_CHOSEN

    if result.status == "failed":
        assert result.error is not None
        print_failure(source, result.error)
        return
    edited = sum(face.left_out is None for face in result.faces)
    has_face = any(face.left_out == NOT_CHOSEN for face in result.faces)
    no_face = "no face chosen by faces, unchanged" if has_face else "no face, unchanged"
    outcome = no_face if result.status == "no_face" else f"{edited} face{'s' * (edited != 1)}"
    files = ", ".join(str(path) for path in written)
    for stage, rows in result.decided.items():
        outcome += "".join(f", {stage}: {name} {_numbers(row[name] for row in rows)}" for name in rows[0])
    echo(plain(f"{source}: {outcome}, {sum(result.seconds.values()):.1f} s -> {files}"))


def _numbers(values: Iterable[float]) -> str:
    """Write numbers from 0 to 1 in short, each once."""
    return " and ".join(dict.fromkeys(f"{value:.2g}" for value in values))


@main.command()
@click.argument("name", required=False)
def stages(name: str | None) -> None:
    """List the stages, or explain stage NAME with all its options.

    What is printed comes from the stages' own code, those of other installed packages included; every
    option can stand in a chain as it is called here.
    """
    from ganchain.cli import describe

    describe.stages(name)


@main.command()
def schema() -> None:
    """Print the JSON schema of a chain (for editors: yaml-language-server, forms)."""
    import json

    from ganchain import chains

    echo(json.dumps(chains.schema(), indent=2))


for command in (batch, video, live, bench, faces, grid, looks, show, sign, serve, align, train, evaluate, weights):
    main.add_command(command)
