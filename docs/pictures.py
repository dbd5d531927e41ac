"""Make the picture at the top of the README: the astronaut after each stage of the bundled chain.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import skimage.data
from PIL import Image, ImageDraw, ImageFont

from ganchain import Pipeline

SIDE, GAP, CAPTION = 360, 12, 40
CROP = (0.13, 0.02, 0.77, 0.66)  # of the photo's sides


def main() -> None:
    pipeline = Pipeline.from_yaml("portrait", keep_steps=True)
    source = Image.fromarray(skimage.data.astronaut())
    result = pipeline(source)
    shown = [("photo", source), *((name, Image.fromarray(photo.pixels)) for name, photo in result.steps)]
    sheet = Image.new("RGB", (len(shown) * (SIDE + GAP) + GAP, SIDE + CAPTION + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    for number, (name, image) in enumerate(shown):
        left, top, right, bottom = CROP
        box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        x = GAP + number * (SIDE + GAP)
        sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box), (x, GAP))
        draw.text((x + SIDE / 2, GAP + SIDE + CAPTION / 2), name, fill="black", font=font, anchor="mm")
    sheet.save(Path(__file__).with_name("portrait.jpg"), quality=90)


if __name__ == "__main__":
    main()
