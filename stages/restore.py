"""Stage ``restore``: noise, blur and compression are taken out of the faces or of the whole photo."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor

from ganchain.chains import registry
from ganchain.checkpoints import manifest
from ganchain.nets.restorer import Restorer
from ganchain.stage import Stage, WholePhoto

FACE, PHOTO = "restore-face", "restore"
# damage as ``Restorer.measure`` reads it: nothing is done below, everything above
LIMITS = {"face": (0.12, 0.28), "photo": (0.28, 0.42)}
GREY = 2 / 255  # largest difference between the colours of a grey picture, of 2


class Restore(Stage):
    """Take noise, blur, JPEG blocks and their colour fringes out of old and much-sent photos; the size stays.

    Two compact networks of our own, after Real-ESRGAN (Wang et al. 2021) and GFPGAN (Wang et al. 2021): one for aligned
    faces, one for whole photos. They learned to come near the photo, not to invent one. What no network can know stays
    away: they mend no scratches and fill no missing corners. Grey pictures stay grey.

    Options:
        scope: face restores the faces, photo everything; for both, the faces come first.
        amount: 0 leaves the picture as it is, 1 restores it in full; auto reads from each picture how much it needs,
            and leaves clean ones alone.
        weights: other weights of such a network than the bundled ones.
        strength: 1 is the result, 0 the photo.
    """

    side = 256
    multiple = 16
    whole_photo = WholePhoto()
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
        self.scope, self.amount, self.strength = scope, amount, strength
        loaded = manifest.load(weights or (FACE if scope == "face" else PHOTO))
        self.weights = (loaded.ref,)
        registry.expect(loaded, Restore)
        self.net = Restorer.from_tensors(loaded.tensors)

    def forward(self, faces: Tensor) -> Tensor:
        restored = self.net(faces, 1)
        grey = (faces.amax(dim=1) - faces.amin(dim=1)).amax(dim=(1, 2)) <= GREY
        restored = torch.where(grey[:, None, None, None], restored.mean(dim=1, keepdim=True), restored)
        return faces + self.strength * self.needed(faces)[:, None, None, None] * (restored - faces)

    def needed(self, pictures: Tensor) -> Tensor:
        """Return how much each picture is restored: (N,) 0..1."""
        if self.amount != "auto":
            return pictures.new_full((len(pictures),), self.amount)
        least, most = LIMITS[self.scope]
        return ((self.net.measure(pictures)[:, 0] - least) / (most - least)).clamp(0, 1)
