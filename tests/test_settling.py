"""Mattes of hair where the network is unsure, beyond the photo's edge, and on bald heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganchain.colour.lab import from_lab
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.parts import BASE, PARTS, Parts
from ganchain.faces.reading import Reading
from ganchain.faces.settling import settled, without_scarce
from ganchain.framing import HEAD, TEMPLATE
from ganchain.pipeline.reader import continue_beyond

SIDE = 256
HAIR, SKIN, WALL = (12.0, 2.0, 3.0), (62.0, 14.0, 16.0), (88.0, -1.0, 1.0)  # L*a*b*
PILLAR, GREY = (24.0, -1.0, 0.0), (52.0, -2.0, 4.0)

Planes = NDArray[np.float32]


def head(
    marked: tuple[slice, slice],
    colour: tuple[float, float, float],
    hair: float,
    beside: str,
    pillar: tuple[slice, slice] | None = None,
) -> float:
    """Settle a head whose ``marked`` px have a colour and a matte of hair: its mean there.

    Hair above, skin in the middle, and a wall around both, with a dark pillar before it; the rest of the marked px is
    ``beside``.
    """
    lab, mattes = np.full((SIDE, SIDE, 3), WALL, np.float32), np.zeros((len(PARTS), SIDE, SIDE), np.float32)
    names = np.full((SIDE, SIDE), BASE.index("rest"))
    if pillar:
        lab[pillar] = PILLAR
    for rows, name, own in ((slice(20, 80), "hair", HAIR), (slice(80, 200), "skin", SKIN)):
        lab[rows, 70:186], names[rows, 70:186] = own, BASE.index(name)
    for index in range(len(BASE)):
        mattes[index] = names == index
    lab[marked] = colour
    mattes[(slice(None), *marked)] = 0
    mattes[(0, *marked)], mattes[(BASE.index(beside), *marked)] = hair, 1 - hair
    picture = ((from_lab(torch.from_numpy(lab).permute(2, 0, 1)[None])[0] + 1) / 2).clamp(0, 1).numpy()
    return float(settled(mattes, picture)[(0, *marked)].mean())


@pytest.mark.parametrize("colour", [HAIR, (36.0, 1.0, 2.0)], ids=["dark", "half a px wide"])
def test_a_loose_lock_is_hair(colour: tuple[float, float, float]) -> None:
    assert head(np.s_[60:130, 186:188], colour, 0.1, "rest") > 0.7
    assert 0.2 < head(np.s_[60:130, 190:192], colour, 0.1, "rest") < 0.5  # that does not hang together with the rest


def test_the_wall_behind_a_lock_is_not() -> None:
    assert head(np.s_[90:130, 190:215], WALL, 0.7, "rest") < 0.15


def test_what_lies_between_a_bright_wall_and_a_dark_one_is_not() -> None:
    corner = np.s_[52:64, 186:198]
    assert head(corner, GREY, 0.1, "rest", pillar=np.s_[:58, 186:]) < 0.25
    assert head(np.s_[40:64, 186:188], GREY, 0.1, "rest") > 0.5  # before an even wall it would be a thin lock


def test_a_braid_that_the_network_hardly_sees_is_hair() -> None:
    assert head(np.s_[70:140, 186:200], HAIR, 0.12, "rest") > 0.7


def test_what_has_another_hue_is_not() -> None:
    assert head(np.s_[60:130, 230:250], (30.0, 45.0, 25.0), 0.5, "rest") < 0.1


def test_a_shadow_on_the_face_is_not() -> None:
    assert head(np.s_[120:150, 110:130], (16.0, 10.0, 10.0), 0.25, "skin") < 0.4


def test_what_shines_in_hair_stays_hair() -> None:
    assert head(np.s_[24:30, 100:140], (78.0, 1.0, 4.0), 0.8, "rest") > 0.7


def test_hardly_any_hair_is_none() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    radius = np.hypot(rows, columns)
    for outer, share in ((62.5, 0.0), (95, 1.0)):
        mattes = np.zeros((len(PARTS), SIDE, SIDE), np.float32)
        mattes[0] = (radius > 60) & (radius < outer) & (rows < 0)
        parts = without_scarce(Parts(mattes, np.zeros((3, SIDE, SIDE), np.float32)))
        assert np.allclose(parts["hair"], share * mattes[0])
        assert np.allclose(parts.mattes.sum(axis=0), mattes.sum(axis=0))


def test_a_photo_goes_on_beyond_its_edge_as_it_ends_there() -> None:
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    own, shown = picture.clone(), np.ones((64, 64), bool)
    shown[:20] = shown[:, 50:] = False
    continue_beyond(picture, None)
    assert torch.equal(picture, own)
    continue_beyond(picture, shown)
    assert torch.equal(picture[:, 21:, :49], own[:, 21:, :49])
    assert (picture[:, 19, 4:40] - own[:, 21, 4:40]).abs().max() < 0.2  # not mirrored: column by column
    assert picture[:, 0, 4:40].std() < 0.3 * picture[:, 19, 4:40].std()  # far away it is blurred


def test_which_px_show_the_photo() -> None:
    face = Face((0, 0, 50, 50), 1.0, TEMPLATE * 100 + 60)
    assert Aligner(HEAD).shows((4000, 4000), face, 64) is not None  # the head's window begins above the photo
    assert Aligner(HEAD).shows((4000, 4000), Face((0, 0, 50, 50), 1.0, TEMPLATE * 100 + 1000), 64) is None
    unit = HEAD.side * 100 / 64
    shown = Aligner(HEAD).shows((160, 4000), face, 64)
    assert shown is not None
    rows, columns = (np.flatnonzero(np.any(shown, axis=axis)) for axis in (1, 0))
    assert abs(rows[0] - max(0, -60 - 100 * HEAD.top) / unit) < 1.5
    assert abs(columns[-1] - (100 - 100 * HEAD.left) / unit) < 1.5


def test_hair_reaches_to_the_edge_and_no_farther() -> None:
    mattes = np.zeros((len(PARTS), 64, 64), np.float32)
    mattes[0] = 1
    reading = Reading(lambda *_: torch.zeros(1), known={"parts": Parts(mattes, np.full((3, 64, 64), 0.5, np.float32))})
    shown = np.ones((64, 64), bool)
    shown[:10] = False
    reading.shows = lambda *_: shown
    read = reading.within(HEAD, torch.zeros(1, 3, 64, 64), ("hair", "rest"))
    assert (read["hair"][..., 10:, :] > 0.99).all() and (read["hair"][..., :10, :] == 0).all()
    assert (read["rest"][..., :10, :] == 1).all()
