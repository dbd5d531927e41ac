"""Makeup in amounts: each region by itself, of a look and of a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.makeup import FINER, REGIONS, Look, paint, read_look
from ganchain.engines.probe import probe
from ganchain.faces.regions import regions
from ganchain.looks.files import load
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.makeup import Makeup
from ganchain.tensors import Pixels


@pytest.fixture(scope="module")
def face() -> tuple[Tensor, dict[str, Tensor]]:
    """The drawn face, and its points and skin."""
    return probe(Makeup(), torch.device("cpu"))


def change(face: tuple[Tensor, dict[str, Tensor]], **options: object) -> dict[str, float]:
    """Mean colour difference inside each region that the stage makes."""
    picture, read = face
    stage = Makeup(**options)  # type: ignore[arg-type]
    with torch.inference_mode():
        apart = (to_lab(stage(picture, **read)) - to_lab(picture)).norm(dim=1)
        maps = regions(read["points"], read["skin"])[0]
    return {name: float((apart * map_).sum() / map_.sum()) for name, map_ in zip((*REGIONS, *FINER), maps, strict=True)}


@pytest.mark.parametrize(("option", "painted"), [("lips", {"lips"}), ("eyes", {"lids", "liner"}), ("brows", {"brows"})])
def test_a_region_left_out_keeps_its_colour(
    face: tuple[Tensor, dict[str, Tensor]], option: str, painted: set[str]
) -> None:
    whole = change(face, look="smoky", skin=0)
    without = change(face, look="smoky", skin=0, **{option: 0})
    half = change(face, look="smoky", skin=0, **{option: 0.5})
    for name in ("lips", "lids", "liner", "brows"):
        if name in painted:
            assert without[name] < 0.25 * whole[name]  # what is left is that of the regions beside it
            assert without[name] < half[name] < whole[name]
        else:
            assert without[name] == pytest.approx(whole[name], abs=1.0)


def test_everything_left_out_is_the_face(face: tuple[Tensor, dict[str, Tensor]]) -> None:
    picture, read = face
    with torch.inference_mode():
        made = Makeup(look="smoky", lips=0, eyes=0, cheeks=0, brows=0, skin=0)(picture, **read)
    torch.testing.assert_close(made, picture)


@pytest.mark.slow
def test_amounts_scale_a_reference(astronaut: Pixels, tmp_path: Path) -> None:
    painted = Pipeline([Makeup(look="evening")])(astronaut)
    painted.save(tmp_path / "evening.png")
    bare = Pipeline([Makeup(look="natural", strength=0)])(astronaut).photo
    assert bare is not None
    lips = []
    for amount in (None, 0.5, 0):
        photo = Pipeline([Makeup(reference=tmp_path / "evening.png", lips=amount, skin=0, cheeks=0)])(astronaut).photo
        assert photo is not None
        box = (slice(155, 175), slice(205, 250))
        lips.append(float(np.abs(photo.pixels[box].astype(int) - bare.pixels[box]).mean()))
    assert lips[0] > lips[1] > lips[2]
    assert lips[2] < 0.4 * lips[0]


def test_brows_are_read_of_a_reference() -> None:
    maps = torch.zeros(1, 11, 32, 32)
    maps[:, 5], maps[:, 3, 8:12, 4:28] = 1, 1
    maps[:, 5, 8:12, 4:28] = 0

    def read(light: float) -> float:
        lab = torch.tensor([65.0, 14.0, 18.0])[None, :, None, None].expand(1, 3, 32, 32).clone()
        lab[:, 0, 8:12, 4:28] = light
        return read_look(from_lab(lab), maps).brows

    bare, drawn, black = (read(65 * (1 - dark)) for dark in (0.37, 0.5, 0.7))
    assert bare == 0
    assert drawn == pytest.approx(0.5, abs=0.05)
    assert black == 1


@pytest.mark.parametrize("given", [1.5, -0.1, "reddish"])
def test_what_is_neither_an_amount_nor_a_colour_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match=r"amount is 0 to 1|no colour"):
        Makeup(lips=given)  # type: ignore[arg-type]


def test_a_colour_replaces_the_looks_own() -> None:
    own, other = Makeup(look="rose").look, Makeup(look="rose", lips="#204080", eyes=0.5).look
    rose = load("rose").look
    assert own == rose and own.lips != other.lips and other.adapted == 0
    assert other.lids_amount == pytest.approx(rose.lids_amount / 2)
    assert other.liner == pytest.approx(rose.liner / 2)


def test_lipstick_covers_a_dark_upper_lip() -> None:
    lips = torch.zeros(1, 11, 64, 64)
    lips[:, 0, 24:40, 16:48] = 1
    skin = torch.full((1, 3, 64, 64), -0.4)
    skin[:, :, 24:32, 16:48] = -0.9  # the upper lip, darker than the lower one
    made = paint(skin, lips, Look(lips=(45.0, 55.0, 20.0), lips_amount=1.0))
    before, after = to_lab(skin)[0, 0], to_lab(made)[0, 0]
    gap = [float(one[34:38, 20:44].mean() - one[26:30, 20:44].mean()) for one in (before, after)]
    assert gap[1] < 0.75 * gap[0]
    chroma = to_lab(made)[0, 1:, 26:30, 20:44].norm(dim=0).mean()
    assert float(chroma) > 25


def test_the_picture_is_whole_in_yaml(tmp_path: Path, astronaut: Pixels) -> None:
    Image.fromarray(astronaut).save(tmp_path / "photo.png")
    (tmp_path / "my.yaml").write_text("stages:\n  - makeup: {look: rose, lips: 1.0, eyes: 0.6, skin: 0.8}\n")
    assert Pipeline.from_yaml(tmp_path / "my.yaml")(tmp_path / "photo.png").status == "ok"
