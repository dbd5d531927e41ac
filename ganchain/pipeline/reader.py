"""Reader of faces: runs the networks of the points and the parts over all faces of a group at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ganchain.checkpoints import architectures, manifest
from ganchain.engines import choice
from ganchain.engines.kernels import Engine, set_engine
from ganchain.faces import mesh
from ganchain.faces.align import Aligner
from ganchain.faces.face import Face
from ganchain.faces.parts import Parts
from ganchain.faces.reading import Kind, Points, Reading
from ganchain.faces.settling import settled, without_scarce
from ganchain.framing import BUST, HEAD, Framing
from ganchain.nets.parts import shares
from ganchain.tensors import Pixels, to_faces

SIDE = 256  # px of the windows that the networks see
LARGEST_BATCH = 64  # faces
FAR, BLUR = 20.0, 10.0  # px of those windows: how far beyond the photo's edge its colours are blurred, and how much


class FaceReader(nn.Module):
    """Reader of the points and parts of faces; a network is loaded when it is first needed.

    Both run in float32 whatever engine the stages use: half precision would move points by a pixel.

    Args:
        device: where the networks run.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.engine: Engine | None = None

    def follow(self, engines: Iterable[str]) -> None:
        """Run the networks in OpenVINO, in float32 as ever, if one of the stages' ``engines`` is that."""
        if any(label.startswith("openvino") for label in engines):
            self.engine = choice.engine("openvino", self.device)
            set_engine(self, self.engine)

    def of(self, pixels: Pixels, face: Face) -> Reading:
        """Make the reading of a face in (H, W, 3) uint8 pixels; nothing is read yet."""
        return Reading(
            lambda framing, side: Aligner(framing).chip(pixels, face, side),
            self.read,
            shows=lambda framing, side: Aligner(framing).shows(pixels.shape[1::-1], face, side),
        )

    def quick(self, pixels: Pixels, face: Face) -> Reading:
        """Make the reading of a face in a frame of a video, whose windows are cut out in less time."""
        return Reading(lambda framing, side: to_faces(Aligner(framing).sample(pixels, face, side)), self.read)

    @torch.inference_mode()
    def read(self, kind: Kind, readings: Sequence[Reading]) -> None:
        """Read the points or the parts of faces, and keep them in their readings."""
        size = LARGEST_BATCH if self.device.type == "cuda" else 1
        for start in range(0, len(readings), size):
            chunk = readings[start : start + size]
            if kind == "points":
                for reading, (_, answer) in zip(chunk, self._answers(kind, mesh.WINDOW, chunk), strict=True):
                    reading.known[kind] = _points(answer)
            elif kind == "heads":
                self._read_heads(chunk)
            elif kind == "parts":
                self._read_parts(chunk)
            else:
                if unread := [reading for reading in chunk if "parts" not in reading.known]:
                    self._read_parts(unread)
                self._read_busts([reading for reading in chunk if reading.parts.beyond is None])
                for reading in chunk:
                    reading.known[kind] = reading.parts

    def _read_parts(self, readings: Sequence[Reading]) -> None:
        """Read the parts of heads, and of the busts of those whose hair reaches beyond the head's window."""
        self._read_heads(readings)
        self._read_busts([reading for reading in readings if reading.parts.reaches_edge and _goes_on(reading)])

    def _read_heads(self, readings: Sequence[Reading]) -> None:
        """Read the parts of heads, within the head's window."""
        for reading, (picture, answer) in zip(readings, self._answers("parts", HEAD, readings), strict=True):
            reading.known["parts"] = without_scarce(_parts(answer, picture, HEAD))

    def _read_busts(self, readings: Sequence[Reading]) -> None:
        """Continue the parts of heads over their shoulders."""
        answers = self._answers("parts", BUST, readings) if readings else []
        for reading, (picture, answer) in zip(readings, answers, strict=True):
            reading.known["parts"] = reading.parts.reached(_parts(answer, picture, BUST))

    def _answers(self, kind: str, framing: Framing, readings: Sequence[Reading]) -> list[tuple[Tensor, Tensor]]:
        """Run a network on one window of each face: what it showed, and the answer."""
        pictures = torch.cat([reading.cut(framing, SIDE) for reading in readings])
        if kind == "parts":
            for picture, reading in zip(pictures, readings, strict=True):
                continue_beyond(picture, reading.shows(framing, SIDE))
        return list(zip(pictures, self.run(kind, pictures), strict=True))

    def run(self, kind: str, pictures: Tensor) -> Tensor:
        """Run the network of a kind on windows (N, 3, SIDE, SIDE) float32 -1..1; its answer is on the CPU.

        This is a kernel, as ``engines.kernels`` calls it: another process may run it.
        """
        answer: Tensor = self._network(kind)(pictures.to(self.device)).float().cpu()
        return answer

    def _network(self, kind: str) -> nn.Module:
        """Load the network of a kind, once."""
        if kind not in self._modules:
            loaded = manifest.load(kind)
            network = architectures.build(loaded.architecture, loaded.tensors).to(self.device).eval()
            set_engine(nn.ModuleList([network]), self.engine)
            self.add_module(kind, network)
        return self.get_submodule(kind)


def continue_beyond(picture: Tensor, shown: NDArray[np.bool_] | None) -> None:
    """Continue what a window shows of a photo beyond the photo's edge, ever more blurred, in place.

    A head that is mirrored there would have a second face above its forehead, and hardly any hair between them.

    Args:
        picture: (3, S, S) float32.
        shown: (S, S), the px that show the photo; None if all do.
    """
    if shown is None:
        return
    beyond = cv2.dilate((~shown).astype(np.uint8), np.ones((3, 3)))  # the outermost px are mixed with what is beyond
    if beyond.all():
        return
    own = picture.permute(1, 2, 0).numpy()
    distance, numbers = cv2.distanceTransformWithLabels(beyond, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels: NDArray[np.int64] = np.asarray(numbers, np.int64)
    nearest = np.zeros((int(labels.max()) + 1, 3), np.float32)
    nearest[labels[beyond == 0]] = own[beyond == 0]
    edge = nearest[labels]
    small = cv2.resize(edge, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cv2.GaussianBlur(small, (0, 0), BLUR / 4), shown.shape[::-1], interpolation=cv2.INTER_LINEAR)
    continued = edge + (distance / FAR).clip(0, 1)[..., None] * (blurred - edge)
    picture.copy_(torch.from_numpy(continued).permute(2, 0, 1))


def _goes_on(reading: Reading) -> bool:
    """Tell whether the photo goes on beyond the head's window."""
    shown = reading.shows(BUST, SIDE)
    if shown is None:
        return True
    beyond = shown.copy()
    window = HEAD.within(BUST, SIDE)
    beyond[max(0, window.y - 2) : window.y + window.side + 2, max(0, window.x - 2) : window.x + window.side + 2] = False
    return bool(beyond.any())


def _points(answer: Tensor) -> Points:
    """Turn the network's answer (957,) into points in the template's units."""
    framing = mesh.WINDOW
    window = answer[:-1].double().numpy().reshape(-1, 2)
    places = (window + 1) * (framing.side / 2) + (framing.left, framing.top)
    return Points(places, float(torch.sigmoid(answer[-1])))


def _parts(answer: Tensor, picture: Tensor, framing: Framing) -> Parts:
    """Turn the network's logits (6, SIDE, SIDE) into mattes, beside the window (3, SIDE, SIDE) -1..1 that it saw."""
    shown = ((picture + 1) / 2).numpy()
    return Parts(settled(shares(answer[None])[0].numpy(), shown), shown, framing)
