"""Makeup of a reference photo: read on the common map, and laid onto other faces from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganchain.colour.lab import to_lab
from ganchain.colour.makeup import FINER, REGIONS, Laid, Look, mean_colour, read_look
from ganchain.colour.worn import Worn, Zones, change_for, lips_for, read_worn
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
    """What a reference photo wears.

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
        lab = to_lab(face)
        free = read["skin"] * (1 - read["cover"]) * (1 - read["glasses"])
        layers = torch.cat([lab, free], dim=1)[0].permute(1, 2, 0).contiguous().cpu().numpy()
        flat, seen = atlas.unroll(layers, _places(read["points"][0], face.shape[-1]))
        clear = np.clip(flat[..., 3] * 3 - 1.7, 0, 1) * seen
        worn = read_worn(np.ascontiguousarray(flat[..., :3]), clear, zones())
        maps = regions(read["points"], read["skin"])
        maps[:, BROWS] *= free[:, 0]  # not what hair covers
        drawn = read_look(face, maps)
        around = zones().eyes
        made_up = max(worn.lips_amount, float((worn.share * around).sum() / around.sum()))
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
        lab, size = to_lab(faces), faces.shape[-1]
        skins = mean_colour(lab, maps[:, 5:6])[:, :, 0, 0].cpu().numpy()
        amount = (rest + (eyes - rest) * zones().eyes)[..., None]
        laid = []
        for skin, face in zip(skins, points, strict=True):
            where, known = atlas.lookup(_places(face, size), size)
            change = change_for(self.worn, skin)
            change[..., :3] *= amount
            placed = atlas.place(change.astype(np.float32), where)
            placed[..., :3] *= known[..., None]
            lips = atlas.place(lips_for(self.worn, skin).astype(np.float32), where)
            laid.append(torch.from_numpy(np.dstack([placed, lips])).permute(2, 0, 1))
        change, floor, lips = torch.stack(laid).to(faces.device).split((3, 1, 3), dim=1)
        light = torch.maximum(change[:, :1], (floor - lab[:, :1]).clamp(max=0))
        return Laid(torch.cat([light, change[:, 1:]], dim=1) * maps[:, SURFACE : SURFACE + 1], lips)


@lru_cache(maxsize=1)
def zones() -> Zones:
    """Draw the regions of the common map."""
    size, points = atlas.SIDE, np.zeros((1, mesh.POINTS, 2), np.float32)
    points[0, : atlas.SURFACE] = atlas.points()
    for iris, eye in ((mesh.RIGHT_IRIS, mesh.RIGHT_EYE), (mesh.LEFT_IRIS, mesh.LEFT_EYE)):
        points[0, list(iris)] = points[0, list(eye)].mean(axis=0)
    planes = regions(torch.from_numpy(points), torch.ones(1, 1, size, size))[0].numpy()
    lips, lids, _, brows, _, own = planes[: len(REGIONS)]
    eyes = cv2.GaussianBlur(cv2.dilate(lids, np.ones((45, 45))), (0, 0), 14).clip(0, 1)
    wide = cv2.GaussianBlur(cv2.dilate(brows, np.ones((9, 9))), (0, 0), 4)
    return Zones(own * (1 - (1.5 * lids).clip(0, 1)), lips, wide, eyes.astype(np.float32))


def _places(points: Tensor, size: int) -> Planes:
    """Convert points (478, 2) -1..1 to px of a picture of ``size`` px."""
    return ((points.float().cpu().numpy() + 1) * (size / 2) - 0.5).astype(np.float32)
