"""Tones and ink: the two layers that a network draws over a picture, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.tensors import resize

SCALE = 2  # side of a drawing / side of its picture
PLANES = 4  # the network's output: the change of red, green and blue, and ink
DEPTH = 0.85  # share of a tone's light that a line takes
INK = ((0.78, 0.10), (0.62, 0.15), (0.44, 0.22), (0.24, 0.33))  # lightness, and how much darker paper is below it
CELLS = 32  # along each side of a drawing, in which its light is compared with the photo's
PLAIN = (0.03, 0.08)  # neighbouring cells that differ by less than the first are plain, by more not at all
SAME_COLOUR = 0.08  # how far a pixel may be from the plain colour beside it and belong to it
NEAR = 6.0  # a cell with one plain neighbour in six is near enough


def enlarge(faces: Tensor) -> Tensor:
    """Enlarge faces to the picture that the drawing starts from: (N, 3, H, W) -> (N, 3, 2 H, 2 W), both -1..1."""
    height, width = faces.shape[2:]
    return resize(faces, (height * SCALE, width * SCALE)).clamp(-1, 1)


def layers(net: nn.Module, faces: Tensor, large: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Draw ``faces`` (N, 3, H, W) -1..1 with ``net`` as two layers; ``large`` are the faces enlarged by ``enlarge``.

    Returns:
        flat: (N, 3, 2 H, 2 W) the tones, -1..1 but for the network's overshoot.
        ink: (N, 1, 2 H, 2 W) 0..1.
    """
    planes: Tensor = net(faces).float()
    return (enlarge(faces) if large is None else large) + planes[:, :3], torch.sigmoid(planes[:, 3:])


def draw_colour(flat: Tensor, ink: Tensor) -> Tensor:
    """Draw the lines over the tones; they keep the hue of the tone: a dark brown line on skin, not a black one."""
    return (flat.clamp(-1, 1) + 1) * (1 - DEPTH * ink) - 1


def match_rim(flat: Tensor, large: Tensor) -> Tensor:
    """Give ``flat`` the light of ``large`` towards the rim, so that no halo shows where one fades into the other.

    The added light is smooth, as in seamless cloning (Pérez, Gangnet, Blake 2003), but need not reach the middle. A
    plain background gets all of its own light back, up to the outline of the head.
    """
    height, width = flat.shape[2:]
    light = F.adaptive_avg_pool2d(large, CELLS)
    difference = light - F.adaptive_avg_pool2d(flat, CELLS)
    y, x = (torch.linspace(-1, 1, side, device=flat.device).abs() for side in (height, width))
    rim = (((y[:, None] ** 4 + x**4) ** 0.25 - 0.35) / 0.45).clamp(0, 1)
    plain = plain_background(light)
    weight = _blurred(plain)
    colour, lost = (_blurred(plain * cells) / weight.clamp(min=1e-6) for cells in (light, difference))
    colour, lost = (F.interpolate(cells, size=(height, width), mode="bilinear") for cells in (colour, lost))
    away = (large - colour).abs().amax(dim=1, keepdim=True)
    member = (NEAR * resize(weight, (height, width))).clamp(0, 1) * torch.exp(-((away / SAME_COLOUR) ** 2))
    return flat + torch.lerp(resize(difference, (height, width)) * rim, lost, member)


def plain_background(light: Tensor) -> Tensor:
    """Find what is plain and reaches the rim without a break: (N, 3, CELLS, CELLS) mean colours -> (N, 1, ...) 0..1."""
    padded = F.pad(light, (1, 1, 1, 1), mode="replicate")
    unevenness = (F.max_pool2d(padded, 3, 1) + F.max_pool2d(-padded, 3, 1)).amax(dim=1, keepdim=True)
    low, high = PLAIN
    plain = ((high - unevenness) / (high - low)).clamp(0, 1)
    reached = plain.clone()
    reached[..., 1:-1, 1:-1] = 0
    for _ in range(CELLS):
        reached = torch.minimum(plain, F.max_pool2d(reached, 3, 1, 1))
    return reached


def _blurred(cells: Tensor) -> Tensor:
    """Average over squares of 5 x 5 cells."""
    return F.avg_pool2d(F.pad(cells, (2, 2, 2, 2), mode="replicate"), 5, 1)


def draw_ink(flat: Tensor, ink: Tensor) -> Tensor:
    """Draw black lines on paper, and four greys where the tones are darker: likeness needs shadows, too."""
    light = (flat.clamp(-1, 1) + 1) / 2
    light = (light.mean(dim=1, keepdim=True) + light.amax(dim=1, keepdim=True)) / 2  # a strong colour is no shadow
    paper = 1 - sum((step * torch.sigmoid((below - light) / 0.03) for below, step in INK), torch.zeros_like(light))
    return (2 * paper * (1 - ink) - 1).expand_as(flat)


LOOKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"filter": draw_colour, "ink": draw_ink}
