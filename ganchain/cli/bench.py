"""The command ``ganchain bench``."""

from __future__ import annotations

from pathlib import Path

import click

from ganchain.cli.group import echo
from ganchain.cli.options import DEVICE


@click.command()
@click.argument("chain")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--engine", default="auto", show_default=True, help="What runs the networks: auto, torch, openvino ...")
@DEVICE
@click.option("--workers", type=click.IntRange(min=0), help="Processes of the batch; 0: none.  [default: one a core]")
@click.option("--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Timed runs over the photos.")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, allow_dash=True), help="Write the figures; - prints them."
)
def bench(
    chain: str, photos: tuple[Path, ...], engine: str, device: str, workers: int | None, repeat: int, file: Path | None
) -> None:
    """Measure what CHAIN costs on this machine, over PHOTOS (files or folders).

    Seconds a photo by step, one face by stage and engine, GFLOP/s beside those of a matrix product in the same run,
    photos a second in one process and as a batch, memory. The first run over the photos is not timed.
    """
    import json

    from ganchain.bench.report import measure
    from ganchain.bench.table import show
    from ganchain.errors import PhotoError
    from ganchain.photos.protect import Protection

    if file is not None:
        Protection(photos).refuse_input(file)
    report = measure(chain, photos, engine=engine, device=device, workers=workers, runs=repeat)
    line = json.dumps(report.to_json())
    if file == Path("-"):
        echo(line)
        return
    show(report)
    if file is not None:
        try:
            file.write_text(line + "\n", encoding="utf-8")
        except OSError as error:
            raise PhotoError(f"cannot be written: {error.strerror or error}", path=file) from error
