"""Stage ``webtoon``: a face drawn as an illustrator would, or a network's tones and lines over a photo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.colour.makeup import colour
from ganchain.drawing.draw import Style
from ganchain.drawing.stage import Drawn, DrawnPhoto
from ganchain.drawing.tones import LOOKS, PLANES, SCALE, enlarge, layers, match_rim
from ganchain.errors import OptionError, refuse
from ganchain.framing import HEAD
from ganchain.nets.unet import UNet
from ganchain.published.drawings import KEEP, TRUNCATION, AnimeGANPainter, TextureSwapper
from ganchain.stage import Stage, WholePhoto

KEY, STYLES = "webtoon", "stylegan2-naverwebtoon"
Share = Annotated[float, Field(ge=0, le=1)]


def _ground(value: str) -> str:
    """Refuse a background that is neither a word of its own nor a colour."""
    if value not in ("keep", "simple", "none"):
        colour(value)
    return value


Background = Annotated[
    str,
    AfterValidator(_ground),
    WithJsonSchema({"anyOf": [{"enum": ["keep", "simple", "none"]}, {"type": "string", "format": "colour"}]}),
]


class Webtoon(Stage):
    """Draw the face, hair included, as a webtoon: flat tones, clean tapering lines, larger eyes.

    Networks read the face (its points, and mattes of hair, beard, skin and glasses), exact geometry draws it
    (``ganchain.drawing``), as sharp as the photo is large. The look "filter", and photos without a face, are drawn by a
    network that learned from ganchain's own teacher (``ganchain.train.teachers.webtoon``). No drawings by artists went
    into either.

    Options:
        look: webtoon (the default) in colour, ink in black and white with hatched shadows, line in lines alone;
            filter draws the network's tones and lines over the photo.
        scope: "face" draws the heads and leaves the rest of the photo alone, "photo" draws the whole photo as one
            picture; by default face.
        eyes: how large, 0 natural to 1 large (0.7).
        line: width of the lines, 1 is the usual one, 0 none.
        tones: of skin and hair, 2 or 3 (3).
        blush: on the cheeks, 0 none to 1 strong (0.5).
        background: simple (the default) flattens it and makes it a little lighter, keep leaves it as it is, none makes
            it transparent (with scope: photo; written as PNG or WebP); or a colour, "#fff4e0" (in quotes) or a name
            such as ivory.
        likeness: 0 few and even shadows and the style's proportions, 1 the person's own light, nose and brows (0.4).
        weights: other weights than the bundled ones: AnimeGAN2's, or those of a Swapping AutoEncoder.
        style: the picture whose style the Swapping AutoEncoder takes.
        seed: instead of a picture: StyleGAN2 makes one, another for each number.
        truncation: how far that picture may be from the mean one, 0 to 1 (0.7).
        keep: how many of the Swapping AutoEncoder's 8 blocks keep the photo's own texture (5).
        style_weights: StyleGAN2 weights that make the picture (stylegan2-naverwebtoon).
        strength: 1 is the drawing, 0 the photo.
    """

    side = 256
    multiple = 16
    framing = HEAD
    effect = "replace"
    scale = SCALE
    whole_photo = WholePhoto(768)
    order = 30
    variants = ("look",)
    networks = ("stylegan", "stylegan2", "animegan", "animegan2", "cartoon")
    architectures: ClassVar = {
        "weights": ("unet", "swapping-autoencoder", "animegan2"),
        "style_weights": ("stylegan2",),
    }

    @validate_call
    def __init__(
        self,
        *,
        look: Literal["webtoon", "ink", "line", "filter"] | None = None,
        scope: Literal["face", "photo"] | None = None,
        eyes: Share | None = None,
        line: Annotated[float, Field(ge=0, le=3)] | None = None,
        tones: Literal[2, 3] | None = None,
        blush: Share | None = None,
        background: Background | None = None,
        likeness: Share | None = None,
        weights: manifest.Ref = KEY,
        style: Path | None = None,
        seed: int | None = None,
        truncation: Annotated[float, Field(ge=0, le=1)] | None = None,
        keep: Annotated[int, Field(ge=0, le=8)] | None = None,
        style_weights: manifest.Ref | None = None,
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.look, self.strength, self.weights = look or "webtoon", strength, (weights,)
        self.scope = scope or "face"
        options: dict[str, object] = {"eyes": eyes, "line": line, "tones": tones, "blush": blush}
        options |= {"background": background, "likeness": likeness}
        others: dict[str, object] = {"style": style, "seed": seed, "truncation": truncation, "keep": keep}
        others |= {"style_weights": style_weights}
        if weights == KEY and look != "filter":
            refuse("a Swapping AutoEncoder takes it", **others)
            given = {name: value for name, value in options.items() if value is not None}
            drawn = Style(look=look or "webtoon", **given)  # type: ignore[arg-type]
            if self.scope == "face":
                if background == "none":
                    raise OptionError("'none' goes with scope: photo", option="background")
                self.weights, self.delegate = (), Drawn(drawn, strength)
            else:
                network = Webtoon(look="filter", scope="photo", strength=strength)
                network.look = "filter" if drawn.look == "webtoon" else "ink"
                self.delegate = DrawnPhoto(drawn, network, strength)
            return
        self._refuse_drawing(options, look)
        loaded = manifest.load(weights)
        registry.expect(loaded, Webtoon)
        if loaded.architecture != "unet":
            refuse("ganchain's own weights take it", look=look)
        if loaded.architecture == "swapping-autoencoder":
            self.delegate = self._texture_swapper(loaded, style, seed, truncation, keep, style_weights)
            return
        refuse("a Swapping AutoEncoder takes it", **others)
        if loaded.architecture == "unet":
            self.net = UNet.from_tensors(loaded.tensors, outputs=PLANES, padding="replicate")
        elif loaded.architecture == "animegan2":
            self.delegate = AnimeGANPainter(loaded, scope=self.scope, strength=strength)
        else:
            raise OptionError(f"{weights} only makes style pictures: give it as style_weights", option="weights")

    def _refuse_drawing(self, options: Mapping[str, object], look: str | None) -> None:
        """Refuse what only a drawing has, where a network draws."""
        if look == "line":
            raise OptionError("'line' is drawn with the bundled weights alone", option="look")
        self.look = "ink" if look == "ink" else "filter"
        for name, value in options.items():
            if value is not None:
                raise OptionError("a network draws this, which has no such setting", option=name)

    def _texture_swapper(
        self,
        loaded: manifest.Weights,
        style: Path | None,
        seed: int | None,
        truncation: float | None,
        keep: int | None,
        style_weights: str | None,
    ) -> TextureSwapper:
        """Build the Swapping AutoEncoder, with the style picture or the weights that make one."""
        if self.scope == "photo":
            raise OptionError("'photo' is not served by these weights: they draw one aligned face", option="scope")
        maker = None
        if style is not None:
            refuse("style is given already", seed=seed, truncation=truncation, style_weights=style_weights)
        else:
            maker = manifest.load(style_weights or _style_key())
            self.weights = (*self.weights, maker.ref)
            if maker.architecture != "stylegan2":
                raise OptionError(
                    f"{maker.ref} holds weights of {maker.architecture}, not of stylegan2", option="style_weights"
                )
        return TextureSwapper(
            loaded,
            style=style,
            maker=maker,
            seed=seed or 0,
            truncation=TRUNCATION if truncation is None else truncation,
            keep=KEEP if keep is None else keep,
            strength=self.strength,
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Draw faces or tiles: (N, 3, H, W) -> (N, 3, 2 H, 2 W), both -1..1; H and W divisible by ``multiple``."""
        large = enlarge(faces)
        flat, ink = layers(self.net, faces, large)
        if self.scope == "face":
            flat = match_rim(flat, large)
        return large + self.strength * (LOOKS[self.look](flat, ink) - large)


def _style_key() -> str:
    """Return the key of StyleGAN2's weights, which make style pictures.

    Raises:
        OptionError: they are not there.
    """
    if manifest.get(STYLES) is None:
        raise OptionError(
            "these weights take the style of a picture: give one's path, or have StyleGAN2 make them: "
            f"ganchain weights fetch {STYLES}",
            option="style",
        )
    return STYLES
