"""The command ``ganchain evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from ganchain.cli.group import echo


def _pairs(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {pair.partition("=")[0]: pair.partition("=")[2] for pair in values}
    if not all(pairs.values()):
        raise click.BadParameter("write KEY=WEIGHTS, as in webtoon=runs/webtoon/webtoon.safetensors")
    return pairs


@click.command()
@click.argument("keys", nargs=-1)
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option(
    "--against",
    multiple=True,
    callback=_pairs,
    metavar="KEY=WEIGHTS",
    help="Other weights (a key or a file) beside the bundled ones of KEY.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures as JSON.")
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Write a contact sheet (PNG, JPEG).")
@click.option("--rows", type=click.IntRange(min=1), default=6, show_default=True, help="Faces of the sheet.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many pictures of the test split.")
@click.option("--threads", type=int, help="CPU threads  [default: all]")
@click.option("--overwrite", is_flag=True, help="Replace another file that is there.")
def evaluate(
    keys: tuple[str, ...],
    data: Path,
    against: dict[str, str],
    out: Path | None,
    sheet: Path | None,
    rows: int,
    limit: int | None,
    threads: int | None,
    overwrite: bool,
) -> None:
    """Measure KEYS (all by default) on the test split of DATA: bundled weights, and the edits makeup and hair.

    \b
    ganchain evaluate --data DATA --sheet sheet.png
    ganchain evaluate webtoon --data faces/ --against webtoon=runs/webtoon/webtoon.safetensors

    DATA is laid out as for `ganchain train`; makeup and hair need the labels of points and parts beside it. A table
    for each key is printed, with the wanted and the measured figures (where they differ, the model card weights/KEY.md
    says why), then one line of JSON. The sheet shows faces through the edits of KEYS: source, makeup, attributes,
    webtoon, upscale. Keys for which DATA has no pictures or labels are left out, with a note.
    """
    import torch

    from ganchain import files
    from ganchain.errors import PhotoError
    from ganchain.evaluate import report
    from ganchain.photos import images
    from ganchain.photos.protect import Protection

    protection = Protection([Path(weights) for weights in against.values()], overwrite=overwrite)
    for path in filter(None, (out, sheet)):
        if path.resolve().is_relative_to(data.resolve()):
            raise PhotoError("lies among the data, which is only read; give another name", path=path)
        protection.refuse(path)
    if threads:
        torch.set_num_threads(threads)
    line = report.line(report.run(data, keys, against=against, limit=limit))
    echo(line)
    if out is not None:
        try:
            files.write(out, line + "\n", protection.permit)
        except OSError as error:
            raise PhotoError(f"cannot be written: {error.strerror or error}", path=out) from error
    if sheet is not None:
        images.write(images.read(report.contact(data, keys, against, rows)), sheet, permit=protection.permit)
        echo(f"-> {sheet}")
