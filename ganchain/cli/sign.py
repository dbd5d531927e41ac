"""The command ``ganchain sign``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ganchain.cli.group import echo

if TYPE_CHECKING:
    from ganchain.photos.credentials import Algorithm

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("picture", type=FILE)
@click.option("--original", type=FILE, required=True, help="The photo that PICTURE was made of.")
@click.option("--certificate", type=FILE, required=True, help="Your certificate and those above it, PEM.")
@click.option("--key", type=FILE, required=True, help="Its private key, PEM (PKCS #8), not encrypted.")
@click.option(
    "--algorithm",
    type=click.Choice(["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]),
    default="es256",
    show_default=True,
    help="What the key is for.",
)
@click.option("--timestamp", metavar="URL", help="Have a server (RFC 3161) attest the time; sends it a hash.")
@click.option("--overwrite", is_flag=True, help="Also replace a picture of another chain.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="[default: NAME-signed.SUFFIX]")
def sign(
    picture: Path,
    original: Path,
    certificate: Path,
    key: Path,
    algorithm: Algorithm,
    timestamp: str | None,
    overwrite: bool,
    out: Path | None,
) -> None:
    """Sign what the mark of PICTURE says, as Content Credentials (C2PA, extra c2pa), with your own certificate.

    \b
    ganchain run portrait photo.jpg -o character.png
    ganchain sign character.png --original photo.jpg --certificate chain.pem --key key.pem
    ganchain show character-signed.png

    The manifest says that the original was opened and edited, by which chain and stages, and that a trained network
    took part. Of the original it has the hash, and its own manifest where it has one; no thumbnail.
    """
    from ganchain.photos import credentials

    out = out or picture.with_name(f"{picture.stem}-signed{picture.suffix}")
    credentials.sign(
        picture,
        original,
        out,
        certificate=certificate,
        key=key,
        algorithm=algorithm,
        timestamp=timestamp,
        overwrite=overwrite,
    )
    echo(f"-> {out}")
