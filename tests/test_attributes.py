"""Age, gender and hair: what the edits promise, and the judge of them."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import architectures, manifest
from ganchain.colour.beard import CUTS, DARK, DARKER, DEFAULT, beard_removal, grow, tone
from ganchain.colour.dyes import DYES, Dye, ramp
from ganchain.colour.filters import blur
from ganchain.colour.hair import dye
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.makeup import Lab, colour
from ganchain.colour.strands import flow, softened, strands
from ganchain.colour.unpainted import plain_lids, plain_lips
from ganchain.faces.align import Aligner
from ganchain.faces.detect import DlibDetector
from ganchain.framing import BUST, HEAD, TIGHT
from ganchain.looks.transfer import mean_points
from ganchain.nets.age_gender import AgeGender
from ganchain.nets.portrait import Portrait
from ganchain.pipeline.pipeline import Pipeline
from ganchain.stages.attributes import Attributes, enough
from ganchain.tensors import Pixels
from ganchain.train import recipes
from ganchain.train.age_gender import SHARES, Balanced, Judge, targets
from ganchain.train.data import samples

EDITS: list[dict[str, Any]] = [{"age": "young"}, {"age": "old"}, {"gender": "female"}, {"gender": "male"}]
HAIR = np.s_[25:60, 190:260]  # the top of the astronaut's head
FACE = np.s_[95:150, 190:255]


def edited(pixels: Pixels, **options: Any) -> Pixels:
    """The photo after an edit; several tests ask for the same one."""
    key = hash((pixels.tobytes(), repr(options)))
    if key not in _EDITED:
        _EDITED[key] = np.asarray(Pipeline([registry.stage("attributes")(**options)])(pixels).image)
    return _EDITED[key]


_EDITED: dict[int, Pixels] = {}


def judge() -> AgeGender:
    return AgeGender.from_tensors(manifest.load("age-gender").tensors).eval()


def chip(pixels: Pixels, side: int = 256) -> Tensor:
    return Aligner(TIGHT).chip(pixels, DlibDetector()(pixels)[0], side)


def lab(pixels: Pixels, place: Any) -> Tensor:
    """Mean L*a*b* of a part of the picture."""
    part = torch.from_numpy(pixels[place].astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    return to_lab(part).mean(dim=(0, 2, 3))


# --- the edits


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit.values())))
@pytest.mark.slow
def test_strength_is_continuous_and_monotone(astronaut: Pixels, edit: dict[str, Any]) -> None:
    made = [edited(astronaut, **edit, strength=s / 4).astype(int) for s in range(5)]
    assert (made[0] == astronaut).all()
    change = [np.abs(one - astronaut)[40:180, 170:280].mean() for one in made]
    steps = np.diff(change)
    assert (steps > 0.2).all()
    assert max(np.abs(b - a)[40:180, 170:280].mean() for a, b in pairwise(made)) < 0.5 * change[-1]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit.values())))
def test_only_the_head_changes(astronaut: Pixels, edit: dict[str, Any]) -> None:
    made = edited(astronaut, **edit)
    for place in (np.s_[:60, :150], np.s_[260:], np.s_[:, 330:]):
        assert (made[place] == astronaut[place]).all()
    assert np.abs(made[FACE].astype(int) - astronaut[FACE]).mean() > 2


@pytest.mark.parametrize(("edit", "place", "sign"), [(EDITS[1], 1, 1), (EDITS[3], 0, 1)], ids=["old", "male"])
def test_the_judge_sees_the_edit(astronaut: Pixels, edit: dict[str, Any], place: int, sign: int) -> None:
    with torch.inference_mode():
        before, after = (float(judge()(chip(one))[0, place]) * sign for one in (astronaut, edited(astronaut, **edit)))
    assert before < 0 < after


@pytest.mark.slow
def test_old_hair_is_grey_unless_a_colour_is_asked_for(astronaut: Pixels) -> None:
    before, grey, half = (
        lab(one, HAIR) for one in (astronaut, *(edited(astronaut, age="old", strength=s) for s in (1, 0.5)))
    )
    assert grey[1:].norm() < 0.5 * before[1:].norm() and grey[0] > before[0] + 5
    assert grey[0] > half[0] > before[0]
    black = lab(edited(astronaut, age="old", hair="black"), HAIR)
    assert black[0] < before[0]


@pytest.mark.slow
def test_grey_hair_of_the_young_turns_brown_and_no_other(astronaut: Pixels) -> None:
    own, grey = lab(astronaut, HAIR), lab(old := edited(astronaut, age="old"), HAIR)
    assert (lab(edited(astronaut, age="young"), HAIR) - own).abs().max() < 2
    young = lab(edited(old, age="young"), HAIR)
    assert young[1:].norm() > grey[1:].norm() + 3 and young[0] < grey[0] - 8


@pytest.mark.slow
def test_the_old_have_wrinkles_and_the_young_lose_them(astronaut: Pixels) -> None:
    def detail(pixels: Pixels) -> float:
        light = to_lab(chip(pixels))[:, :1]
        return float((light - blur(light, 2.0)).abs()[..., 95:125, 60:110].mean())  # under an eye

    own = detail(astronaut)
    assert detail(edited(astronaut, age="old")) > 1.3 * own
    assert detail(edited(astronaut, age="young")) < 0.95 * own


def test_a_beard_is_taken_off_and_skin_is_left(astronaut: Pixels) -> None:
    skin = torch.tensor([65.0, 14.0, 18.0]).view(1, 3, 1, 1)
    face = skin.expand(1, 3, 64, 64).clone()
    assert beard_removal(face, skin, face.shape[3] / 256).abs().max() < 1e-3
    face[:, 0, 32:] -= 30 + 6 * torch.rand(32, 64, generator=torch.Generator().manual_seed(0))
    face[:, 1:, 32:] = 2
    made = face + beard_removal(face, skin, face.shape[3] / 256)
    assert (made[:, 0, 44:] - face[:, 0, 44:]).mean() > 12
    assert made[:, 0, 44:].std() < 0.5 * face[:, 0, 44:].std()
    assert (made[:, 1:, 44:] - skin[:, 1:]).abs().mean() < 0.5 * (face[:, 1:, 44:] - skin[:, 1:]).abs().mean()
    assert made[:, :, :16].equal(face[:, :, :16])


# --- hair


def test_the_rim_of_a_bald_head_is_no_hair() -> None:
    rows, columns = torch.meshgrid(torch.arange(256) - 128.0, torch.arange(256) - 128.0, indexing="ij")
    radius = (rows**2 + columns**2).sqrt() * BUST.side / HEAD.side  # px of 256 of the head
    rim, cap = (((radius > 60) & (radius < outer) & (rows < 0)).float()[None, None] for outer in (61.5, 90))
    assert enough(rim, "hair").item() == 0
    assert enough(cap, "hair").item() == 1
    assert enough(torch.cat([rim, cap]), "hair").flatten().tolist() == [0, 1]


def test_only_the_hair_in_a_pixel_is_dyed() -> None:
    """Half a pixel of dark hair on skin becomes half a pixel of blond hair on the same skin."""
    skin, hair = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ([0.6, 0.2, 0.05], [-0.8, -0.85, -0.88]))
    matte = torch.zeros(1, 1, 64, 64)
    matte[..., :28], matte[..., 28:36] = 1, 0.5
    head = torch.lerp(skin.expand(1, 3, 64, 64), hair.expand(1, 3, 64, 64), matte)
    made = dye(head, matte, DYES["blond"])
    assert torch.equal(made[..., 36:], head[..., 36:])
    light = to_lab(made)[0, 0, 32]
    assert light[:20].mean() > 50  # blond
    assert light[31] > to_lab(head)[0, 0, 32, 31] + 8  # its share of the light
    assert light.max() <= max(float(light[:20].max()), float(light[40:].max())) + 1  # no bright rim


@pytest.mark.parametrize("name", [*DYES, "#c04080"])
def test_black_hair_takes_any_colour_and_shows_strands(name: str) -> None:
    """As after bleaching: the lightness of the dye, and strands where the photo shows none; black shows none either."""
    head, matte = torch.full((1, 3, 128, 128), -0.93), torch.zeros(1, 1, 128, 128)
    matte[..., :96, 16:112] = 1
    wanted = DYES.get(name) or Dye.of(colour(name))
    made = to_lab(dye(head, matte, wanted))[..., 8:88, 24:104]
    light, chroma = made[:, :1].mean(), made[:, 1:].mean(dim=(0, 2, 3))
    assert abs(float(light) - wanted.lightness) < 12
    own = torch.tensor(wanted.ramp)[:, 1:].float().abs().amax(dim=0)
    assert float(chroma.norm()) > 0.5 * float(own.norm()) - 3
    spread = float(made[:, :1].std())
    if name == "black":  # which hair is that dark already
        assert spread < 1
    else:
        assert 0.3 * wanted.contrast[0] < spread < 1.2 * wanted.contrast[1]
    assert torch.equal(dye(head, matte, wanted)[..., 100:, :], head[..., 100:, :])


@pytest.mark.parametrize("name", ["brown", "blond", "pink", "black"])
def test_the_mean_of_dyed_hair_has_the_colour_of_the_dye(name: str) -> None:
    """Its lights and shadows have less of it."""
    noise = torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    head, matte = (blur(noise, 2.0) * 2 - 0.4).clamp(-1, 1).expand(1, 3, 128, 128), torch.ones(1, 1, 128, 128)
    wanted = DYES[name]
    made = to_lab(dye(head, matte, wanted))[0, 1:].mean(dim=(1, 2))
    target = ramp(torch.full((1, 1, 1, 1), float(wanted.lightness)), wanted).flatten()
    assert float((made - target).norm()) < 1.5


@pytest.mark.slow
def test_roots_and_ends(astronaut: Pixels) -> None:
    made = edited(astronaut, hair={"roots": "black", "ends": "#c04080"})
    black, pink = (edited(astronaut, hair=name) for name in ("black", "#c04080"))
    top, tips = np.s_[8:20, 200:240], np.s_[95:110, 172:180]
    assert (lab(made, top) - lab(black, top)).norm() < 3
    assert (lab(made, tips) - lab(pink, tips)).norm() < 3 < (lab(made, tips) - lab(black, tips)).norm()


def test_fewer_years_go_further_than_more() -> None:
    steps = [float(Attributes(age=age).condition[0]) for age in (-30, -15, 15, 30)]
    assert steps == [-1.25, -0.625, 0.5, 1.0]  # or the judge takes most people over 60 for old


@pytest.mark.parametrize("wrong", ["blonde", "#12", "", {"roots": "brown"}, {"roots": "keep", "ends": "x"}, 5, None])
def test_what_is_no_colour_of_hair_is_refused(wrong: Any) -> None:
    stage: Any = registry.stage("attributes")
    with pytest.raises(ValidationError):
        stage(hair=wrong)


# --- beards and years


def test_strands_follow_the_flow_and_are_the_same_each_time() -> None:
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    matte = torch.ones(1, 1, 200, 200)
    for angle in (0.3, 1.2, 2.5):
        across = columns * np.sin(angle) - rows * np.cos(angle)
        light = (30 + 10 * torch.sin(across / 3))[None, None]
        found = flow(light, matte)[0, 0, 50:150, 50:150]
        assert float(((found - angle + np.pi / 2) % np.pi - np.pi / 2).abs().max()) < 0.1
        drawn = strands(light, matte, (0.0, 0.0), 1.0)
        assert torch.equal(drawn, strands(light, matte, (0.0, 0.0), 1.0))
        assert 0.6 < float(drawn.std()) < 1.4 and abs(float(drawn.mean())) < 0.2
        tensor = [float((drawn.roll(shift, (2, 3)) - drawn).square().mean()) for shift in shifts(angle)]
        assert tensor[0] < 0.5 * tensor[1]  # along, and across


def test_shine_that_lies_across_the_strands_does_not_turn_them() -> None:
    rows, columns = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    light = 30 + 1.5 * torch.sin(columns / 1.2) + 25 * torch.exp(-(((rows - 100) / 18) ** 2))
    found = flow(light[None, None], torch.ones(1, 1, 200, 200))[0, 0, 80:120, 50:150]
    assert float((found - np.pi / 2).abs().max()) < 0.3


def test_what_is_drawn_is_as_soft_as_the_photo() -> None:
    drawn = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    sharp = (drawn / 4 + 2 * blur(drawn, 2.0)).clamp(-1, 1).expand(1, 3, 256, 256)  # detail of all sizes
    assert torch.equal(softened(drawn, sharp), drawn)
    assert float(softened(drawn, blur(sharp, 2.0)).std()) < 0.5 * float(drawn.std())
    flat = torch.zeros(1, 3, 256, 256)
    assert torch.allclose(softened(drawn, flat), drawn)  # which tells nothing


def test_a_beard_turns_less_grey_than_the_hair() -> None:
    """Skin is seen through it, which must not turn white."""
    stage, face = Attributes(age="old"), torch.full((1, 3, 128, 128), -0.8)
    points = torch.from_numpy(mean_points())
    hair, beard = torch.zeros(2, 1, 1, 128, 128)
    hair[..., :40, :], beard[..., 80:, :] = 1, 1
    light = to_lab(stage._dye_hair(face, hair=hair, beard=beard, points=points))[0, 0]
    own = float(to_lab(face)[0, 0].mean())
    top, chin = (float(light[rows].mean()) - own for rows in (slice(8, 32), slice(90, 120)))
    assert 0.3 * top < chin < 0.85 * top


@pytest.mark.parametrize(
    ("hair", "like"),
    [((60.0, 2.0, 4.0), True), ((50.0, 6.0, 22.0), True), ((12.0, 0.0, -1.0), True), ((50.0, 22.0, -2.0), False)],
    ids=["grey", "blond", "black", "a mauve headscarf"],
)
def test_a_beard_is_like_hair_not_like_a_headscarf(hair: Lab, like: bool) -> None:
    head = torch.tensor(hair)[None, :, None, None].expand(1, 3, 64, 64)
    colour = tone(head, torch.ones(1, 1, 64, 64)).flatten()
    light = DARKER * hair[0] if np.hypot(*hair[1:]) < 6 else min(DARKER * hair[0], DARK)
    wanted = torch.tensor([light, *hair[1:]]) if like else torch.tensor(DEFAULT)
    assert torch.allclose(colour, wanted, atol=0.1)


def test_hairs_are_finer_than_the_pixels_of_a_small_face() -> None:
    """They are averaged there: a small face has a shade, a large one hairs."""
    spread = []
    for side in (256, 900):
        face, zone = torch.full((1, 3, side, side), 0.4), torch.zeros(1, 1, side, side)
        zone[..., side // 2 : side * 6 // 10, side * 4 // 10 : side * 6 // 10] = 1
        grown = grow(face, zone, zone, CUTS["stubble"], torch.zeros_like(zone))
        assert grown[zone.expand_as(face) == 0].eq(0.4).all()
        inside = to_lab(grown)[0, 0][zone[0, 0] > 0]
        assert 5 < float(to_lab(face)[0, 0, 0, 0] - inside.mean()) < 25
        spread.append(float(inside.std()))
    assert spread[0] < 0.6 * spread[1]


@pytest.mark.parametrize("skin", [(70.0, 12.0, 16.0), (30.0, 12.0, 14.0)], ids=["light", "dark"])
def test_stubble_is_seen_on_any_skin(skin: Lab) -> None:
    face = from_lab(torch.tensor(skin)[None, :, None, None].expand(1, 3, 256, 256))
    zone = torch.zeros(1, 1, 256, 256)
    zone[..., 120:150, 100:150] = 1
    grown = grow(face, zone, zone, CUTS["stubble"], torch.zeros_like(zone))
    change = (to_lab(grown) - to_lab(face))[0, 0, 128:142, 110:140]
    assert float(change.mean()) < -0.17 * skin[0]


LIPSTICK, NATURAL, BARE = (45.0, 45.0, 12.0), (52.0, 14.0, 11.0), (65.0, 12.0, 16.0)


@pytest.mark.parametrize(("lips", "stay"), [(LIPSTICK, False), (NATURAL, True)], ids=["lipstick", "none"])
def test_lipstick_comes_off_and_bare_lips_stay(lips: Lab, stay: bool) -> None:
    cheeks, lips_lab = (torch.tensor(colour)[None, :, None, None] for colour in (BARE, lips))
    both = torch.cat([lips_lab, cheeks], dim=3)
    change = plain_lips(both, lips_lab, cheeks)
    assert change[..., 1].abs()[:, 1:].max() == 0  # skin beside lips keeps its colour
    assert (change.abs().max() < 0.5) if stay else (change[0, 1, 0, 0] < -15)


def test_eye_shadow_comes_off_but_its_shade_stays() -> None:
    cheeks, blue = (torch.tensor(colour)[None, :, None, None] for colour in (BARE, (45.0, 2.0, -30.0)))
    change = plain_lids(blue, cheeks)
    assert change[0, 0] == 0 and change[0, 2] > 20


def test_points_move_as_the_face_does() -> None:
    """A beard is grown around the lips where they are after the edit."""
    model = Portrait.from_tensors(manifest.load("attributes-portrait").tensors)
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    places, male = ((150.0, 128.0), (190.0, 150.0), (95.0, 100.0)), torch.tensor([[0.0, 1.0]])
    offsets = torch.zeros(1, 2, 128, 128)
    points = torch.tensor([[(2 * x + 1) / 256 - 1, (2 * y + 1) / 256 - 1] for y, x in places])[None]
    moved = model.moved(points, offsets, male)[0]
    apart = 0.0
    for (y, x), (to_x, to_y) in zip(places, (moved + 1) * 128 - 0.5, strict=True):
        dot = torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 8).expand(1, 3, 256, 256)
        change = model.edit(dot - 0.5, offsets, male) - model.edit(torch.full_like(dot, -0.5), offsets, male)
        weight = change[0, 1].clamp(min=0.05) - 0.05
        there = (weight * torch.stack([columns, rows])).sum(dim=(1, 2)) / weight.sum()
        assert (there - torch.stack([to_x, to_y])).norm() < 0.35
        apart = max(apart, float((torch.stack([to_x, to_y]) - torch.tensor([x, y])).norm()))
    assert apart > 1


def shifts(angle: float) -> list[tuple[int, int]]:
    along = (round(4 * np.sin(angle)), round(4 * np.cos(angle)))
    return [along, (along[1], -along[0])]


@pytest.mark.slow
@pytest.mark.parametrize("beard", CUTS)
def test_a_beard_leaves_lips_and_teeth(astronaut: Pixels, beard: str) -> None:
    made = edited(astronaut, beard=beard)
    chin, teeth, lip = np.s_[161:168, 215:232], np.s_[144:147, 217:229], np.s_[149:151, 217:229]
    assert lab(made, chin)[0] < lab(astronaut, chin)[0] - 8
    for place in (teeth, lip, np.s_[:100], np.s_[200:]):
        assert np.abs(made[place].astype(int) - astronaut[place]).mean() < 1.5


@pytest.mark.slow
def test_a_beard_that_was_grown_is_taken_off(astronaut: Pixels) -> None:
    chin = np.s_[158:170, 212:236]
    grown = edited(astronaut, beard="short")
    shaven = edited(grown, beard="none")
    before, after = (float((lab(one, chin) - lab(astronaut, chin)).norm()) for one in (grown, shaven))
    assert after < 0.5 * before
    assert np.abs(edited(astronaut, beard="none").astype(int) - astronaut)[chin].mean() < 4


@pytest.mark.slow
def test_a_man_has_stubble_unless_asked_otherwise(astronaut: Pixels) -> None:
    chin = np.s_[161:168, 215:232]
    stubble, bare, full = (
        edited(astronaut, gender="male", **more) for more in ({}, {"beard": "keep"}, {"beard": "full"})
    )
    assert lab(bare, chin)[0] - 3 > lab(stubble, chin)[0] > lab(full, chin)[0] + 3


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: next(iter(edit.values())))
def test_teeth_stay(astronaut: Pixels, edit: dict[str, Any]) -> None:
    teeth = np.s_[143:148, 213:232]
    assert (lab(edited(astronaut, **edit), teeth) - lab(astronaut, teeth)).norm() < 4


@pytest.mark.slow
def test_the_judge_sees_years_in_their_order(astronaut: Pixels) -> None:
    with torch.inference_mode():
        ages = [float(judge()(chip(edited(astronaut, age=years)))[0, 1]) for years in (-30, 0, 15, 40)]
    assert all(young < old for young, old in pairwise(ages))
    assert (edited(astronaut, age=30) == edited(astronaut, age="old")).all()


@pytest.mark.parametrize("wrong", [-31, 41, "older", True])
def test_ages_beyond_the_range_are_refused(wrong: Any) -> None:
    stage: Any = registry.stage("attributes")
    with pytest.raises(ValidationError):
        stage(age=wrong)


# --- the judge


def test_the_judge_takes_any_side(astronaut: Pixels) -> None:
    net = judge()
    with torch.inference_mode():
        answers = torch.cat([net(chip(astronaut, side)) for side in (96, 112, 200, 256)])
    assert answers.shape == (4, 2)
    assert (answers < 0).all()  # a woman under 40
    spread = answers.max(dim=0).values - answers.min(dim=0).values
    assert (spread < 0.35 * answers.abs().mean(dim=0)).all()


def test_its_features_keep_the_place(astronaut: Pixels) -> None:
    net, face = judge(), chip(astronaut, 192)
    with torch.inference_mode():
        assert net.features(face).shape == (1, 72, 24, 24)
        covered = face.clone()
        covered[..., :64, :64] = 0
        change = (net.features(covered) - net.features(face)).abs().mean(dim=1)[0]
    assert change[:8, :8].mean() > 0.05 and change[16:, 16:].max() == 0


def test_it_is_recognised_and_read_back() -> None:
    net = AgeGender((8, 16, 24), (1, 2, 1)).eval()
    tensors = net.state_dict()
    name, found = architectures.recognise({"file": tensors})
    assert name == "age-gender"
    again = architectures.build(name, found)
    faces = torch.rand(2, 3, 64, 64) * 2 - 1
    assert torch.equal(cast(Tensor, again(faces)), net(faces))
    assert AgeGender.recognise(manifest.tensors("attributes-portrait")) is None
    assert Portrait.recognise(tensors) is None


# --- the judge's recipe


@pytest.fixture
def labelled(astronaut: Pixels, tmp_path: Path) -> Path:
    """Seven crops, one a woman of each age, men without an age, and one without labels."""
    face = Image.fromarray(astronaut[20:212, 120:312]).resize((256, 256))
    rows = [("female", f"{age}-{age + 9}", "fairface") for age in (20, 30, 40, 50, 60)]
    rows += [("male", "", "congress_1"), ("", "", "congress_2"), ("male", "70+", "elsewhere")]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "gender", "age", "dataset", "split"])
        for index, (gender, age, dataset) in enumerate(rows):
            face.save(tmp_path / f"{index}.png")
            table.writerow([f"{index}.png", gender, age, dataset, "train"])
    return tmp_path


def test_old_rises_with_age_and_the_unknown_is_not_learnt(labelled: Path) -> None:
    goals = torch.stack([targets(sample) for sample in samples(labelled)])
    assert (goals[:5, 1].diff() > 0).all() and goals[2, 1] == 0.5
    assert goals[5, 0] == 1 and goals[5, 1].isnan() and goals[6].isnan().all()
    recipe = Judge(labelled, widths=(8, 16), depths=(1, 1))
    recipe.networks["judge"].eval()
    faces = torch.rand(3, 3, 112, 112)
    known = torch.tensor([[1.0, 0.1], [0.0, torch.nan], [torch.nan, torch.nan]])
    losses = recipe.losses("judge", (faces, known))
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values(), torch.zeros(())).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in recipe.networks["judge"].parameters())


@pytest.mark.slow
def test_cells_of_a_source_are_drawn_equally_often(labelled: Path) -> None:
    drawn = Balanced(samples(labelled))
    assert len(drawn) == 7  # what has no gender is left out
    assert sorted(len(cells) for cells in drawn.sources) == [1, 1, 3]
    assert drawn.shares.tolist() == pytest.approx([SHARES["fairface"], SHARES["congress"], 1.0])
    torch.manual_seed(0)
    goals = torch.stack([drawn[0][1] for _ in range(400)])
    women = goals[goals[:, 0] == 0, 1]
    assert 0.2 < (women == 0.5).float().mean() < 0.47  # the one of 40 is as frequent as the two below and above
    faces = drawn[0][0]
    assert faces.shape == (3, 112, 112) and faces.abs().max() <= 1


@pytest.mark.slow
def test_the_recipe_learns_its_pictures(labelled: Path) -> None:
    recipe = cast(Judge, recipes.build("age-gender", labelled, ["widths=[8, 16]", "depths=[1, 1]"]))
    net = recipe.networks["judge"].train()
    adam = torch.optim.Adam(net.parameters(), 0.01)
    faces = torch.stack([torch.full((3, 112, 112), value) for value in (-0.8, 0.8)])
    goals = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    for _ in range(30):
        adam.zero_grad()
        torch.stack(list(recipe.losses("judge", (faces, goals)).values())).sum().backward()
        adam.step()
    assert recipe.figures((faces, goals))["score"] == 1
