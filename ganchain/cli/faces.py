"""``ganchain faces``: the faces of a photo, and what is read of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ganchain.cli.group import echo


@click.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the photo with numbered boxes.")
@click.option("--points", is_flag=True, help="Draw the 478 points of each face; with --json, print them.")
@click.option("--parts", is_flag=True, help="Colour hair, beard, skin, glasses and what covers the face.")
@click.option("--overwrite", is_flag=True, help="Replace another file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line a detection.")
def faces(photo: Path, out: Path | None, points: bool, parts: bool, overwrite: bool, as_json: bool) -> None:
    """Find the faces of PHOTO; their numbers are what `faces: [0, 2]` in a chain means.

    The points are those of MediaPipe's topology, in px of the photo. The parts are soft mattes: hair is drawn red,
    beard purple, skin green, glasses yellow, and what covers the face blue. The picture has no position in its
    metadata.
    """
    from ganchain.cli import describe
    from ganchain.faces.detect import DlibDetector, in_reading_order
    from ganchain.photos import images
    from ganchain.photos.protect import Protection

    protection = Protection([photo], overwrite=overwrite)
    if out is not None:
        images.format_of(out)
        protection.refuse_input(out)

    picture = images.read(photo)
    pixels = picture.visible()
    detected = in_reading_order(DlibDetector()(pixels))
    if points or parts:
        import torch

        from ganchain.pipeline.reader import FaceReader
        from ganchain.sheets.reading import draw_parts, draw_points

        reader = FaceReader(torch.device("cpu"))
        detected = [replace(face, reading=reader.of(pixels, face)) for face in detected]
        picture = draw_parts(picture, detected) if parts else picture
        picture = draw_points(picture, detected) if points else picture
    describe.faces(detected, as_json=as_json, points=points)
    if out is not None:
        images.write(describe.boxes(picture, detected), out, keep_location=False, permit=protection.permit)
        echo(f"-> {out}", err=as_json)
