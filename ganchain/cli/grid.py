"""The command ``ganchain grid``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganchain.cli.group import echo, print_failure, print_passed
from ganchain.cli.options import DEVICE, LICENSE_POLICY, SIDE, sheet_option
from ganchain.errors import plain

if TYPE_CHECKING:
    from ganchain.sheets.grid import Grid
    from ganchain.sheets.grid_settings import Setting
    from ganchain.sheets.people import Pages


@click.command()
@click.argument("photos", nargs=-1, type=click.Path(path_type=Path), metavar="[GRID] [PHOTOS]...")
@sheet_option("grid.png")
@click.option("--vary", multiple=True, metavar="STAGE.OPTION=A,B", help="Columns: one a value; repeatable.")
@click.option("--by", multiple=True, metavar="STAGE.OPTION=A,B", help="Rows: one a value; repeatable.")
@click.option(
    "--references",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Columns: the makeup of these photos (files or folders; repeatable).",
)
@click.option("--strengths", metavar="0,0.5,1", help="Columns: these strengths; what is varied is then in the rows.")
@click.option(
    "--chain", help="The chain that is changed (a YAML file or a bundled one).  [default: only what is named]"
)
@SIDE
@DEVICE
@click.option("--overwrite", is_flag=True, help="Also replace files that were not made with this grid.")
@LICENSE_POLICY
@click.pass_context
def grid(
    ctx: click.Context,
    /,
    photos: tuple[Path, ...],
    out: Path,
    side: int | None,
    device: str,
    license_policy: str | None,
    overwrite: bool,
    **arguments: Any,
) -> None:
    """Draw PHOTOS (files or folders) under many settings, side by side: a row a face, a column a setting.

    \b
    ganchain grid photo.jpg                                     hair colours, gender, age, webtoon
    ganchain grid photo.jpg --vary makeup.look=rose,smoky --vary webtoon
    ganchain grid a.jpg b.jpg --references looks/ -o makeup.png references above, photos at the left
    ganchain grid photo.jpg --vary makeup.look=rose,smoky --strengths 0,0.5,1
    ganchain grid photo.jpg --vary webtoon.look=colour,ink --by attributes.hair=black,blond
    ganchain grid photo.jpg --chain my.yaml --vary attributes.age=young,old -o grid.html
    ganchain grid my-grid.yaml photo.jpg                        the same from a file

    GRID is a YAML file, or the name of a bundled grid (overview, strengths):

    \b
    chain: my.yaml            # if left out, the stages that are named below, alone
    vary:
      - attributes.hair: [black, blond]
      - webtoon: {look: ink, scope: photo}
    by: {makeup.look: [natural, evening]}
    photos: [a.jpg, b.jpg]    # or on the command line

    Faces are found once a photo. Many rows go over several files (grid-2.png). A photo that cannot be read does not
    stop the others: it is named, and the exit status is 1.
    """
    from ganchain.errors import ChainError
    from ganchain.photos.folders import Passed, expand
    from ganchain.photos.protect import Protection
    from ganchain.sheets.grid import DEFAULT, Grid
    from ganchain.sheets.people import Pages

    name, photos = _split_grid(photos)
    options = _options(arguments)
    if name and options:
        reason = f"the grid's file says what is varied; leave --{next(iter(options))} out"
        raise ChainError(reason, file=name)
    limits: dict[str, Any] = {"device": device, "license_policy": license_policy}
    settings = Grid.of(**options, **limits) if options else Grid.read(name or DEFAULT, **limits)
    passed = Passed()
    sources: Sequence[Path] = expand(photos, settings.source, passed) or settings.photos
    print_passed(passed.lines())
    if not sources:
        raise click.UsageError("Missing argument 'PHOTOS...'.")
    shown = [*sources, *settings.references]
    protection = Protection([*shown, *settings.reads], settings.source, overwrite=overwrite)
    pages = Pages(out, settings.captions, title=settings.source, sources=shown, protection=protection, side=side)
    failed = _draw(settings, sources, pages)
    if failed:
        echo(f"{failed} of {len(sources)} photos failed", err=True)
        ctx.exit(1)


def _draw(grid: Grid, sources: Sequence[Path], pages: Pages) -> int:
    """Write the pages, and return the number of photos that failed."""
    grid.prepare()
    pages.rim = grid.rim(pages.side)
    failed = 0
    for source in sources:
        try:
            rows = grid.cells(source, pages.side, pages.names[source])
        except Exception as error:  # one photo must not cost the others
            failed += 1
            print_failure(source, error)
            continue
        pages.add(rows)
        echo(plain(f"{source}: {len(rows)} row{'s' * (len(rows) != 1)} of {len(grid.columns)} settings"))
    for path in pages.close():
        echo(f"-> {path}")
    return failed


def _split_grid(photos: tuple[Path, ...]) -> tuple[str | None, tuple[Path, ...]]:
    """Split the arguments into the grid's name, None if the first argument is a photo, and the photos."""
    from ganchain import chains
    from ganchain.errors import ChainError
    from ganchain.sheets import grid_file

    first = str(photos[0]) if photos else ""
    if first in chains.bundled() and not photos[0].exists():
        raise ChainError(f"a chain, not a photo; to change it: ganchain grid PHOTO --chain {first}", file=first)
    is_grid = first.lower().endswith((".yaml", ".yml")) or (first in grid_file.bundled() and not photos[0].exists())
    return (first, photos[1:]) if is_grid else (None, photos)


def _options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Turn the options of the command line into arguments of ``Grid.of``; options that were not used are left out."""
    from ganchain.chains.document import Place
    from ganchain.sheets import grid_settings

    options = {name: value for name, value in arguments.items() if value}
    for axis in ("vary", "by"):
        if axis in options:
            texts = options[axis]
            options[axis] = grid_settings.limited(setting for text in texts for setting in _settings(f"--{axis}", text))
    if "strengths" in options:
        place = Place(f"--strengths {options['strengths']}")
        options["strengths"] = grid_settings.strengths(place, options["strengths"].split(","))
    return options


def _settings(option: str, text: str) -> Iterable[Setting]:
    from ganchain.chains.document import Place
    from ganchain.sheets import grid_settings

    key, equals, values = text.partition("=")
    place = Place(f"{option} {text}")
    parsed = [_value(value) for value in values.split(",")] if equals else None
    return grid_settings.settings(place, key.strip(), parsed)


def _value(text: str) -> str | float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text.strip()
