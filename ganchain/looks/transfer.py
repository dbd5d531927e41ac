"""Makeup of a reference photo: read on the common map, and laid onto other faces from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ganchain.colour.bare import SMALL
from ganchain.colour.lab import to_lab
from ganchain.colour.laid import change_for, lips_for, own_deviations
from ganchain.colour.makeup import FINER, REGIONS, Laid, Look, read_look
from ganchain.colour.worn import Worn, Zones, read_worn
from ganchain.faces import atlas, mesh
from ganchain.faces.reading import Reading
from ganchain.faces.regions import regions
from ganchain.framing import TIGHT

Planes = NDArray[np.float32]

READ = ("points", "skin", "cover", "glasses")  # of a reference
EVENNESS = 0.4  # of the skin under a reference's full makeup
BROWS, SURFACE = REGIONS.index("brows"), len(REGIONS) + FINER.index("surface")


@dataclass(frozen=True)
class Reference:
    """Makeup of a reference photo.

    Attributes:
        worn: on the common map.
        look: its brows, how surely its lips are painted, and how even its skin is.
    """

    worn: Worn
    look: Look

    @classmethod
    def read(cls, person: Reading) -> Reference:
        """Read the makeup of the face of a reference photo."""
        face = person.cut(TIGHT, atlas.SIDE)
        return cls.of(face, person.within(TIGHT, face, READ))

    @classmethod
    def of(cls, face: Tensor, read: Mapping[str, Tensor]) -> Reference:
        """Read the makeup of a face (1, 3, S, S) -1..1, of which ``READ`` was read."""
        worn = read_worn(*on_map(face, read), zones())
        maps = regions(read["points"], read["skin"], strokes=False)  # of these nothing is read
        maps[:, BROWS] *= read["skin"][:, 0]  # not what hair covers
        drawn = read_look(face, maps)
        around = zones().eyes
        made_up = max(worn.lips_amount, float((worn.extra[..., 3] * around).sum() / around.sum()))
        look = Look(lips_amount=worn.lips_amount, brows=drawn.brows, evenness=EVENNESS * made_up)
        return cls(worn, look)

    def lay(self, faces: Tensor, points: Tensor, maps: Tensor, eyes: float, rest: float) -> Laid:
        """Lay the makeup onto faces.

        Args:
            faces: (N, 3, S, S) -1..1.
            points: their points, (N, 478, 2) -1..1.
            maps: their regions (N, 11, S, S).
            eyes, rest: how much of what is around the eyes, and elsewhere on the skin, 0..1.
        """
        size, places = faces.shape[-1], [REGIONS.index("skin"), REGIONS.index("lids"), SURFACE]
        surfaces = maps[:, SURFACE].float().cpu().numpy()
        changes, lips = [], []
        for face, surface, picture, parts in zip(points, surfaces, _small(faces), _small(maps[:, places]), strict=True):
            lab, bare_skin = _lab(picture), parts[..., 0] * (1 - parts[..., 1])
            skin = np.einsum("hw,hwc->c", parts[..., 0], lab) / max(float(parts[..., 0].sum()), 1e-3)
            where, known = atlas.lookup(_places(face, size), size)
            extra, usual, hues = (_first(atlas.place(plane, where)) for plane in self.worn.planes)
            own = cv2.resize(own_deviations(lab, bare_skin, parts[..., 2]), (size, size))
            amount = surface * known * (rest if eyes == rest else self._amount(where, eyes, rest))
            changes.append(change_for(self.worn, extra, usual, skin, _first(own)) * amount)
            lips.append(lips_for(self.worn, hues, skin))
        change, colours = (torch.from_numpy(np.stack(x)).to(faces.device) for x in (changes, lips))
        return Laid(change, colours)

    @staticmethod
    def _amount(where: Planes, eyes: float, rest: float) -> Planes:
        """Compute the amount at each place of a face: ``eyes`` around the eyes, ``rest`` elsewhere."""
        around = atlas.place(zones().eyes[..., None], where)[..., 0]
        return np.asarray(rest + (eyes - rest) * around, np.float32)


def _small(planes: Tensor) -> list[Planes]:
    """Average planes (N, C, S, S) to ``SMALL`` px, the channels last: N times (SMALL, SMALL, C)."""
    last = planes.permute(0, 2, 3, 1).contiguous().float().cpu().numpy()
    return [np.asarray(cv2.resize(x, (SMALL, SMALL), interpolation=cv2.INTER_AREA), np.float32) for x in last]


def _lab(picture: Planes) -> Planes:
    """Convert a picture (H, W, 3) -1..1 to Lab."""
    return np.asarray(to_lab(torch.from_numpy(picture).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy())


def _first(planes: ArrayLike) -> Planes:
    """Put the channels first: (H, W, C) -> (C, H, W)."""
    return np.asarray(np.stack(cv2.split(np.asarray(planes, np.float32))), np.float32)


def on_map(face: Tensor, read: Mapping[str, Tensor]) -> tuple[Planes, Planes]:
    """Lay a face onto the map: its Lab (S, S, 3), and where its skin is seen, (S, S) 0..1."""
    free = read["skin"] * (1 - read["cover"]) * (1 - read["glasses"])
    layers = torch.cat([to_lab(face), free], dim=1)[0].permute(1, 2, 0).contiguous().cpu().numpy()
    flat, seen = atlas.unroll(layers, _places(read["points"][0], face.shape[-1]))
    return np.ascontiguousarray(flat[..., :3]), np.clip(flat[..., 3] * 3 - 1.7, 0, 1) * seen


@lru_cache(maxsize=1)
def zones() -> Zones:
    """Draw the regions of the common map."""
    size, points = atlas.SIDE, mean_points()
    planes = regions(torch.from_numpy(points), torch.ones(1, 1, size, size))[0].numpy()
    lips, lids, _, brows, _, own = planes[: len(REGIONS)]
    eyes = cv2.GaussianBlur(cv2.dilate(lids, np.ones((45, 45))), (0, 0), 14).clip(0, 1)
    wide = np.asarray(cv2.GaussianBlur(cv2.dilate(brows, np.ones((9, 9))), (0, 0), 4), np.float32)
    left = points[0][list(mesh.MIRROR)]
    rings = (points[0][list(mesh.RIGHT_CONTOUR)], left[list(mesh.RIGHT_CONTOUR)], points[0][list(mesh.MOUTH_OPENING)])
    openings = np.zeros((size, size), np.float32)
    for ring in rings:
        cv2.fillPoly(openings, [np.round((ring + 1) * (size / 2) - 0.5).astype(np.int32)], (1.0,))
    return Zones(own * (1 - (1.5 * lids).clip(0, 1)), lips, wide, openings, eyes.astype(np.float32))


def mean_points() -> Planes:
    """Return the points of the mean face with its irises in the middle of its eyes: (1, 478, 2) -1..1."""
    points = np.zeros((1, mesh.POINTS, 2), np.float32)
    points[0, : atlas.SURFACE] = atlas.points()
    for iris, eye in ((mesh.RIGHT_IRIS, mesh.RIGHT_EYE), (mesh.LEFT_IRIS, mesh.LEFT_EYE)):
        points[0, list(iris)] = points[0, list(eye)].mean(axis=0)
    return points


def _places(points: Tensor, size: int) -> Planes:
    """Convert points (478, 2) -1..1 to px of a picture of ``size`` px."""
    return ((points.float().cpu().numpy() + 1) * (size / 2) - 0.5).astype(np.float32)
