"""Age and gender editor: a network reads where each pixel lies on the mean face, arithmetic does the rest.

The average effect of age and gender on a face (prototypes, Rowland & Perrett 1995; detail after Tiddeman, Burt &
Perrett 2001) is stored as planes in the frame of the mean face: colour, gain of the detail bands, movement. Averages
lose some things, and these are drawn: the lines of old age, lashes; a beard is evened out to the colour of
the cheeks. The network says for each pixel which place of the planes it takes. So lines are as sharp as the planes,
and the face keeps its own resolution. The network is trained with the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.colour.beard import beard_removal
from ganchain.colour.filters import blur
from ganchain.colour.lab import from_lab, to_lab
from ganchain.colour.makeup import mean_colour
from ganchain.colour.unpainted import plain_lids, plain_lips
from ganchain.nets.unet import UNet
from ganchain.tensors import resize

SIDE = 256  # of the mean face's frame
INPUT_SIDE = 128  # side of the network's input; it can be small because the map is smooth
OFFSET = 4.0  # one unit of the network's answer, in px of SIDE
RIM = 16  # px of SIDE within which an edit fades in from the window's edge
SIGMAS = (1.0, 2.0, 4.0, 8.0)  # of the detail bands, in px of SIDE
GAIN = 1.0  # limit of the logarithm of a band's gain
PLAIN = 0.6  # share of what is dark in lashes and liner that a man loses
SKIN = (18.0, 8.0, 8.0)  # differences from the cheeks' L, a, b at which a colour stops being skin

# planes for a full step of age, the same for gender, then the cheeks
COLOUR, DETAIL, MOVE = 3, len(SIGMAS), 2
EFFECT = COLOUR + DETAIL + MOVE
DRAWN = 3  # planes: lines of old age, lashes (changes of L), and where a beard grows (0..1)


class Features(NamedTuple):
    """Planes (N, 1, S, S) 0..1 of the lips, of them with what is near them, of the lids and of the lash lines."""

    lips: Tensor
    near_lips: Tensor
    lids: Tensor
    lashes: Tensor


class Portrait(nn.Module):
    """Editor of age and gender for faces in the tight framing.

    Attributes:
        net: faces (N, 3, INPUT_SIDE, INPUT_SIDE) -> their place on the mean face, (N, 2, INPUT_SIDE, INPUT_SIDE), in
            OFFSET px of SIDE, right and down.
        planes: (2 * EFFECT + 1, P, P): colour in L*a*b*, logarithm of the gain of each band, movement in px of
            SIDE (where a pixel comes from), for age and for gender; then the cheeks (0..1).
        lines: (DRAWN, SIDE, SIDE): the drawn planes, see DRAWN.
    """

    planes: Tensor
    lines: Tensor

    def __init__(self, net: nn.Module, planes: Tensor, lines: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("planes", planes)
        self.register_buffer("lines", lines)

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is the state dict of a portrait editor, else None."""
        return dict(flat) if {"planes", "lines", "net.stem.weight"} <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Portrait:
        """Build the editor from its state dict ``tensors``."""
        net = {name.removeprefix("net."): tensor for name, tensor in tensors.items() if name.startswith("net.")}
        return cls(UNet.from_tensors(net, outputs=2), tensors["planes"], tensors["lines"])

    def forward(self, faces: Tensor, condition: Tensor) -> Tensor:
        """Edit faces (N, 3, S, S) -1..1 by (age, gender) (N, 2) -1..1 -> (N, 3, S, S); 0 changes nothing."""
        return self.edit(faces, self.offsets(faces), condition)

    def offsets(self, faces: Tensor) -> Tensor:
        """Read the places on the mean face with the network: faces of any side -> (N, 2, INPUT_SIDE, INPUT_SIDE)."""
        offsets: Tensor = self.net(resize(faces, (INPUT_SIDE, INPUT_SIDE)))
        return offsets

    def edit(self, faces: Tensor, offsets: Tensor, condition: Tensor, features: Features | None = None) -> Tensor:
        """Edit as ``forward`` does, with given ``offsets`` (N, 2, H, W) instead of the network's.

        Where the ``features`` of a face are known that becomes more male, its makeup is taken off: by what is usual
        among men, instead of by the mean change of all faces, which would turn lips without lipstick grey.
        """
        side = faces.shape[3]
        fade = rim(side, faces.device)
        place = grid(side, faces.device) + _grid_units(resize(offsets.float(), (side, side)) * OFFSET)
        age, gender = condition[:, 0, None, None, None], condition[:, 1, None, None, None]
        by_age, by_gender, cheeks = torch.split(self.planes, [EFFECT, EFFECT, 1])
        effect = _sample(age * by_age + gender * by_gender, place)
        colour, gains, move = torch.split(effect, [COLOUR, DETAIL, MOVE], dim=1)
        cheeks, drawn = (_sample(planes.expand(len(faces), -1, -1, -1), place) for planes in (cheeks, self.lines))
        wrinkles, lashes, beard = torch.split(drawn, 1, dim=1)
        lab = to_lab(faces)
        skin, cheek = skin_map(lab, cheeks)
        detail = bands(lab[:, :1])
        light = (gains.clamp(-GAIN, GAIN).expm1() * detail).sum(dim=1, keepdim=True)
        male, female = gender.clamp(min=0), (-gender).clamp(min=0)
        light = light + age.clamp(min=0) * wrinkles * skin + female * lashes
        shaven = 1 - male * beard  # beards are drawn, not averaged
        colour = colour * shaven
        if features is not None:
            own = _sample(gender * by_gender[:COLOUR], place)
            colour = colour + shaven * features.near_lips * (mean_colour(own, cheeks) - own)
            plain = plain_lips(lab, mean_colour(lab, features.lips), cheek)
            colour = colour + male * (features.near_lips * plain + features.lids * plain_lids(lab, cheek))
            light = light - PLAIN * male * features.lashes * detail.sum(dim=1, keepdim=True).clamp(max=0)
        if bool(female.any()):
            lab = lab + female * beard * beard_removal(lab, cheek, side / SIDE)
        changed = from_lab(lab + colour + F.pad(light, (0, 0, 0, 0, 0, 2)))
        edited = faces + fade * (changed - faces)
        moved = _sample(edited, grid(side, faces.device) + _grid_units(move * fade))
        return torch.where(fade > 0, moved, faces)

    def moved(self, points: Tensor, offsets: Tensor, condition: Tensor) -> Tensor:
        """Move points (N, K, 2) -1..1 of the window as ``edit`` moves what it shows."""
        place = points[:, None]
        mean = place + _grid_units(_sample(offsets.float(), place) * OFFSET)
        planes = _sample(self.planes.expand(len(points), -1, -1, -1), mean)
        age, gender = (planes[:, start : start + MOVE] for start in (EFFECT - MOVE, 2 * EFFECT - MOVE))
        move = condition[:, 0, None, None, None] * age + condition[:, 1, None, None, None] * gender
        fade = _sample(rim(SIDE, points.device).expand(len(points), 1, -1, -1), place)
        return (place - _grid_units(move * fade))[:, 0]  # an edit says where each pixel comes from


def bands(light: Tensor) -> Tensor:
    """Split lightness into differences of Gaussians, finest first: (N, 1, S, S) -> (N, len(SIGMAS), S, S)."""
    smooth = [light, *(blur(light, sigma * light.shape[3] / SIDE) for sigma in SIGMAS)]
    return torch.cat(smooth[:-1], dim=1) - torch.cat(smooth[1:], dim=1)


def skin_map(lab: Tensor, cheeks: Tensor) -> tuple[Tensor, Tensor]:
    """Find bare skin by the colour of the cheeks: hair, glasses and shadows get no lines.

    Returns:
        Map (N, 1, S, S) 0..1, and the cheeks' colour (N, 3, 1, 1).
    """
    total = cheeks.sum(dim=(2, 3), keepdim=True) + 1e-6
    colour = (lab * cheeks).sum(dim=(2, 3), keepdim=True) / total
    distance = ((lab - colour) / lab.new_tensor(SKIN)[:, None, None]).square().sum(dim=1, keepdim=True).sqrt()
    return blur((1.9 - distance).clamp(0, 1), 2.0 * lab.shape[3] / SIDE), colour


def grid(side: int, device: torch.device) -> Tensor:
    """Build the identity grid of ``grid_sample`` (align_corners False): (1, side, side, 2) x, y in -1..1."""
    axis = (torch.arange(side, device=device) * 2 + 1) / side - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[None]


def rim(side: int, device: torch.device) -> Tensor:
    """Build a window that is 0 on the outermost pixels and 1 from RIM px (of SIDE) inwards: (side, side)."""
    place = torch.arange(side, device=device, dtype=torch.float32)
    depth = (torch.minimum(place, side - 1 - place) / (RIM * side / SIDE)).clamp(0, 1)
    fade = depth.square() * (3 - 2 * depth)
    return fade[:, None] * fade[None]


def _grid_units(pixels: Tensor) -> Tensor:
    """Convert px of SIDE (N, 2, S, S) to the units of ``grid_sample``, (N, S, S, 2)."""
    return pixels.permute(0, 2, 3, 1) * (2 / SIDE)


def _sample(planes: Tensor, place: Tensor) -> Tensor:
    """Read ``planes`` at ``place``, bicubic."""
    return F.grid_sample(planes, place, "bicubic", "border", align_corners=False)
