"""Make the pictures of the README, of the astronaut: the bundled chain stage by stage, and a sheet of single edits.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from ganchain import Pipeline, sheet
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels

CROP = (0.22, 0.0, 0.66, 0.44)  # left, top, right, bottom: shares of the photo's sides
EDITS: list[list[tuple[str, list[Stage]]]] = [
    [
        ("makeup: rose", [Makeup(look="rose")]),
        ("makeup: evening", [Makeup(look="evening")]),
        ("makeup: smoky", [Makeup(look="smoky")]),
        ('makeup: lips "#7a1f5c"', [Makeup(lips="#7a1f5c", eyes="#503060")]),
    ],
    [
        ("attributes: black hair", [Attributes(hair="black")]),
        ("attributes: blond hair", [Attributes(hair="blond")]),
        ("attributes: young", [Attributes(age="young")]),
        ("attributes: old", [Attributes(age="old")]),
        ("attributes: male", [Attributes(gender="male")]),
    ],
    [
        ("webtoon: colour", [Webtoon(scope="photo")]),
        ("webtoon: ink", [Webtoon(scope="photo", look="ink")]),
        ("a chain of three", [Makeup(look="smoky"), Attributes(hair="black"), Webtoon(scope="photo")]),
    ],
]


def head(pixels: Pixels) -> Pixels:
    """The part of the photo that is shown."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(share * side) for share, side in zip(CROP, (width, height) * 2, strict=True))
    return pixels[top:bottom, left:right]


def small(pixels: Pixels) -> Pixels:
    """A quarter of it."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // 4, image.height // 4), Image.Resampling.BICUBIC))


def edited(stages: list[Stage], pixels: Pixels) -> Pixels:
    photo = Pipeline(stages)(pixels).photo
    assert photo is not None
    return photo.pixels


def main() -> None:
    here, photo = Path(__file__).parent, np.asarray(skimage.data.astronaut())
    steps = Pipeline.from_yaml("portrait", keep_steps=True)(photo).steps
    chain = [("photo", photo), *((name, step.pixels) for name, step in steps)]
    names = [name for name, _ in chain]
    sheet.sheet([[head(pixels) for _, pixels in chain]], names, side=360).save(here / "portrait.jpg", quality=90)
    rows = [[(name, head(edited(stages, photo))) for name, stages in row] for row in EDITS]
    rows[0].insert(0, ("photo", head(photo)))
    rows[2] += [
        ("a quarter of the photo", np.asarray(Image.fromarray(small(head(photo))).resize((288, 288), 0))),
        ("upscale: factor 4", edited([Upscale(factor=4)], small(head(photo)))),
    ]
    pictures = [[pixels for _, pixels in row] for row in rows]
    captions = [[caption for caption, _ in row] for row in rows]
    sheet.sheet(pictures, captions=captions, side=288).save(here / "sheet.jpg", quality=90)


if __name__ == "__main__":
    main()
