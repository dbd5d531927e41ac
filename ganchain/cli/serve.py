"""The command ``ganchain serve``."""

from __future__ import annotations

import click

from ganchain.cli.options import DEVICE, Number
from ganchain.web.limits import Limits


@click.command()
@click.pass_context
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--open", "show", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Also answer to this name, * to any; needed where the page is asked for by another name; repeatable.",
)
@DEVICE
@click.option("--engine", default="torch", show_default=True, help="As of ganchain run.")
@click.option("--max-upload", type=Number(min=0.1), default=Limits.upload / 1e6, show_default=True, metavar="MB")
@click.option(
    "--max-pixels", type=Number(min=0.1), default=Limits.pixels / 1e6, show_default=True, metavar="MEGAPIXELS"
)
@click.option(
    "--max-video", type=Number(min=0.1), default=Limits.video / 1e6, show_default=True, metavar="MB", help="Of a video."
)
@click.option(
    "--max-length",
    type=Number(min=0),
    default=Limits.length,
    show_default=True,
    metavar="SECONDS",
    help="That a video may last; 0 takes none.",
)
@click.option(
    "--timeout",
    type=Number(min=1),
    default=Limits.seconds,
    show_default=True,
    metavar="SECONDS",
    help="Of one job.",
)
@click.option(
    "--video-timeout",
    type=Number(min=1),
    default=Limits.video_seconds,
    show_default=True,
    metavar="SECONDS",
    help="Of the job of a video.",
)
@click.option(
    "--max-waiting", type=click.IntRange(min=1), default=Limits.waiting, show_default=True, help="Jobs in the queue."
)
@click.option(
    "--keep",
    type=Number(min=0.5),
    default=Limits.kept / 60,
    show_default=True,
    metavar="MINUTES",
    help="Photos and results are deleted when nobody has asked for them for so long.",
)
def serve(
    ctx: click.Context,
    host: str,
    port: int,
    show: bool,
    allow_host: tuple[str, ...],
    device: str,
    engine: str,
    max_upload: float,
    max_pixels: float,
    max_video: float,
    max_length: float,
    timeout: float,
    video_timeout: float,
    max_waiting: int,
    keep: float,
) -> None:
    """Serve the web page and the HTTP API (extra web), for this machine alone unless --host says otherwise.

    \b
    ganchain serve --open
    curl -F chain=portrait -F photo=@photo.jpg http://127.0.0.1:8000/run -o character.png

    Photos wait their turn in a queue, one runs at a time; short videos (extra video) in another. What is sent lies in a
    private folder, is deleted after a while, and goes nowhere else. There are no accounts: whoever can reach the
    address can use it. Ctrl-C ends it; the exit status is 0, or 130 if something was running.
    """
    from ganchain.errors import GanchainError

    try:
        from ganchain.web.server import serve as run
    except KeyboardInterrupt:  # these are seconds
        ctx.exit(130)
    except ImportError as error:
        raise GanchainError(f"the web page needs more packages ({error.name}): pip install 'ganchain[web]'") from error

    limits = Limits(
        upload=round(max_upload * 1e6),
        pixels=round(max_pixels * 1e6),
        video=round(max_video * 1e6),
        length=max_length,
        seconds=timeout,
        video_seconds=video_timeout,
        waiting=max_waiting,
        kept=keep * 60,
    )
    ctx.exit(run(host, port, limits, device=device, engine=engine, hosts=allow_host, show=show))
