"""Upscale: the picture two or four times as large, with the detail a plain enlargement lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.checkpoints import architectures, manifest
from ganchain.nets.upscaler import Upscaler
from ganchain.published.spandrel import Spandrel
from ganchain.published.srgan import SRGANUpscaler
from ganchain.stage import Stage, refuse
from ganchain.tensors import resize

FIDELITY, DETAILED = "upscale", "upscale-detail"
DETAIL = 0.5  # between them, where nothing is asked for


class Upscale(Stage):
    """Enlarge the photo two or four times, sharper than bicubic interpolation.

    Super-resolution in the line of SRGAN (Ledig et al. 2017), with a compact network of our own in two trainings: by
    pixels, and by pixels, features and an adversary, as SRResNet and SRGAN are. The choice between them is
    continuous: their weights are interpolated (ESRGAN, Wang et al. 2018). With ``scope: face`` only the face
    pictures grow (``output: {write: faces}``); in the whole photo, which keeps its size then, nothing but the added
    sharpness shows.

    Options:
        factor: output side / input side; by default what the weights give, 4 with the bundled ones.
        detail: 0 keeps to what the photo shows (fidelity), 1 adds fine detail as photos have it; 0.5 by default. With
            other weights than the bundled ones only they decide.
        scope: photo enlarges the whole photo, face only the pictures of the faces; by default photo.
        weights: other weights than the bundled ones: SRGAN's, or any file that spandrel knows (Real-ESRGAN ...);
            those of face restoration (GFPGAN) work on the faces and keep the photo's size.
        strength: 1 is the network's picture, 0 plain bicubic enlargement.
    """

    side = None
    enlarges = True
    order = 40

    @validate_call
    def __init__(
        self,
        *,
        factor: Annotated[int, Field(ge=1, le=16)] | None = None,
        detail: Annotated[float, Field(ge=0, le=1)] | None = None,
        scope: Literal["photo", "face"] | None = None,
        weights: manifest.Ref | None = None,
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.scope, self.strength = scope or "photo", strength
        if weights is None:
            self._trained(DETAIL if detail is None else detail, factor)
            return
        refuse("with other weights than the bundled ones they alone decide", detail=detail)
        self.weights = (weights,)
        given = manifest.load(weights)
        architectures.expect(weights, given.architecture, "upscale")
        if given.architecture == "srresnet":
            self.hand_over(SRGANUpscaler(given, factor=factor, scope=self.scope, strength=strength))
        elif given.architecture == "spandrel":
            self.hand_over(Spandrel(given.tensors, factor=factor, scope=scope, strength=strength))
        else:
            self._enlarge(given.tensors, factor)

    def _trained(self, detail: float, factor: int | None) -> None:
        """The bundled weights, between those of fidelity and those of detail."""
        self.weights = tuple(key for key, share in ((FIDELITY, 1 - detail), (DETAILED, detail)) if share)
        first, *other = (manifest.load(key).tensors for key in self.weights)
        self._enlarge({k: torch.lerp(t, other[0][k], detail) for k, t in first.items()} if other else first, factor)

    def _enlarge(self, tensors: Mapping[str, Tensor], factor: int | None) -> None:
        self.net = Upscaler.from_tensors(tensors)
        self.scale = max(self.net.factors) if factor is None else factor
        if self.scale not in self.net.factors:
            known = " or ".join(map(str, self.net.factors))
            raise ValueError(f"factor: these weights enlarge {known} times, not {factor}")

    def forward(self, faces: Tensor) -> Tensor:
        if self.worker:
            return self.worker.forward(faces)
        if self.strength == 1:
            return self.net(faces, self.scale)
        plain = resize(faces, (faces.shape[2] * self.scale, faces.shape[3] * self.scale))
        if self.strength == 0:
            return plain
        return torch.lerp(plain, self.net(faces, self.scale), self.strength)
