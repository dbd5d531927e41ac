"""Figures of makeup transferred by the common map: a random look is painted on one face, read there, put on another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.colour.lab import to_lab
from ganchain.colour.laid import ADAPTED
from ganchain.colour.makeup import REGIONS, Lab, Laid, Look, mean_colour, paint
from ganchain.evaluate.sums import FAINT, Figures, Sums, difference, grown
from ganchain.faces import mesh
from ganchain.faces.regions import Shape, regions
from ganchain.framing import TIGHT
from ganchain.looks.transfer import READ, Reference
from ganchain.pipeline.reader import FaceReader
from ganchain.stages.makeup import LARGEST, Makeup
from ganchain.tensors import Pixels, to_faces, to_pixels
from ganchain.train.data import Sample, read
from ganchain.train.datasets.labels import NOISE, labelled
from ganchain.train.landmarks import aligned
from ganchain.train.teachers.parts import region

PAINTED = ("lips", "lids", "liner", "cheeks")
BLUSHES: tuple[Literal["high", "middle", "low"], ...] = ("high", "middle", "low")
OTHER_SKIN = 12  # L between two skins
TURNED = 0.25  # of half a face's width between its middle and its nose: about 25 degrees
WORN = 0.5  # share from which glasses are there
OPENED = 60  # px that an open mouth has at least, without the rim of a pixel that blends with the lips
SIZES = {"256 px": 256, "1,350 px": LARGEST}  # of photos, and the side at which makeup is painted on a portrait


Row = tuple[Sample, np.ndarray]


class Person(NamedTuple):
    """Test face: pixels (256, 256, 3), the face -1..1, the teacher's points -1..1, and what our networks read."""

    pixels: Pixels
    face: Tensor
    points: Tensor
    read: dict[str, Tensor]


def figures(data: Path, limit: int | None = None) -> Figures:
    """Measure transfer among the test faces of DATA/faces256; wearers are men without glasses, who wear no makeup of
    their own.


    "removed": the share of the colour difference (CIE76) between the bare and the painted face that is gone.
    "other skin": pairs whose skins differ by ``OTHER_SKIN`` in L; "turned": pairs in which one face is turned.
    """
    rows = [
        (sample, columns["points"][:, :2])
        for sample, columns in labelled(data, "faces256")
        if sample.split == "test" and columns["spread"].mean() < NOISE
    ]
    rows = rows[:: max(1, len(rows) // (limit or len(rows)))][:limit]  # evenly
    generator, reader, sums = np.random.default_rng(0), FaceReader(torch.device("cpu")), Sums()
    wearers = _wearers(rows, reader)
    for sample, places in rows:
        wearer, places_worn = wearers[int(generator.integers(len(wearers)))]
        makeup = random_makeup(generator)
        a, b = _person(read(wearer.path), places_worn, reader), _person(read(sample.path), places, reader)
        painted = _painted(a, makeup)
        worn = _person(to_pixels(painted)[0], places_worn, reader)
        transferred = _wearing(worn)(b.face, points=b.read["points"], skin=b.read["skin"])
        _compare(sums, (a, b), (transferred, _painted(b, makeup)), regions(b.points, b.read["skin"], makeup.shape))
        mouth = region(places.astype(np.float32), mesh.MOUTH_OPENING, len(b.pixels))
        opening = torch.from_numpy(cv2.erode(mouth, np.ones((3, 3))))
        if float(opening.sum()) >= OPENED:
            sums.add(
                "transfer: change in an open mouth, dE",
                (difference(b.face, transferred) * opening).sum(),
                opening.sum(),
            )
    person = _person(read(rows[0][0].path), rows[0][1], reader)
    return sums.quotients() | _milliseconds(person)


def _wearers(rows: Sequence[Row], reader: FaceReader) -> list[Row]:
    """List the faces of men without glasses; all faces where there are none."""
    bare = []
    for sample, places in rows:
        if sample.labels.get("gender") == "male":
            glasses = _person(read(sample.path), places, reader).read["glasses"]
            bare += [(sample, places)] if float(glasses.max()) < WORN else []
    return bare or list(rows)


class Random(NamedTuple):
    """Random makeup: lips and liner as a look, shadow and blush as differences (Lab) from whatever skin is there."""

    look: Look
    shape: Shape
    lids: Lab
    cheeks: Lab


def random_makeup(generator: np.random.Generator) -> Random:
    """Draw makeup with shapes that is clearly seen."""
    draw = generator.uniform
    hue, turn, strength = draw(0, 2 * np.pi), draw(-0.9, 0.7), draw(28, 48)
    look = Look(
        lips=(draw(25, 55), 50 * float(np.cos(turn)), 50 * float(np.sin(turn))),
        adapted=ADAPTED,
        lips_amount=draw(0.7, 0.95),
        gradient=draw(0, 1) * (draw() < 0.3),
        outline=draw(0, 0.6),
        liner=draw(0, 1),
        evenness=0.4,
    )
    blush = BLUSHES[int(generator.integers(len(BLUSHES)))]
    shape = Shape(draw(0.2, 0.8), draw(0, 0.6), draw(0, 0.6), draw(0, 1), blush)
    lids = (draw(-25, 0), strength * float(np.cos(hue)), strength * float(np.sin(hue)))
    return Random(look, shape, lids, (draw(-6, 0), draw(20, 34), draw(-4, 14)))


def _person(pixels: Pixels, places: np.ndarray, reader: FaceReader) -> Person:
    face = to_faces(pixels)
    reading = aligned(pixels, TIGHT, reader).reading
    assert reading is not None
    true = torch.from_numpy((places + 0.5) * (2 / len(pixels)) - 1).float()[None]
    return Person(pixels, face, true, reading.within(TIGHT, face, READ))


def _wearing(person: Person) -> Makeup:
    """Make the stage that puts a person's makeup on others."""
    stage = Makeup(reference=Path("reference.png")).eval()
    stage.take(Reference.of(person.face, person.read))
    return stage


def _painted(person: Person, makeup: Random) -> Tensor:
    """Paint random makeup in the regions that the teacher's points tell."""
    maps = regions(person.points, person.read["skin"], makeup.shape)
    layers = ((maps[:, REGIONS.index(name)], getattr(makeup, name)) for name in ("lids", "cheeks"))
    change = sum(plane[:, None] * plane.new_tensor(shift)[None, :, None, None] for plane, shift in layers)
    return paint(person.face, maps, makeup.look, Laid(cast(Tensor, change), None))


def _compare(sums: Sums, pair: tuple[Person, Person], answers: tuple[Tensor, Tensor], maps: Tensor) -> None:
    """Compare a transferred face with the one that was painted directly, in its regions and outside them."""
    transferred, target = answers
    a, b = pair
    missing, full = difference(transferred, target), difference(b.face, target)
    kinds = ["transfer"]
    tones = [float(mean_colour(to_lab(one.face), regions(one.points, one.read["skin"])[:, 5:6])[0, 0]) for one in pair]
    if abs(tones[0] - tones[1]) >= OTHER_SKIN:
        kinds.append("other skin")
    if max(_turn(a.points), _turn(b.points)) >= TURNED:
        kinds.append("turned")
    for name in PAINTED:
        weight = maps[:, REGIONS.index(name)]
        for kind in kinds:
            sums.add(f"{kind}: removed in {name}", ((full - missing) * weight).sum(), (full * weight).sum())
    places = [REGIONS.index(name) for name in (*PAINTED, "brows")]
    outside = (grown(maps[:, places].amax(dim=1)) < FAINT).float()
    sums.add("transfer: error outside, dE", (missing * outside).sum(), outside.sum())


def _turn(points: Tensor) -> float:
    """Measure how far a face (1, 478, 2) is turned aside: the nose from the middle, in halves of the face's width."""
    right, left, nose = (float(points[0, number, 0]) for number in (234, 454, 4))
    return abs(2 * nose - left - right) / max(abs(left - right), 1e-6)


def _milliseconds(person: Person) -> Figures:
    """Measure the fastest of some runs of a transfer and of a look on one thread."""
    stage, threads, answer = _wearing(person), torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for size, side in SIZES.items():
        face, skin = (F.interpolate(x, (side, side), mode="bilinear") for x in (person.face, person.read["skin"]))
        for name, painter in (("a look", Makeup(look="smoky").eval()), ("a transfer", stage)):
            answer[f"{name} at {size}, ms"] = min(_seconds(painter, face, person.read["points"], skin)) * 1000
    torch.set_num_threads(threads)
    return answer


def _seconds(stage: Makeup, face: Tensor, points: Tensor, skin: Tensor, runs: int = 7) -> Sequence[float]:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        stage(face, points=points, skin=skin)
        taken.append(time.process_time() - start)
    return taken
