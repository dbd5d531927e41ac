"""StarGAN in the place of the bundled attribute editor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ganchain.checkpoints import architectures
from ganchain.checkpoints.manifest import Weights
from ganchain.errors import OptionError
from ganchain.framing import CELEBA
from ganchain.nets.stargan import StarGAN
from ganchain.stage import Stage

LABELS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")  # the order of the published training
HAIR = ("black", "blond", "brown")
MALE, YOUNG = LABELS.index("Male"), LABELS.index("Young")
KEEP = "keep"
KNOWN: Mapping[str, tuple[str | None, ...]] = {
    "hair": (KEEP, *HAIR),
    "beard": (KEEP, None),
    "gender": (KEEP, "female", "male"),
    "age": (KEEP, "young", "old"),
}


class StarGANEditor(Stage):
    """Set labels of CelebA on faces (Choi et al. 2018): hair one of three, Male, Young.

    The generator wants all labels of the target. Those that are to be kept are read from the source by the
    discriminator's class head.
    """

    framing = CELEBA

    def __init__(self, weights: Weights, asked: Mapping[str, object], strength: float) -> None:
        """Take the attributes ``asked`` for, by option.

        Raises:
            OptionError: the network cannot do this.
        """
        super().__init__()
        for option, value in asked.items():
            if value not in KNOWN[option]:
                raise OptionError(
                    f"{weights.ref} cannot do this; it takes {', '.join(filter(None, KNOWN[option]))}", option=option
                )
        hair, gender, age = (str(asked[option]) for option in ("hair", "gender", "age"))
        self.net = cast(StarGAN, architectures.build("stargan", weights.tensors))
        if self.net.labels != len(LABELS):
            raise OptionError(
                f"{weights.ref} was trained on {self.net.labels} labels; {', '.join(LABELS)} wanted", option="weights"
            )
        self.side = self.net.side or weights.side
        if self.side is None:
            raise OptionError(
                f"{weights.ref} does not tell the side it was trained at; import it first: "
                "ganchain weights import G.ckpt D.ckpt",
                option="weights",
            )
        kept_options = [name for name, value in (("hair", hair), ("gender", gender), ("age", age)) if value == KEEP]
        self.edits = len(kept_options) < 3
        if self.edits and kept_options and self.net.discriminator is None:
            raise OptionError(
                "'keep' needs StarGAN's discriminator, which tells what the source is like; import it along with the "
                "generator, or say what hair, gender and age shall be",
                option=kept_options[0],
            )
        self.colours = () if hair in (KEEP, "black") else ("hair",)
        self.hair, self.gender, self.age, self.strength = hair, gender, age, strength

    def labels(self, faces: Tensor) -> Tensor:
        """Compute the target's labels: (N, 3, S, S) -> (N, 5), 0 or 1."""
        labels = faces.new_zeros(len(faces), len(LABELS))
        if self.net.discriminator is not None:
            logits = self.net.discriminator(faces)[1]
            labels = (logits > 0).to(faces)
            hair = logits[:, : len(HAIR)]
            labels[:, : len(HAIR)] *= one_hot(hair.argmax(dim=1), len(HAIR))  # one of the three at most
        if self.hair != KEEP:
            hair_labels = torch.tensor([float(self.hair == colour) for colour in HAIR])
            labels[:, : len(HAIR)] = hair_labels.to(labels)
        if self.gender != KEEP:
            labels[:, MALE] = float(self.gender == "male")
        if self.age != KEEP:
            labels[:, YOUNG] = float(self.age == "young")
        return labels

    def forward(self, faces: Tensor) -> Tensor:
        if not self.edits:
            return faces
        return torch.lerp(faces, self.net.generator(faces, self.labels(faces)), self.strength)
