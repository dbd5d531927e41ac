"""The command ``ganchain looks``."""

from __future__ import annotations

from pathlib import Path

import click

from ganchain.cli.options import DEVICE, SIDE, sheet_option


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@sheet_option("looks.png")
@SIDE
@DEVICE
@click.option("--overwrite", is_flag=True, help="Also replace files that were not made by this command.")
@click.pass_context
def looks(
    ctx: click.Context, /, photos: tuple[Path, ...], out: Path, side: int | None, device: str, overwrite: bool
) -> None:
    """Draw PHOTOS (files or folders) in all makeup looks, side by side: a row a face.

    A look is a YAML file; `look: NAME` in a chain takes a bundled one, and `look: my.yaml` your own. Your own looks
    are drawn by `ganchain grid photo.jpg --vary makeup.look=my.yaml,rose`.
    """
    from ganchain.cli.grid import grid
    from ganchain.looks.files import bundled

    ctx.invoke(
        grid,
        photos=photos,
        out=out,
        side=side,
        device=device,
        overwrite=overwrite,
        vary=(f"makeup.look={','.join(bundled())}",),
    )
