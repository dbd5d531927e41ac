"""The points and the parts of a face: what the networks read, and what they learn from."""

from __future__ import annotations

import shutil
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ganchain.checkpoints import architectures, manifest
from ganchain.engines.probe import probe_window
from ganchain.errors import ChainError, PhotoError, WeightsError
from ganchain.evaluate import report
from ganchain.evaluate.cost import cost
from ganchain.faces.mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LIPS, MIRROR, OVAL, POINTS, WINDOW
from ganchain.faces.parts import PARTS
from ganchain.framing import HEAD, TEMPLATE, Framing
from ganchain.nets import parts as parts_net
from ganchain.nets import points as points_net
from ganchain.nets.parts import PartsNet, shares
from ganchain.nets.points import Points, similarity
from ganchain.tensors import Pixels, to_faces
from ganchain.train import recipes
from ganchain.train.datasets import labels
from ganchain.train.datasets.parts import Heads, textures
from ganchain.train.datasets.parts import Labelled as LabelledHeads
from ganchain.train.datasets.points import Bend, framed, vary
from ganchain.train.dressing import dressed, plain, with_covers, with_headwear
from ganchain.train.parts import overlap
from ganchain.train.passes import errors, follows, means
from ganchain.train.points import SIZES
from ganchain.train.posing import smaller
from ganchain.train.teachers import headwear as drawn_headwear
from ganchain.train.teachers import mesh, wardrobe
from ganchain.train.teachers.covers import COVERS, KEPT_BACK
from ganchain.train.teachers.drawn import Faces

BUDGETS = {"points": 0.15, "parts": 0.35}  # GMAC


def network(key: str) -> nn.Module:
    return architectures.build(key, manifest.load(key).tensors)


def drawn(framing: Framing) -> Tensor:
    """The drawn face that needs no photo of a person, (1, 3, 256, 256)."""
    return probe_window(framing, 256)


def read(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, POINTS, 2) and logits (N,) of faces in the framing ``WINDOW``."""
    with torch.inference_mode():
        answer = network("points")(faces)
    return answer[:, :-1].view(len(faces), -1, 2), answer[:, -1]


@pytest.mark.parametrize("key", BUDGETS)
def test_networks_are_recognised_and_come_back(key: str) -> None:
    tensors = manifest.tensors(key)
    name, again = architectures.recognise({"file": tensors})
    assert name == key == manifest.entry(key).architecture
    face = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        answers = [architectures.build(key, given)(face) for given in (tensors, again)]
    torch.testing.assert_close(*answers)
    assert answers[0].shape == {"points": (2, 2 * POINTS + 1), "parts": (2, len(PARTS), 256, 256)}[key]


@pytest.mark.parametrize("key", BUDGETS)
def test_networks_keep_to_their_budget(key: str) -> None:
    assert cost(key)["GMAC"] <= BUDGETS[key]


def test_another_topology_is_refused() -> None:
    tensors = manifest.tensors("points")
    fewer = {key: value[: 2 * 68] if key.startswith("look.points.") else value for key, value in tensors.items()}
    with pytest.raises(WeightsError, match="68 points where 478"):
        architectures.build("points", fewer)
    with pytest.raises(WeightsError, match="5 parts where 6"):
        PartsNet.from_tensors({**manifest.tensors("parts"), "head.bias": torch.zeros(20)})


@pytest.mark.parametrize(
    ("net", "folded"),
    [
        (Points(SIZES, norm=True), points_net.folded),
        (PartsNet((8, 16), (1, 1), (1,), normed=True), lambda net: parts_net.folded(net.state_dict())),
    ],
)
def test_folding_changes_no_answer(net: nn.Module, folded: Any) -> None:
    torch.manual_seed(0)
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if "running" in name or value.ndim == 1:
            value.data.uniform_(0.5, 1.5)
    face = torch.rand(1, 3, 256, 256) * 2 - 1
    if isinstance(net, Points):  # all that is not in the readers' points alone
        net.mean.copy_(torch.randn(POINTS, 2))
    state = {key: value for key, value in folded(net.eval()).items() if value.is_floating_point()}
    with torch.inference_mode():
        torch.testing.assert_close(type(net).from_tensors(state).eval()(face), net(face), rtol=1e-3, atol=1e-3)  # type: ignore[attr-defined]


def test_points_lie_where_the_template_says() -> None:
    points, logits = read(drawn(WINDOW))
    iris_distance = float((points[0, 468] - points[0, 473]).norm())
    template = torch.tensor((TEMPLATE - (WINDOW.left, WINDOW.top)) / WINDOW.side * 2 - 1).float()
    apart = (points[0, [263, 362, 33, 133, 2]] - template).norm(dim=1) / iris_distance
    assert float(apart.max()) < 0.1 and float(apart[:4].mean()) < 0.04
    assert float(logits) > 2
    face, oval = points[0], points[0, list(OVAL)]
    low, high = oval.amin(dim=0) - 0.02, oval.amax(dim=0) + 0.02
    assert bool(((face > low) & (face < high)).all()) and float(face.abs().max()) < 1
    assert float(face[LIPS, 1].min()) > float(face[2, 1]) and float(face[LIPS, 1].max()) < float(face[152, 1])
    upper, lower = (face[list(lip)[1:-1], 1] for lip in (INNER_UPPER_LIP, INNER_LOWER_LIP))
    assert bool((upper <= lower + 0.01).all())


def test_points_follow_a_turned_and_a_mirrored_face() -> None:
    face, angle = drawn(WINDOW), radians(20)
    turn = torch.tensor([[[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0]]])
    turned = points_net.window(face, turn, 256)  # what lies at p there lay at turn(p)
    points, logits = read(torch.cat([face, turned, face.flip(3)]))
    back = points_net.moved(points[1:2], turn)
    mirrored = points[2:, list(MIRROR)] * torch.tensor([-1.0, 1.0])
    for again in (back, mirrored):
        assert float(errors(again, points[:1]).mean()) < 2  # per cent of the iris distance
    assert bool((logits > 2).all())


def test_what_is_no_face_is_called_none(landscape: Pixels) -> None:
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hill = to_faces(landscape[:256, :256])
    _, logits = read(torch.cat([noise, hill, drawn(WINDOW).flip(2), torch.zeros_like(hill)]))
    assert bool((logits < 0).all())


def test_parts_of_the_drawn_face() -> None:
    head = drawn(HEAD)
    covered = head.clone()
    covered[:, :, 150:190, 100:160] = torch.tensor([0.8, -0.6, -0.6])[:, None, None]
    with torch.inference_mode():
        mattes, under = shares(network("parts")(torch.cat([head, covered])))
    torch.testing.assert_close(mattes[:4].sum(dim=0), torch.ones(256, 256))
    place = {name: PARTS.index(name) for name in PARTS}
    for name, (y, x) in {"skin": (150, 100), "hair": (30, 128), "rest": (10, 10)}.items():
        assert float(mattes[place[name], y, x]) > 0.9, name
    assert 0.1 < float(mattes[place["hair"]].mean()) < 0.4 and 0.1 < float(mattes[place["skin"]].mean()) < 0.4
    assert float((mattes[[place["beard"], place["glasses"], place["cover"]]] > 0.5).float().mean()) < 0.005
    assert float(under[place["cover"], 150:190, 100:160].mean()) > 0.8
    assert float((under[place["cover"]] > 0.5).float().mean()) < 0.06  # the square is 0.037


def test_labels_that_are_missing_are_asked_for(heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shutil.copytree(heads, tmp_path / "heads")
    (data / "points-wide256.npz").unlink()
    for key in BUDGETS:
        with pytest.raises(PhotoError, match=r"points-wide256\.npz.*mesh\.py"):
            recipes.build(key, data).dataset("val")
    for file in data.glob("*.npz"):
        file.unlink()
    for key in BUDGETS:
        with pytest.raises(ChainError, match="no labels"):
            recipes.build(key, data)
    assert "no labels" in report._reason_unfit("parts", data)


def test_pictures_the_teacher_has_not_seen_are_named(heads: Path, tmp_path: Path) -> None:
    data = shutil.copytree(heads, tmp_path / "heads")
    with np.load(data / "points-wide256.npz") as stored:
        names, places, spread = (stored[name][:5] for name in ("names", "points", "spread"))
    np.savez(data / "points-wide256.npz", names=names, points=places, spread=spread)
    with pytest.raises(PhotoError, match=r"says nothing of 5\.png"):
        labels.Labelled(data, "train")


def test_labels_fit_the_faces_however_they_are_cut(heads: Path) -> None:
    faces = labels.Labelled(heads, "test")
    item = default_collate([faces[index] for index in range(len(faces))])
    n = len(faces)
    assert n == 4  # two framed tight, two with the whole head
    straight = framed(item, torch.zeros(n), torch.ones(n), torch.zeros(n, 2))
    turned = framed(item, torch.full((n,), 20.0), torch.full((n,), 0.9), torch.full((n, 2), 0.05))
    for seen in (straight, turned):
        points, _ = read(seen.faces)
        assert float(errors(points, seen.points).mean()) < 3
    assert float((straight.points[0] - straight.points[-1]).abs().max()) < 0.01  # both framings show the same window


def test_varied_faces_and_their_weights(heads: Path) -> None:
    torch.manual_seed(0)
    faces = labels.Labelled(heads, "train")
    item = default_collate([faces[0] for _ in range(8)])
    seen = vary(item)
    assert seen.faces.shape == (8, 3, 256, 256) and float(seen.faces.abs().max()) <= 1
    assert bool(seen.points.isfinite().all()) and bool(((seen.weights >= 0) & (seen.weights <= 1)).all())
    bend = Bend(item)
    rest = [place for place in range(468) if place not in LIPS]
    places = bend.undone(item.points)[:, rest]
    assert float((places + bend(places) - item.points[:, rest]).abs().mean()) < 2e-3


def test_figures_of_points() -> None:
    points = torch.randn(5, POINTS, 2, generator=torch.Generator().manual_seed(0))
    points[:, 468], points[:, 473] = torch.tensor([-0.5, 0.0]), torch.tensor([0.5, 0.0])
    distances = errors(points + torch.tensor([0.01, 0.0]), points)
    assert {round(value, 3) for value in means(distances).values()} == {1.0}
    assert follows(points * 2, points) == pytest.approx({"blink": 1.0, "mouth": 1.0})


def test_the_teacher_of_points_finds_the_mirror() -> None:
    mean = manifest.tensors("points")["mean"].numpy()
    generator = np.random.default_rng(0)
    faces = np.zeros((20, POINTS, 3), np.float32)
    faces[..., :2] = 128 + 60 * (mean + generator.normal(0, 0.004, (20, POINTS, 2)))
    order = np.array(MIRROR)
    others = mesh.mirrored(faces, order, 256)
    np.testing.assert_array_equal(mesh.partners(faces, others, 256), order)
    far = faces[:1] + 50
    average, spread = mesh.average(np.concatenate([faces[:1], faces[:1] + 0.2, far]))
    np.testing.assert_allclose(average, faces[0] + 0.1, atol=1e-3)
    assert float(spread.max()) < 1


def test_similarities() -> None:
    points = torch.randn(3, 9, 2, generator=torch.Generator().manual_seed(0))
    matrix = torch.tensor([[[0.8, -0.6, 0.1], [0.6, 0.8, -0.2]]]).expand(3, 2, 3)
    torch.testing.assert_close(similarity(points, points_net.moved(points, matrix)), matrix.contiguous())


@pytest.fixture(scope="module")
def four(heads: Path) -> Heads:
    return default_collate(LabelledHeads(heads, "test").heads * 2)


@pytest.mark.slow
def test_dressed_heads_add_up(heads: Path, four: Heads) -> None:
    torch.manual_seed(0)
    batch = dressed(four, textures(heads).float() / 255)
    assert batch.pixels.shape == (4, 3, 256, 256) and float(batch.pixels.abs().max()) <= 1
    assert batch.target.shape == (4, len(PARTS), 256, 256)
    assert bool(((batch.target >= -1e-4) & (batch.target <= 1 + 1e-4)).all())
    torch.testing.assert_close(batch.target[:, :4].sum(dim=1), torch.ones(4, 256, 256), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", [*COVERS, *KEPT_BACK])
def test_covers_are_drawn_where_their_matte_is(kind: str, heads: Path, four: Heads) -> None:
    torch.manual_seed(1)
    pieces = textures(heads).float() / 255
    batch, faces = plain(four, pieces)
    before, rows = batch.pixels.clone(), torch.arange(4)
    draw = {**COVERS, **KEPT_BACK}[kind]
    with_covers(batch, faces, four.plane("near"), four.plane("oval"), rows, draw, kind == "strands")
    cover, changed = batch.target[:, 5], (batch.pixels - before).abs().amax(dim=1)
    assert float(cover.sum()) > 0
    assert float(changed[cover > 0.9].mean()) > 3 * float(changed[cover < 0.01].mean())


@pytest.mark.slow
def test_headwear_is_none_of_the_parts(heads: Path, four: Heads) -> None:
    kinds, pieces = torch.arange(len(wardrobe.ALL)), textures(heads).float() / 255
    many = four.select(kinds % 4)
    torch.manual_seed(2)
    batch, faces = plain(many, pieces)
    before, zones = batch.pixels.clone(), [many.plane(name) for name in ("person", "oval")]
    worn = with_headwear(batch, faces, zones[0], zones[1], kinds, kinds)
    inside, changed = worn[:, 0] > 0.9, (batch.pixels - before).abs().mean(dim=1)
    assert bool((inside.float().mean(dim=(1, 2)) > 0.005).all())
    assert (
        float(batch.target[:, 3][inside].min()) > 0.85 and float(batch.target[:, :3].amax(dim=1)[inside].max()) < 0.15
    )
    assert float(changed[inside].mean()) > 3 * float(changed[worn[:, 0] < 0.01].mean())
    above = inside & (many.plane("near")[:, 0] == 0)
    assert float((batch.target[:, 5] * batch.known[:, 2])[above].max()) < 0.1  # a hat above a face covers nothing
    torch.testing.assert_close(batch.target[:, :4].sum(dim=1), torch.ones_like(worn[:, 0]), atol=0.02, rtol=0)
    assert float(faces.hair[:, 0][inside].max()) < 0.15 and float(zones[0][:, 0][inside].min()) > 0.85


def test_headwear_that_ends_in_a_point_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    cone = {"taper": (1, 1), "strip": (0.2, 0.2), "rise": (0, 0), "low": (0, 0), "turn": (0, 0)}
    monkeypatch.setattr(drawn_headwear, "ALL", {"cone": cone})
    points, hair = torch.full((1, 478, 2), 128.0), torch.zeros(1, 1, 256, 256)
    points[0, [234, 454, 10, 152]] = torch.tensor([[96.0, 128], [160, 128], [128, 112], [128, 192]])
    hair[:, :, 92:] = 1  # the top of the hair is a row of pixels, and so is the point
    pixels = torch.rand(1, 3, 256, 256)
    worn = drawn_headwear.headwear(Faces(pixels, points, hair, hair, pixels), torch.zeros(1, dtype=torch.long))
    assert bool(worn.matte.isfinite().all()) and bool(worn.colours.isfinite().all())


def test_headwear_that_is_kept_back_is_not_trained_on() -> None:
    assert not set(wardrobe.HEADWEAR) & set(wardrobe.KEPT_BACK)
    assert list(wardrobe.ALL)[: len(wardrobe.HEADWEAR)] == list(wardrobe.HEADWEAR)
    assert all(set(own) <= set(wardrobe.MEASURES) for own in wardrobe.ALL.values())


def test_smaller_heads_keep_points_and_planes_together(four: Heads) -> None:
    torch.manual_seed(0)
    small = smaller(four, torch.tensor([0, 1]))
    assert torch.equal(small.pixels[2:], four.pixels[2:]) and torch.equal(small.points[2:], four.points[2:])
    grid = torch.arange(256.0)
    for row in range(2):
        oval, outline = small.plane("oval")[row, 0], small.points[row, list(OVAL)]
        for axis in range(2):
            weight = oval.sum(dim=axis)
            middle = (grid * weight).sum() / weight.sum()
            assert float(outline[:, axis].min()) < float(middle) < float(outline[:, axis].max())
        width, before = (p[row, 454, 0] - p[row, 234, 0] for p in (small.points, four.points))
        assert 0.55 < float(width / before) < 0.87
        shrunk = float(oval.sum() / four.plane("oval")[row].sum())
        assert shrunk == pytest.approx(float(width / before) ** 2, rel=0.03)


def test_overlap() -> None:
    left, right = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    left[..., :2], right[..., 1:3] = 1, 1
    assert float(overlap(left, right)) == pytest.approx(1 / 3)
    known = torch.ones_like(left)
    known[..., 2:] = 0
    assert float(overlap(left, right, known)) == pytest.approx(1 / 2)
