"""Reader of faces: runs the networks of the points and the parts over all faces of a group at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganchain.checkpoints import architectures, manifest
from ganchain.faces import mesh
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.parts import Parts
from ganchain.faces.reading import Kind, Points, Reading
from ganchain.framing import HEAD, Framing
from ganchain.nets.parts import shares
from ganchain.tensors import Pixels

SIDE = 256  # px of the windows that the networks see
LARGEST_BATCH = 64  # faces
FRAMINGS: dict[Kind, Framing] = {"points": mesh.WINDOW, "parts": HEAD}


class FaceReader(nn.Module):
    """Reader of the points and parts of faces; a network is loaded when it is first needed.

    Both run in float32 torch whatever engine the stages use: half precision would move points by a pixel.

    Args:
        device: where the networks run.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device

    def of(self, pixels: Pixels, face: Face) -> Reading:
        """Make the reading of a face in (H, W, 3) uint8 pixels; nothing is read yet."""
        return Reading(lambda framing, side: Aligner(framing).chip(pixels, face, side), self.read)

    @torch.inference_mode()
    def read(self, kind: Kind, readings: Sequence[Reading]) -> None:
        """Read the points or the parts of faces, and keep them in their readings."""
        size = LARGEST_BATCH if self.device.type == "cuda" else 1
        for start in range(0, len(readings), size):
            chunk = readings[start : start + size]
            pictures = torch.cat([reading.cut(FRAMINGS[kind], SIDE) for reading in chunk])
            answers = self._network(kind)(pictures.to(self.device)).float().cpu()
            for reading, picture, answer in zip(chunk, pictures, answers, strict=True):
                reading.known[kind] = _points(answer) if kind == "points" else _parts(answer, picture)

    def _network(self, kind: Kind) -> nn.Module:
        """Load the network of a kind, once."""
        if kind not in self._modules:
            loaded = manifest.load(kind)
            network = architectures.build(loaded.architecture, loaded.tensors).to(self.device).eval()
            self.add_module(kind, network)
        return self.get_submodule(kind)


def _points(answer: Tensor) -> Points:
    """Turn the network's answer (957,) into points in the template's units."""
    framing = FRAMINGS["points"]
    window = answer[:-1].double().numpy().reshape(-1, 2)
    places = (window + 1) * (framing.side / 2) + (framing.left, framing.top)
    return Points(places, float(torch.sigmoid(answer[-1])))


def _parts(answer: Tensor, picture: Tensor) -> Parts:
    """Turn the network's logits (6, SIDE, SIDE) into mattes, beside the head (3, SIDE, SIDE) -1..1 that it saw."""
    return Parts(shares(answer[None])[0].numpy(), ((picture + 1) / 2).numpy())
