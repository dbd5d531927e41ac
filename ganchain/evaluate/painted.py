"""Figures of painted lips and dyed hair, against the labels of the teachers that lie beside the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from ganchain.colour.dyes import DYES, ramp
from ganchain.colour.hair import moments
from ganchain.colour.lab import to_lab
from ganchain.colour.makeup import REGIONS
from ganchain.evaluate import transfer
from ganchain.evaluate.edits import EDITS
from ganchain.evaluate.sums import FAINT, Figures, Sums, difference, grown
from ganchain.evaluate.transfer import OPENED
from ganchain.faces import mesh
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.regions import regions
from ganchain.framing import HEAD, TIGHT, Framing
from ganchain.pipeline.reader import FaceReader
from ganchain.stage import Stage
from ganchain.tensors import Pixels, to_faces
from ganchain.train.data import read
from ganchain.train.datasets.labels import NOISE, labelled
from ganchain.train.datasets.parts import STYLES, Labelled
from ganchain.train.landmarks import aligned
from ganchain.train.teachers.parts import region

SPILLED = 0.05  # matte below which colour is beside the hair
BAND = 6  # px of the heads: a tenth of the distance between the eyes
LABELS = {"makeup": {"points": "faces256"}, "hair": {"points": "wide256", "mattes": "wide256"}}  # kinds, folders


def makeup(data: Path, limit: int | None = None) -> Figures:
    """Measure the look evening on the test faces of DATA/faces256, against that painted by the teacher's points.

    In CIE76 colour differences. "removed": the share of the difference between bare and painted face that is gone
    inside a region. "change": of the painted face from the bare one, per pixel.
    """
    stage, reader, sums = EDITS["makeup"][0].build_stage(None), FaceReader(torch.device("cpu")), Sums()
    rows = [
        (sample, columns["points"][:, :2])
        for sample, columns in labelled(data, LABELS["makeup"]["points"])
        if sample.split == "test" and columns["spread"].mean() < NOISE
    ][:limit]
    for sample, places in rows:
        pixels = read(sample.path)
        face, given = to_faces(pixels), _given(stage, pixels, TIGHT, reader)
        true = torch.from_numpy((places + 0.5) * (2 / len(pixels)) - 1).float()[None]
        painted, target = stage(face, **given), stage(face, **{**given, "points": true})
        _compare(sums, (face, painted, target), regions(true, given["skin"]))
        mouth = region(places.astype(np.float32), mesh.MOUTH_OPENING, len(pixels))
        opening = torch.from_numpy(cv2.erode(mouth, np.ones((3, 3))))
        if float(opening.sum()) >= OPENED:
            sums.add("change in an open mouth, dE", (difference(face, painted) * opening).sum(), opening.sum())
    return {"faces": float(len(rows)), **sums.quotients(), **transfer.figures(data, limit)}


def _compare(sums: Sums, faces: tuple[Tensor, Tensor, Tensor], maps: Tensor) -> None:
    """Compare a bare face, the painted one and the target, in the target's regions and outside them."""
    bare, painted, target = faces
    missing, full, change = (difference(*pair) for pair in ((painted, target), (bare, target), (bare, painted)))
    for index, name in enumerate(REGIONS):
        if name == "skin":
            continue
        sums.add(f"removed in {name}", ((full - missing) * maps[:, index]).sum(), (full * maps[:, index]).sum())
    outside = (grown(maps.amax(dim=1)) < FAINT).float()
    sums.add("change outside, dE", (change * outside).sum(), outside.sum())


def hair(data: Path, limit: int | None = None) -> Figures:
    """Measure dyed test heads of DATA/wide256 against the teacher's mattes of hair.

    "chroma of the way": the share of the distance in mean a*b* between hair and dye that is gone. "beside": the share
    of the change (CIE76) that lies on pixels that surely show no hair, by the mended label. "on bald heads": the change
    per pixel of the picture. "in a band": of pixels beside the hair, at most ``BAND`` px from it.
    """
    heads, reader, sums = Labelled(data, "test", limit).heads, FaceReader(torch.device("cpu")), Sums()
    stages = {edit.name: edit.build_stage(None) for edit in EDITS["hair"]}
    for head in (default_collate([head]) for head in heads):
        pixels = head.pixels[0].permute(1, 2, 0).numpy()
        picture, face = to_faces(pixels), aligned(pixels, HEAD, reader)
        matte, known = head.plane("teacher"), head.plane("known")[:, 0] > 0.5
        bald, beside = bool(head.style == STYLES.index("bald")), known & (grown(head.plane("hair"))[:, 0] < 0.05)
        near = F.max_pool2d(matte, 2 * BAND + 1, 1, BAND)[:, 0] > 0.5
        for name, stage in stages.items():
            dyed = _edited(stage, pixels, face)
            change = difference(picture, dyed)
            if bald:
                sums.add("change on bald heads, dE", change.mean(), 1)
                continue
            sums.add("beside, %", 100 * (change * beside).sum(), change.sum())
            band = near & known & (matte[:, 0] < SPILLED)
            sums.add("change in a band around the hair, dE", (change * band).sum(), band.sum())
            before, after = (_distance(x, matte, name) for x in (picture, dyed))
            sums.add("chroma of the way", before - after, before)
            sums.add(f"{name}: chroma of the way", before - after, before)
    return {"heads": float(len(heads)), **sums.quotients()}


def _edited(stage: Stage, pixels: Pixels, face: Face) -> Tensor:
    """Edit the face of a picture in the stage's own window: (1, 3, H, W) -1..1."""
    canvas = Aligner(stage.framing).canvas(pixels, face)
    after = stage(canvas.before, **canvas.face.within(canvas.framing, canvas.before, stage.reads))
    return to_faces(Aligner.paste(pixels, replace(canvas, after=after)))


def _given(stage: Stage, pixels: Pixels, framing: Framing, reader: FaceReader) -> dict[str, Tensor]:
    """Read what the stage asks for of the face of an aligned picture."""
    reading = aligned(pixels, framing, reader).reading
    assert reading is not None
    return reading.within(framing, to_faces(pixels), stage.reads)


def _distance(face: Tensor, matte: Tensor, dye: str) -> float:
    """Measure how far the mean a*b* under the matte is from the dye's."""
    target = ramp(face.new_full((1, 1, 1, 1), DYES[dye].lightness), DYES[dye])
    return float((moments(to_lab(face)[:, 1:], matte)[0] - target).norm())


FIGURES: Mapping[str, Callable[[Path, int | None], Figures]] = {"makeup": makeup, "hair": hair}
