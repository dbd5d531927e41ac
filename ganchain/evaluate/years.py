"""Figures of age and gender beside those of the judge's answers: whether years are in order, and whether teeth stay."""

from __future__ import annotations

from itertools import pairwise

import torch

from ganchain.checkpoints import architectures, manifest
from ganchain.evaluate.edits import AIMS, EDITS, JUDGED_SIDE, Edit, People, Person
from ganchain.evaluate.sums import Figures, Sums, difference
from ganchain.faces import zones
from ganchain.framing import TIGHT
from ganchain.pipeline.reader import FaceReader
from ganchain.tensors import to_faces
from ganchain.train.landmarks import aligned

YEARS = -30, -15, 0, 15, 30, 40
SLACK = 0.1  # of the judge's logits, by which a higher age may look younger
OPENED = 60  # px of the tight face that an open mouth has at least
FACES = 40  # that are measured, evenly picked


def figures(weights: str | None, people: People) -> Figures:
    """Measure how often the judge sees years in their order, and the change (CIE76) in open mouths."""
    some = people.all[:: max(1, len(people.all) // FACES)][:FACES]
    edits = {years: Edit(str(years), "attributes", {"age": float(years)}) for years in YEARS if years}
    ages = {years: edit.pipeline(weights) for years, edit in edits.items()}
    judge = architectures.build("age-gender", manifest.load("age-gender").tensors)
    place, _ = AIMS["old"]
    ordered = 0
    for person in some:
        pictures = [person.chip(JUDGED_SIDE, person.edit(ages[years]) if years else None) for years in YEARS]
        with torch.inference_mode():
            logits = [float(judge(to_faces(picture))[0, place]) for picture in pictures]
        ordered += all(younger < older + SLACK for younger, older in pairwise(logits))
    return {"age: judged in the order of years": ordered / len(some), **_teeth(weights, some)}


def _teeth(weights: str | None, people: list[Person]) -> Figures:
    """Measure the change of what is seen between the lips, for each edit."""
    sums, reader = Sums(), FaceReader(torch.device("cpu"))
    pipelines = {edit.name: edit.pipeline(weights) for edit in EDITS["attributes-portrait"]}
    for person in people:
        before = person.chip(JUDGED_SIDE)
        reading = aligned(before, TIGHT, reader).reading
        assert reading is not None
        points = reading.within(TIGHT, to_faces(before), ("points",))["points"]
        inside = (zones.mouth(points, JUDGED_SIDE) > 0.9).float()[:, 0]
        if float(inside.sum()) < OPENED:
            continue
        for name, pipeline in pipelines.items():
            after = person.chip(JUDGED_SIDE, person.edit(pipeline))
            change = difference(to_faces(before), to_faces(after))
            sums.add(f"{name}: change in an open mouth, dE", (change * inside).sum(), inside.sum())
    return sums.quotients()
