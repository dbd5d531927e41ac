"""Stage ``upscale``: the picture two or four times as large, with more detail than a plain enlargement has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.errors import OptionError, refuse
from ganchain.nets.restorer import Restorer, share_needed, shares
from ganchain.nets.upscaler import Upscaler
from ganchain.published.spandrel import Spandrel
from ganchain.published.srgan import SRGANUpscaler
from ganchain.stage import Stage
from ganchain.tensors import Pixels, resize

FIDELITY, DETAILED, RESTORING = "upscale", "upscale-detail", "restore"
DETAIL = 0.5  # the default, halfway between the two


class Upscale(Stage):
    """Enlarge the photo two or four times, sharper than bicubic interpolation.

    Super-resolution after SRGAN (Ledig et al. 2017), with a compact network of our own in two trainings: one by pixels,
    one by pixels, features and an adversary, as SRResNet and SRGAN are. The choice between them is continuous: their
    weights are interpolated (ESRGAN, Wang et al. 2018). With ``scope: face`` only the face pictures grow
    (``output: {write: faces}``); the whole photo then keeps its size and only gets sharper faces.

    Options:
        factor: output side / input side; by default what the weights give, 4 with the bundled ones.
        detail: 0 keeps to what the photo shows (fidelity), 1 adds fine detail as photos have it; 0.5 by default. With
            other weights than the bundled ones only they decide.
        scope: photo enlarges the whole photo, face only the pictures of the faces; by default photo.
        restore: how much of what spoils the photo (noise, blur, blocks of JPEG) is taken out while it grows, 0 to 1;
            auto reads from the photo how much it needs, and leaves clean ones alone; the result says what it took. By
            default auto with the bundled weights, and 0 with others. For faces put the stage restore before.
        size: instead of the default network another one, of a bit more than half of its time (fast), 1.5 times
            (standard) or 5 times its time (best). They keep to what the photo shows and have no detail.
        weights: other weights than the bundled ones: SRGAN's, or any file that spandrel knows (Real-ESRGAN ...);
            those of face restoration (GFPGAN) work on the faces and keep the photo's size.
        strength: 1 is the network's picture, 0 plain bicubic enlargement.
    """

    side = None
    effect = "enlarge"
    scale = 4
    order = 40
    restore: float | Literal["auto"] = 0.0
    networks = ("srgan", "srresnet", "esrgan")
    architectures: ClassVar = {"weights": ("upscaler", "srresnet", "spandrel")}

    @validate_call
    def __init__(
        self,
        *,
        factor: Annotated[int, Field(ge=1, le=16)] | None = None,
        detail: Annotated[float, Field(ge=0, le=1)] | None = None,
        restore: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] | None = None,
        scope: Literal["photo", "face"] | None = None,
        size: Literal["fast", "standard", "best"] | None = None,
        weights: manifest.Ref | None = None,
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.scope, self.strength = scope or "photo", strength
        if size is not None:
            refuse("only one of them can be given", weights=weights)
            refuse("only the default size has it", detail=detail)
            self._interpolate({f"{FIDELITY}-{size}": 1.0}, factor)
        elif weights is None:
            share = DETAIL if detail is None else detail
            self._interpolate({FIDELITY: 1 - share, DETAILED: share}, factor)
        if weights is None:
            self._load_restorer("auto" if restore is None else restore)
            return
        refuse("only the bundled ones restore", restore=restore or None)
        refuse("with other weights than the bundled ones they alone decide", detail=detail)
        self.weights = (weights,)
        loaded = manifest.load(weights)
        registry.expect(loaded, Upscale)
        if loaded.architecture == "srresnet":
            self.delegate = SRGANUpscaler(loaded, factor=factor, scope=self.scope, strength=strength)
        elif loaded.architecture == "spandrel":
            self.delegate = Spandrel(loaded.tensors, factor=factor, scope=scope, strength=strength)
        else:
            self._build(loaded.tensors, factor)

    @classmethod
    def choices(cls, weights: str | None = None) -> dict[str, list[int]]:
        stage = cls(weights=weights)
        return {"factor": stage.net.factors if stage.delegate is None else [stage.delegate.scale]}

    def _interpolate(self, shares: Mapping[str, float], factor: int | None) -> None:
        """Load bundled weights, interpolated between one or two, whose ``shares`` add up to 1."""
        self.weights = tuple(key for key, share in shares.items() if share)
        first, *rest = (manifest.load(key).tensors for key in self.weights)
        share = shares[self.weights[-1]]
        self._build({k: torch.lerp(t, rest[0][k], share) for k, t in first.items()} if rest else first, factor)

    def _build(self, tensors: Mapping[str, Tensor], factor: int | None) -> None:
        """Build the network, and refuse a ``factor`` that it has no head for."""
        self.net = Upscaler.from_tensors(tensors)
        self.scale = max(self.net.factors) if factor is None else factor
        if self.scale not in self.net.factors:
            factors = " or ".join(map(str, self.net.factors))
            raise OptionError(f"these weights enlarge {factors} times, not {factor}", option="factor")

    def _load_restorer(self, restore: float | Literal["auto"]) -> None:
        """Load the network that restores while it enlarges, unless nothing is to be restored."""
        self.restore = restore
        if restore != 0:
            self.weights += (RESTORING,)
            self.restorer = Restorer.from_tensors(manifest.load(RESTORING).tensors)

    def examine(self, pixels: Pixels, quality: int | None = None) -> Mapping[str, float]:
        return {"restore": share_needed(self.restorer, pixels, quality)} if self.restore == "auto" else {}

    def forward(self, faces: Tensor, *_: Any, restore: Tensor | None = None, **read: Any) -> Tensor:
        if self.strength == 1:
            return self._enlarged(faces, restore)
        plain = resize(faces, (faces.shape[2] * self.scale, faces.shape[3] * self.scale))
        if self.strength == 0:
            return plain
        return torch.lerp(plain, self._enlarged(faces, restore), self.strength)

    def _enlarged(self, faces: Tensor, restore: Tensor | None) -> Tensor:
        """Enlarge by the network, and by the restorer as much as ``restore`` (N,) 0..1 says."""
        if restore is None and self.restore != 0:
            restore = shares(self.restorer, faces, self.restore)
        if restore is None or not bool(restore.any()):
            return self.net(faces, self.scale)
        restored = self.restorer(faces, self.scale)
        if bool((restore == 1).all()):
            return restored
        return torch.lerp(self.net(faces, self.scale), restored, restore[:, None, None, None])
