"""CIE L*a*b* (D65) of tensors in -1..1; differentiable. Products are written out so that autocast keeps float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# linear sRGB (IEC 61966-2-1) to XYZ, each row divided by the white point's
_XYZ = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)
_RGB: list[list[float]] = torch.linalg.inv(torch.tensor(_XYZ, dtype=torch.float64)).tolist()
_LINEAR = 6 / 29  # below its cube, the cube root gives way to a straight line


def to_lab(faces: Tensor) -> Tensor:
    """Convert sRGB (N, 3, H, W) -1..1 to L*a*b* (N, 3, H, W): L 0..100, a and b about -100..100."""
    rgb = ((faces + 1) / 2).clamp(0, 1)
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _mix(linear, _XYZ)
    root = torch.where(xyz > _LINEAR**3, xyz.clamp(min=1e-4) ** (1 / 3), xyz / (3 * _LINEAR**2) + 4 / 29)
    x, y, z = root.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def from_lab(lab: Tensor) -> Tensor:
    """Convert L*a*b* (N, 3, H, W) to sRGB (N, 3, H, W) -1..1; colours out of gamut are clipped."""
    y = (lab[:, :1] + 16) / 116
    root = torch.cat([y + lab[:, 1:2] / 500, y, y - lab[:, 2:] / 200], dim=1)
    xyz = torch.where(root > _LINEAR, root**3, 3 * _LINEAR**2 * (root - 4 / 29))
    linear = _mix(xyz, _RGB).clamp(0, 1)
    rgb = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-4) ** (1 / 2.4) - 0.055, 12.92 * linear)
    return rgb * 2 - 1


def _mix(x: Tensor, rows: Sequence[Sequence[float]]) -> Tensor:
    """Multiply the channels by a 3 x 3 matrix."""
    return torch.stack([r * x[:, 0] + g * x[:, 1] + b * x[:, 2] for r, g, b in rows], dim=1)
