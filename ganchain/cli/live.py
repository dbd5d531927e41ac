"""The command ``ganchain live``."""

from __future__ import annotations

from pathlib import Path

import click

from ganchain.cli.options import DEVICE, Number


@click.command()
@click.argument("chain")
@click.option(
    "--camera",
    default="",
    metavar="NUMBER|FILE",
    help="Take the frames from a webcam of this machine (0 is the first), or from a video file, which is played in its "
    "own time, again and again; without it the browser's camera is taken.",
)
@click.option("--rate", type=Number(min=1, max=60), default=10, show_default=True, help="Frames a second to hold.")
@click.option(
    "--side",
    type=click.IntRange(240, 1280),
    default=640,
    show_default=True,
    metavar="PX",
    help="Longest side of a frame; where the rate is not held, it becomes smaller by itself.",
)
@click.option(
    "--steady",
    type=Number(min=0, max=1),
    default=0.8,
    show_default=True,
    help="How still edits are held, as of ganchain video.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@DEVICE
@click.option("--engine", default="torch", show_default=True, help="As of ganchain run.")
@click.pass_context
def live(
    ctx: click.Context,
    chain: str,
    camera: str,
    rate: float,
    side: int,
    steady: float,
    port: int,
    show: bool,
    device: str,
    engine: str,
) -> None:
    """Show what CHAIN (a YAML file, or the name of a bundled chain) makes of a camera, in a page of this machine's own.

    \b
    ganchain live retouch --open
    ganchain live my.yaml --camera 0
    ganchain live webtoon --camera clip.mp4 --rate 5

    The page (extra web) asks for the browser's camera, sends its frames to this process and shows each as it comes
    back, with the time that took. Faces are tracked and edits held still as in a video. Only the newest frame is
    edited; where the chain is too slow for --rate, frames become smaller. A click takes a photo, which the browser
    saves. Frames go no further than this machine, and are not stored. A chain that enlarges is refused: leave the
    stage upscale out.

    Ctrl-C ends it. Exit status: 0, or 2 if the chain, the camera or the port cannot be used.
    """
    from ganchain import chains
    from ganchain.errors import GanchainError

    loaded = chains.load(chain)
    try:
        from ganchain.web.limits import Limits
        from ganchain.web.live_seats import Live
        from ganchain.web.server import serve
    except KeyboardInterrupt:  # these are seconds
        ctx.exit(130)
    except ImportError as error:
        raise GanchainError(f"the page needs more packages ({error.name}): pip install 'ganchain[web]'") from error

    name = camera if camera.isdecimal() or not camera else str(Path(camera).expanduser().absolute())
    settings = Live(loaded, name, rate, side, steady)
    ctx.exit(serve("127.0.0.1", port, Limits(), device=device, engine=engine, show=show, live=settings))
