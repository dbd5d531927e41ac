"""Stage ``restore``: noise, blur and compression are taken out of the faces or of the whole photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.nets.restorer import Restorer, share_needed, shares
from ganchain.stage import Stage, WholePhoto
from ganchain.tensors import Pixels

FACE, PHOTO = "restore-face", "restore"
GREY = 2 / 255  # largest difference between the colours of a grey picture, of 2


class Restore(Stage):
    """Take noise, blur, JPEG blocks and their colour fringes out of old and much-sent photos; the size stays.

    Two compact networks of our own, after Real-ESRGAN (Wang et al. 2021) and GFPGAN (Wang et al. 2021): one for aligned
    faces, one for whole photos. They learned to come near the photo, not to invent one. What no network can know stays
    away: they mend no scratches and fill no missing corners. Grey pictures stay grey.

    Options:
        scope: face restores the faces, photo everything; for both, the faces come first.
        amount: 0 leaves the picture as it is, 1 restores it in full; auto reads from each face or from the whole photo
            how much it needs, and leaves clean ones alone. The result says what it took.
        weights: other weights of such a network than the bundled ones.
        strength: 1 is the result, 0 the photo.
    """

    side = 256
    multiple = 16
    whole_photo = WholePhoto()
    needs_face = False
    order = 5
    networks = ("gpen", "glean", "pulse")
    architectures: ClassVar = {"weights": ("restorer",)}

    @validate_call
    def __init__(
        self,
        *,
        scope: Literal["face", "photo"] = "face",
        amount: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = "auto",
        weights: manifest.Ref | None = None,
        strength: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        super().__init__()
        self.scope, self.strength = scope, strength
        self.amount: float | Literal["auto"] = amount
        loaded = manifest.load(weights or (FACE if scope == "face" else PHOTO))
        self.weights = (loaded.ref,)
        registry.expect(loaded, Restore)
        self.net = Restorer.from_tensors(loaded.tensors)

    def examine(self, pixels: Pixels, quality: int | None = None) -> Mapping[str, float]:
        return {"amount": share_needed(self.net, pixels, quality)} if self.amount == "auto" else {}

    def forward(self, faces: Tensor, *_: Any, amount: Tensor | None = None, **read: Any) -> Tensor:
        if amount is None:
            amount = shares(self.net, faces, self.amount)
        if not bool(amount.any()):
            return faces.clone()
        restored = self.net(faces, 1)
        grey = (faces.amax(dim=1) - faces.amin(dim=1)).amax(dim=(1, 2)) <= GREY
        restored = torch.where(grey[:, None, None, None], restored.mean(dim=1, keepdim=True), restored)
        return faces + self.strength * amount[:, None, None, None] * (restored - faces)
