"""Make the pictures of the README and of docs/, all of the public-domain photo of an astronaut.

python -m docs.pictures
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from benchmarks import video as benchmark
from docs import page_pictures
from ganchain import Pipeline
from ganchain.evaluate.spoilt import messenger, old_print
from ganchain.looks.files import bundled
from ganchain.sheets import sheet
from ganchain.sheets.grid import Grid
from ganchain.stage import Stage
from ganchain.stages.attributes import Attributes
from ganchain.stages.makeup import Makeup
from ganchain.stages.restore import Restore
from ganchain.stages.upscale import Upscale
from ganchain.stages.webtoon import Webtoon
from ganchain.tensors import Pixels
from ganchain.video.sources import source_of

HERE = Path(__file__).parent / "images"
Crop = tuple[float, float, float, float]
WHOLE, HEAD, FACE, EYES = (  # left, top, right, bottom: shares of the photo's sides
    (0.0, 0.0, 1.0, 1.0),
    (0.22, 0.0, 0.66, 0.44),
    (0.31, 0.11, 0.57, 0.37),
    (0.35, 0.15, 0.53, 0.33),
)
Cell = tuple[str, Pixels]
Sheet = list[list[Cell]]


def cut(pixels: Pixels, crop: Crop) -> Pixels:
    """The part of a picture that is shown."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = (round(share * side) for share, side in zip(crop, (width, height) * 2, strict=True))
    return pixels[top:bottom, left:right]


def edited(pixels: Pixels, *stages: Stage) -> Pixels:
    photo = Pipeline(list(stages))(pixels).photo
    assert photo is not None
    return photo.pixels


def cells(photo: Pixels, crop: Crop, edits: Sequence[tuple[str, Stage]]) -> list[Cell]:
    """The photo after each edit by itself."""
    return [(caption, cut(edited(photo, stage), crop)) for caption, stage in edits]


def portrait(photo: Pixels) -> Sheet:
    """The bundled chain, stage by stage."""
    steps = Pipeline.from_yaml("portrait", keep_steps=True)(photo).steps
    return [[("photo", cut(photo, HEAD)), *((name, cut(step.pixels, HEAD)) for name, step in steps)]]


def looks(photo: Pixels) -> Sheet:
    made = [("photo", cut(photo, FACE)), *cells(photo, FACE, [(name, Makeup(look=name)) for name in bundled()])]
    return [made[:4], made[4:8], made[8:]]


def transfer(photo: Pixels) -> Sheet:
    """A reference that is drawn on the photo's mirror image, and its makeup on the photo."""
    with tempfile.TemporaryDirectory() as folder:
        file, rows = Path(folder) / "reference.png", []
        for stage in (Makeup(look="berry"), Makeup(look="smoky", eyes="#1c50c0", lips="#d86058", cheeks="#e07030")):
            reference = np.ascontiguousarray(edited(photo, stage)[:, ::-1])
            Image.fromarray(reference).save(file)
            mirrored = cut(reference, (1 - FACE[2], FACE[1], 1 - FACE[0], FACE[3]))
            rows.append([("a reference", mirrored), *cells(photo, FACE, [("its makeup", Makeup(reference=file))])])
    return [[("photo", cut(photo, FACE)), *rows[0], *rows[1]]]


def colours(photo: Pixels) -> Sheet:
    """What the options of makeup do, and a look taken from a reference."""
    asked = [
        ('lips: "#7a1f5c"', Makeup(lips="#7a1f5c", eyes=0, cheeks=0)),
        ("eyes: teal", Makeup(eyes="teal", lips=0.5)),
        ('cheeks: "#d04860"', Makeup(cheeks="#d04860", lips=0.5)),
        ("look: evening, lips: 0", Makeup(look="evening", lips=0)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        reference, file = np.ascontiguousarray(edited(photo, Makeup(look="coral"))[:, ::-1]), Path(folder) / "coral.png"
        Image.fromarray(reference).save(file)
        taken = cells(photo, FACE, [("its makeup", Makeup(reference=file))])
    mirrored = cut(reference, (1 - FACE[2], FACE[1], 1 - FACE[0], FACE[3]))
    shares = [(f"evening, strength: {share:g}", Makeup(look="evening", strength=share)) for share in (0.5, 1)]
    return [cells(photo, FACE, asked), [("a reference", mirrored), *taken, *cells(photo, FACE, shares)]]


def attributes(photo: Pixels) -> Sheet:
    two = {"roots": "brown", "ends": "platinum"}
    dyes: list[tuple[str, str | dict[str, str]]] = [(f"hair: {name}", name) for name in ("black", "auburn", "blond")]
    dyes += [(f"hair: {name}", name) for name in ("platinum", "pink", "blue")] + [("brown roots, platinum ends", two)]
    first = [(caption, Attributes(hair=hair)) for caption, hair in dyes]
    years = [(f"age: {age}", Attributes(age=age)) for age in (-30, 12, 25, 40)]
    genders = [(f"gender: {gender}", Attributes(gender=gender)) for gender in ("female", "male")]
    beards = [(f"beard: {beard}", Attributes(beard=beard)) for beard in ("short", "full")]
    rows = [cells(photo, HEAD, part) for part in (first[:3], first[3:], years, [*genders, *beards])]
    return [[("photo", cut(photo, HEAD)), *rows[0]], *rows[1:]]


def webtoon(photo: Pixels) -> Sheet:
    """The looks of the drawing, and the network's."""
    asked = [(f"look: {look}", Webtoon(look=look, scope="photo")) for look in ("webtoon", "ink", "line", "filter")]  # type: ignore[arg-type]
    return [[("photo", cut(photo, HEAD)), *cells(photo, HEAD, asked)]]


def drawing(photo: Pixels) -> Sheet:
    """Draw each option of the drawing."""
    rows: list[list[dict[str, object]]] = [
        [{"likeness": 0}, {"likeness": 0.5}, {"likeness": 1}, {"tones": 2}],
        [{"eyes": 0}, {"eyes": 1}, {"line": 0}, {"line": 2}],
        [{"blush": 0}, {"blush": 1}, {"background": "keep"}, {"background": "#ffe9c8"}],
    ]
    return [
        cells(photo, HEAD, [(shown(options), Webtoon(scope="photo", **options)) for options in row])  # type: ignore[arg-type]
        for row in rows
    ]


def shown(options: dict[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in options.items())


def scopes(photo: Pixels) -> Sheet:
    """The whole photo, drawn by face and as a whole."""
    asked: list[tuple[str, Stage]] = [
        ("scope: face", Webtoon()),
        ("scope: photo", Webtoon(scope="photo")),
        ("the same, look: ink", Webtoon(scope="photo", look="ink")),
    ]
    return [[("photo", photo), *cells(photo, WHOLE, asked)]]


def upscale(photo: Pixels) -> Sheet:
    """Half of the photo, and a quarter of it, enlarged again to its size."""
    rows = []
    for factor, name in ((2, "half of the photo"), (4, "a quarter of it")):
        size = (photo.shape[1] // factor, photo.shape[0] // factor)
        small = Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)
        row = [(name, np.asarray(small.resize((512, 512), Image.Resampling.NEAREST)))]
        asked = [("strength: 0 (bicubic)", Upscale(factor=factor, strength=0))]
        asked += [(f"detail: {detail:g}", Upscale(factor=factor, detail=detail)) for detail in (0, 0.5, 1)]
        row += [(caption, edited(np.asarray(small), stage)) for caption, stage in asked]
        rows.append([(caption, cut(pixels, EYES)) for caption, pixels in row])
    return rows


def restore(photo: Pixels) -> Sheet:
    """The photo as a messenger and as an old print have it, enlarged as today and restored."""
    rows = []
    for name, spoil in (("sent twice", messenger), ("old print", old_print)):
        spoilt, clean, factor = spoil(photo, 1)
        row = [(name, np.asarray(Image.fromarray(spoilt).resize(photo.shape[1::-1], Image.Resampling.NEAREST)))]
        chains: list[tuple[str, list[Stage]]] = [
            ("restore: 0", [Upscale(factor=factor, restore=0.0)]),
            ("restore: auto", [Upscale(factor=factor)]),
            ("its face before", [Restore(), Upscale(factor=factor)]),
        ]
        row += [(caption, edited(spoilt, *stages)) for caption, stages in chains]
        rows.append([(caption, cut(pixels, FACE)) for caption, pixels in [*row, ("the photo", clean)]])
    return rows


def write(name: str, rows: Sheet, side: int) -> None:
    made = sheet.sheet(
        [[pixels for _, pixels in row] for row in rows],
        captions=[[caption for caption, _ in row] for row in rows],
        side=side,
    )
    save(name, made)


def save(name: str, made: Image.Image) -> None:
    made.save(HERE / f"{name}.jpg", quality=88)
    print(f"{name}.jpg: {made.width} x {made.height}, {(HERE / f'{name}.jpg').stat().st_size // 1000} kB")


def video() -> None:
    """Draw a slow move of the photo, and the same as a webtoon, side by side."""
    with tempfile.TemporaryDirectory() as folder:
        clip, drawn = (Path(folder) / name for name in ("clip.mp4", "drawn.mkv"))
        benchmark.drawn(clip, 60, (240, 240))
        Pipeline([Webtoon()]).video(clip, drawn, codec="ffv1")
        pairs = zip(*(source_of(path).frames() for path in (clip, drawn)), strict=True)
        frames = [Image.fromarray(np.hstack([frame.pixels for frame in pair])) for pair in pairs][::2]
        target = (HERE / "video").with_suffix(".webp")
        options = {"save_all": True, "append_images": [*frames[1:], *frames[-2:0:-1]], "quality": 70, "method": 6}
        frames[0].save(target, duration=66, loop=0, **options)
        print(f"{target.name}: {target.stat().st_size // 1000} kB")


def main() -> None:
    torch.set_num_threads(1)  # sums in one order on machines of any size
    HERE.mkdir(exist_ok=True)
    photo = np.asarray(skimage.data.astronaut())
    write("portrait", portrait(photo), 360)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.png"
        Image.fromarray(photo).save(file)
        save("grid", Grid.read("overview").draw([file], side=240))
    for name, rows, side in (
        ("makeup-looks", looks(photo), 240),
        ("makeup-transfer", transfer(photo), 240),
        ("makeup-options", colours(photo), 240),
        ("attributes", attributes(photo), 240),
        ("webtoon", webtoon(photo), 300),
        ("webtoon-options", drawing(photo), 240),
        ("webtoon-scopes", scopes(photo), 360),
        ("upscale", upscale(photo), 240),
        ("restore", restore(photo), 300),
    ):
        write(name, rows, side)
    video()
    try:
        save("page", page_pictures.page())
    except ImportError:
        print("page: as it was; its picture needs playwright (make test-web installs it)")


if __name__ == "__main__":
    main()
