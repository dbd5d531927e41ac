"""Descriptions of chains, stages, faces and weights, as printed text and as pictures."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Column, Table
from ruamel.yaml import YAML

from ganchain import chains
from ganchain.chains import registry
from ganchain.chains.json_schema import choices
from ganchain.checkpoints import manifest
from ganchain.checkpoints.catalogue import Published, published
from ganchain.checkpoints.entries import Entry
from ganchain.cli.group import echo
from ganchain.faces.face import Face
from ganchain.photos.photo import Photo
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stage import Stage

CHOSEN, LEFT_OUT = (0, 200, 90), (150, 150, 150)


def _console() -> Console:
    """Build a console as wide as the terminal; without a terminal, wide enough for whole names."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def chain(name: str | Path, license_policy: manifest.Policy | None = None) -> None:
    """Print a chain as it would run: every option, then sides, weights and licences of each stage."""
    described = chains.load(name)
    built = Pipeline.from_chain(described, license_policy=license_policy).stages
    echo(as_yaml(described), nl=False)
    table = Table("stage", "scope", "side", "output", "framing", "weights", "licence")
    for spec, stage in zip(described.stages, built, strict=True):
        licences = sorted({manifest.terms(ref)[0] for ref in stage.all_weights})
        side = "any" if stage.side is None else f"{stage.side} px"
        framing = "-" if stage.scope == "photo" or stage.effect == "enlarge" else f"{stage.framing.side:.2f} x"
        kind = {"enlarge": f"enlarges x{stage.scale}", "replace": "replaces", "change": "adds its change"}[stage.effect]
        table.add_row(spec.name, stage.scope, side, kind, framing, ", ".join(stage.all_weights), ", ".join(licences))
    _console().print(table)


def as_yaml(described: chains.Chain) -> str:
    """Write a checked chain as YAML, with all defaults."""
    plain = {
        "faces": described.faces,
        "stages": [
            {spec.name: {key: _plain(value) for key, value in spec.options.items()}} for spec in described.stages
        ],
        "output": described.output.model_dump(),
        "license_policy": described.license_policy,
    }
    yaml, text = YAML(), StringIO()
    yaml.width = 110
    yaml.dump(plain, text)
    return text.getvalue()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def stages(name: str | None) -> None:
    """Print all stages with their first lines, or one with its options."""
    console = _console()
    if name is None:
        table = Table("stage", "what it does")
        for stage, cls_or_error in registry.stages().items():
            if isinstance(cls_or_error, Exception):
                table.add_row(stage, str(cls_or_error))
            else:
                table.add_row(stage, (inspect.getdoc(cls_or_error) or "").partition("\n")[0])
        console.print(table)
        console.print("ganchain stages NAME explains one.")
        return
    cls = registry.stage(name)
    text = (inspect.getdoc(cls) or "").partition("Options:\n")[0].rstrip()
    console.print(text, markup=False, highlight=False)
    console.print(_options(name, cls))


def _options(name: str, cls: type[Stage]) -> Table:
    table = Table("option", "values", "default", "meaning")
    properties = registry.options(cls).model_json_schema().get("properties", {})
    meanings = registry.descriptions(cls)
    for option, by_weights in choices(name, cls).items():
        properties[option] = {**properties[option], "anyOf": [{"enum": by_weights.get("", [])}]}
    for option, shape in properties.items():
        default = "needed" if "default" not in shape else json.dumps(shape["default"]).strip('"')
        table.add_row(option, _values(shape), default, meanings.get(option, ""))
    return table


def _values(shape: dict[str, Any]) -> str:
    if "anyOf" in shape:
        return " or ".join(_values(part) for part in shape["anyOf"] if part.get("type") != "null")
    if "enum" in shape:
        return " | ".join(str(value) for value in shape["enum"])
    if "const" in shape:
        return str(shape["const"])
    if "minimum" in shape and "maximum" in shape:
        return f"{shape['minimum']:g} to {shape['maximum']:g}"
    if shape.get("type") == "object":
        return str(shape.get("description", "a mapping"))
    formats = {"path": "a file's path", "colour": "a colour", "weights": "a key or a file's path"}
    return formats.get(str(shape.get("format")), str(shape.get("type", "any")))


def faces(detected: Sequence[Face], *, as_json: bool, points: bool = False) -> None:
    """Print detections: number, box, score, and why a face is left out; in JSON also ``points``, where asked for."""
    table = Table("number", "left, top, right, bottom", "score", "left out, or turned")
    number = 0
    for face in detected:
        label = str(number) if face.left_out is None else "-"
        box = [round(edge) for edge in face.box]
        if as_json:
            echo(json.dumps({"number": None if face.left_out else number, **face.record(points=points)}))
        turned = f"the photo is turned by {face.turned} degrees" if face.turned else ""
        table.add_row(label, ", ".join(map(str, box)), f"{face.score:.2f}", face.left_out or turned)
        number += face.left_out is None
    if not as_json:
        _console().print(table if detected else "no face found")


def boxes(photo: Photo, detected: Sequence[Face]) -> Photo:
    """Draw a numbered box around each face; faces that are left out get a grey one with the reason."""
    image = Image.fromarray(photo.pixels)
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(photo.size) / 400))
    font = ImageFont.load_default(size=max(12, max(photo.size) / 45))
    number = 0
    for face in detected:
        colour = CHOSEN if face.left_out is None else LEFT_OUT
        label = face.left_out or f"{number}  ({face.score:.2f})"
        number += face.left_out is None
        draw.rectangle(face.box, outline=colour, width=width)
        left, top = face.box[0], face.box[1]
        size = draw.textbbox((0, 0), label, font=font)
        height = size[3] + 2 * width
        top = top - height if top >= height else top
        draw.rectangle((left, top, left + size[2] + 4 * width, top + height), fill=colour)
        draw.text((left + 2 * width, top + width), label, fill="white", font=font)
    return replace(photo, pixels=np.asarray(image))


def weights() -> None:
    """Print all weights: those that are bundled or imported, and those that can be fetched."""
    table = Table(Column("key", no_wrap=True), "network", "stage", "state", "commercial use", "licence")
    entries = manifest.entries()
    bundled = manifest.bundled()
    listed: dict[str, Entry | Published] = {key: entries[key] for key in [*bundled, *entries]}
    listed |= {key: checkpoint for key, checkpoint in published().items() if key not in entries}
    for key, entry in listed.items():
        state = "bundled" if key in bundled else "imported" if key in entries else "to be fetched"
        licence = f"{entry.licence}; {entry.note}" if entry.note else entry.licence
        takers = registry.takers(entry.architecture, entry.stage if isinstance(entry, Entry) else None)
        stages = ", ".join(dict.fromkeys(stage for stage, _ in takers))
        style = "" if key in entries else "dim"
        table.add_row(key, entry.architecture, stages, state, entry.commercial, licence, style=style)
    for key in sorted(set(manifest.all_keys()) - entries.keys()):
        table.add_row(key, "-", "-", "broken", "-", "import it again", style="red")
    _console().print(table)
