"""The commands ``ganchain weights …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganchain.cli.group import Group, echo
from ganchain.errors import WeightsError, text_of

if TYPE_CHECKING:
    from ganchain.checkpoints.entries import Entry


@click.group(cls=Group)
def weights() -> None:
    """List weights; fetch or import published checkpoints.

    \b
    ganchain weights list
    ganchain weights fetch animegan2-face-paint-v2
    ganchain weights import 200000-G.ckpt 200000-D.ckpt --as stargan-celeba-256
    ganchain weights verify

    A key, or a file's path, stands in a chain as `weights: KEY`; the weights decide the network. Imported
    weights lie in the user's cache, or in $GANCHAIN_CACHE.
    """


@weights.command("list")
def list_weights() -> None:
    """List what is bundled, what is imported and what can be fetched, with licences."""
    from ganchain.cli import describe

    describe.weights()


@weights.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option(
    "--offline", is_flag=True, envvar="GANCHAIN_OFFLINE", help="Open no connection (also: GANCHAIN_OFFLINE=1)."
)
@click.pass_context
def fetch(ctx: click.Context, keys: tuple[str, ...], offline: bool) -> None:
    """Download the published checkpoints KEY from their own sites, check them, and import them.

    A download that was interrupted begins again; a half file is never used. Where no digest is published, that of
    the downloaded file is recorded. Whether you may use a checkpoint is between you and its authors: the licence is
    printed.
    """
    from ganchain.checkpoints import manifest
    from ganchain.checkpoints.fetch import fetch as download

    failed = 0
    for key in keys:
        try:
            if key in manifest.bundled():
                echo(f"{key}: bundled, nothing to fetch")
            else:
                _report(key, download(key, offline=offline, progress=Bar))
        except WeightsError as error:
            failed += 1
            echo(f"{key}: {text_of(error, beside=key)}", fg="red", err=True)
    if failed:
        echo(f"{failed} of {len(keys)} not fetched", err=True)
        ctx.exit(1)


def _report(key: str, entry: Entry) -> None:
    from ganchain.chains import registry

    side = f", {entry.side} px" if entry.side else ""
    licence = f"{entry.licence}; {entry.note}" if entry.note else entry.licence
    echo(f"{key}: {entry.architecture}{side}; licence: {licence}; commercial use: {entry.commercial}")
    for stage, option in registry.takers(entry.architecture, entry.stage):
        echo(f"in a chain: {stage}: {{{option}: {key}}}")


@weights.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--as", "key", help="The key to use in chains  [default: the published one, else of the file's name]")
@click.option("--side", type=int, help="Side in px of the training faces, where the file cannot tell.")
def import_files(files: tuple[Path, ...], key: str | None, side: int | None) -> None:
    """Import the FILEs of one checkpoint: they are recognised by their content and converted to safetensors.

    torch pickles (also zipped), HDF5, TensorFlow checkpoints (name the folder, or the .index file) and safetensors.
    No code in a file is run; a file that asks for it is refused. With --as KEY of a published checkpoint, the
    file must have its digest, where one is published.
    """
    from ganchain.checkpoints import importing

    _report(*importing.import_files(files, key, side))


@weights.command()
@click.argument("keys", nargs=-1, metavar="[KEY...]")
@click.pass_context
def verify(ctx: click.Context, keys: tuple[str, ...]) -> None:
    """Check that all weights (or KEY...) are unchanged since they were recorded; exit status 1 when one is not."""
    from ganchain.checkpoints import manifest

    problems = {key: manifest.problem(key) for key in keys or manifest.all_keys()}
    for key, problem in problems.items():
        echo(f"{key}: {problem or 'ok'}")
    if any(problems.values()):
        ctx.exit(1)


@weights.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def remove(keys: tuple[str, ...]) -> None:
    """Delete the imported weights KEY... from the cache."""
    from ganchain.checkpoints import importing

    for key in keys:
        importing.remove(key)
        echo(f"{key}: removed")


class Bar:
    """A progress bar with the methods that pooch calls."""

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        self.total = 0
        self.progress = Progress("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.task = self.progress.add_task(name, total=None)
        self.progress.start()

    def update(self, count: int) -> None:
        self.progress.update(self.task, total=self.total or None, advance=count)

    def reset(self) -> None:
        self.progress.reset(self.task)

    def close(self) -> None:
        self.progress.stop()
