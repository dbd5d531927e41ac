"""The command ``ganchain show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a file.")
@click.pass_context
def show(ctx: click.Context, /, files: tuple[Path, ...], as_json: bool) -> None:
    """Say what pictures say of their making: edited or not, by what, with which chain and stages.

    \b
    ganchain show character.png
    ganchain show --json out/*.png

    Read are the XMP metadata of any software and Content Credentials (C2PA; checked where the extra c2pa is
    installed). A picture without a mark may have lost it: many programs and services drop metadata.

    Exit status: 0 all are marked as made or edited by a trained network, 1 some are not, 2 a file cannot be read or
    the command was wrong.
    """
    import json

    from ganchain.errors import PhotoError

    status = 0
    for file in files:
        try:
            found = _found(file)
        except PhotoError as error:
            click.secho(str(error), fg="red", err=True)
            status = 2
            continue
        status = max(status, int(not found["marked"]))
        click.echo(json.dumps(found) if as_json else "\n".join(_told(found)))
    ctx.exit(status)


def _found(file: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from ganchain.photos import credentials, images
    from ganchain.photos.marks import Provenance

    format_, size, packet = images.header(file)
    said, signed = Provenance.of(packet), credentials.read(file)
    found: dict[str, Any] = {"file": str(file), "format": format_, "size": list(size), "marked": said.marked}
    return {**found, **asdict(said), "c2pa": asdict(signed) if signed else None}


def _told(found: dict[str, Any]) -> list[str]:
    width, height = found["size"]
    lines = [f"{found['file']}: {found['format']}, {width} x {height} px"]
    if found["marked"]:
        how = "made" if found["source_type"] == "trainedAlgorithmicMedia" else "edited"
        lines.append(f"marked: {how} with a trained network ({found['source_type']})")
    else:
        lines.append("not marked: nothing in it says that a network edited it; marks can get lost")
        lines += [f"source type: {found['source_type']}"] if found["source_type"] else []
    named = {"software": found["software"], "chain": found["chain"], "chain hash": found["chain_hash"]}
    named["stages"] = " → ".join(found["stages"])
    lines += [f"{name}: {value}" for name, value in named.items() if value]
    return ["\n  ".join([*lines, f"Content Credentials: {_credentials(found['c2pa'])}"])]


def _credentials(signed: dict[str, Any] | None) -> str:
    from ganchain.photos.credentials import EXTRA

    if signed is None:
        return "none"
    if signed["state"] == "unchecked":
        return f"there, not checked; for that: {EXTRA}"
    states = {
        "Trusted": "unchanged since it was signed, by a trusted signer",
        "Valid": "unchanged since it was signed; who signed is on no list of trust here",
    }
    by = f"signed by {signed['signer']!r}, " if signed["signer"] else ""
    actions = f" ({', '.join(signed['actions'])})" if signed["actions"] else ""
    return by + states.get(signed["state"], f"NOT valid: {', '.join(signed['reasons'])}") + actions
