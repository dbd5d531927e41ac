"""The command ``ganchain show``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ganchain.cli.group import echo
from ganchain.errors import plain, traceback_of


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

    status = 0
    for file in files:
        try:
            record = _read(file)
        except Exception as error:  # one file must not cost the others
            echo(plain(str(error)), fg="red", err=True)
            echo(traceback_of(error), nl=False, err=True)
            status = 2
            continue
        status = max(status, int(not record["marked"]))
        echo(json.dumps(record) if as_json else _as_text(record))
    ctx.exit(status)


def _read(file: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from ganchain.photos import credentials, images
    from ganchain.photos.marks import Provenance

    format_, size, packet = images.header(file)
    mark, signed = Provenance.of(packet), credentials.read(file)
    header: dict[str, Any] = {"file": str(file), "format": format_, "size": list(size), "marked": mark.marked}
    return {**header, **asdict(mark), "c2pa": asdict(signed) if signed else None}


def _as_text(record: dict[str, Any]) -> str:
    width, height = record["size"]
    lines = [f"{plain(record['file'])}: {record['format']}, {width} x {height} px"]
    if record["marked"]:
        verb = "made" if record["source_type"] == "trainedAlgorithmicMedia" else "edited"
        lines.append(f"marked: {verb} with a trained network ({record['source_type']})")
    else:
        lines.append("not marked: nothing in it says that a network edited it; marks can get lost")
        lines += [f"source type: {record['source_type']}"] if record["source_type"] else []
    fields = {"software": record["software"], "chain": record["chain"], "chain hash": record["chain_hash"]}
    fields["stages"] = " → ".join(record["stages"])
    lines += [f"{name}: {value}" for name, value in fields.items() if value]
    return "\n  ".join([*lines, f"Content Credentials: {_credentials(record['c2pa'])}"])


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
