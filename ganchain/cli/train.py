"""The commands ``ganchain align`` and ``ganchain train``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganchain.cli.group import echo, print_failure, print_passed
from ganchain.errors import plain

if TYPE_CHECKING:
    from ganchain.photos.images import Format


@click.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of crops.")
@click.option(
    "--framing",
    default="tight",
    show_default=True,
    help="tight (the face), head (with the hair), celeba, ffhq or chip.",
)
@click.option("--side", type=click.IntRange(min=16), default=256, show_default=True, help="Of the crops in px.")
@click.option("--format", "format_", type=click.Choice(["png", "jpeg"]), default="png", show_default=True)
@click.option("--smallest", type=int, help="Leave out faces of fewer px across  [default: a third of side]")
@click.pass_context
def align(
    ctx: click.Context,
    photos: tuple[Path, ...],
    out: Path,
    framing: str,
    side: int,
    format_: Format,
    smallest: int | None,
) -> None:
    """Cut the faces out of PHOTOS (files or folders), aligned as the stages see them, to train on.

    The crops are called NAME-face0.png and so on; OUT/crops.csv says which photo each was made of, so that crops
    of another photo of the same name are never overwritten. A photo that cannot be read does not stop the
    others: it is named, and the exit status is 1.
    """
    from rich.progress import track

    from ganchain.photos import images
    from ganchain.photos.folders import Passed, expand
    from ganchain.train.crops import Crops

    crops = Crops(out, framing, side, images.suffix_of(format_), smallest)
    passed = Passed()
    sources = [path for path in expand(photos, passed=passed) if path in photos or not crops.holds(path)]
    print_passed(passed.lines())
    failed = 0
    for photo_crops in track(crops.make(sources), "aligning", len(sources), disable=not sys.stderr.isatty()):
        failed += photo_crops.error is not None
        if photo_crops.error is not None:
            print_failure(photo_crops.photo, photo_crops.error)
        elif not photo_crops.crops:
            echo(plain(f"{photo_crops.photo}: skipped: {'; '.join(photo_crops.left_out) or 'no face'}"))
        else:
            left_out = "".join(f"; {reason}" for reason in photo_crops.left_out)
            echo(plain(f"{photo_crops.photo}: -> {', '.join(map(str, photo_crops.crops))}{left_out}"))
    if failed:
        echo(f"{failed} of {len(sources)} photos failed", err=True)
        ctx.exit(1)


class Train(click.Command):
    """The command ``train``, whose help ends with a list of all recipes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from ganchain.train import recipes

        with formatter.section("Recipes"):
            formatter.write_dl(list(recipes.summaries().items()))


@click.command(cls=Train)
@click.argument("recipe")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of pictures.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the run  [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in OUT, to the same numbers.")
@click.option("--start", metavar="WEIGHTS", help="Begin from these (a key, or a file), not from random ones.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change an option of the recipe.")
@click.option("--seed", type=int, help="Of the first weights and all else that is random  [default: 0]")
@click.option("--every", type=click.IntRange(min=1), help="Steps between samples and checkpoints.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="CUDA_VISIBLE_DEVICES chooses the cards.")
@click.option("--devices", type=click.IntRange(min=1), help="On how many of them  [default: 1]")
@click.option("--precision", type=click.Choice(["bf16-mixed", "32-true"]))
@click.option("--threads", type=int, help="CPU threads  [default: all]")
def train(
    recipe: str, resume: bool, settings: tuple[str, ...], threads: int | None, **options: Path | int | str | None
) -> None:
    """Train the weights of RECIPE: a recipe's name, module:Class of your own, or a YAML file.

    \b
    recipe: webtoon
    data: faces/
    options: {steps: 2000, batch: 8}
    out: runs/mine

    Options of the command line replace those of the YAML. DATA is a folder of crops that `ganchain align` made; or it
    holds folders of aligned faces: faces256 (framing tight), wide256 (framing head) and photos_cc0 (whole photos),
    where labels.csv says who is in which split.

    OUT gets the weights (RECIPE.safetensors, for `weights:` in a chain), samples to look at (sample-STEP.png),
    losses and figures (log.jsonl), recipe.yaml, and the checkpoint (state.pt).
    """
    from ganchain.train import runs

    run = runs.plan(recipe, options, settings, resume=resume)
    is_first_process = os.environ.get("LOCAL_RANK", "0") == "0"  # only this one prints
    if is_first_process:
        echo(f"{run.recipe} learns from {run.data}; what it needs of the pictures is made first")
    weights = run.go(threads=threads, resume=resume)
    if is_first_process:
        echo(f"-> {weights}")
