"""The network of the points: the 478 of a face in MediaPipe's topology, in three passes that share only their result.

The first pass places the face: nine points on a small picture. The second sees the face turned upright and at its own
size and finds all points at once, with how sure it is that there is a face at all. The third finds the points of each
eye (the left one mirrored, so that one network serves both) and of the mouth again, at their own resolution.

Coordinates are those of ``F.grid_sample``: -1 and 1 are the left and right (upper and lower) edges of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganchain.errors import WeightsError
from ganchain.faces.mesh import EYE, LIPS, MIRROR, MOUTH, POINTS, RIGHT_EYE

SIDE = 256  # px of the picture that is read
PLACE, LOOK, EYES, LIP = 64, 128, 56, 64  # px that the passes see: all, the upright face, an eye, the mouth
KEYS = (468, 473, 1, 61, 291, 152, 10, 234, 454)  # irises, tip of the nose, corners of the mouth, chin, brow, sides
CENTRE, REACH = 0.32, 1.6  # of the upright face's window below the irises, and half its side, in iris distances
EYE_REACH, MOUTH_REACH = 0.45, 0.65  # half the sides of the windows of an eye and of the mouth, in iris distances


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, norm: bool = False) -> nn.Sequential:
    """Build a convolution; with ``norm`` followed by batch normalisation, which ``folded`` takes away again."""
    plain = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=not norm)
    return nn.Sequential(plain, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(plain)


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut. (N, C, H, W) -> the same."""

    def __init__(self, width: int, norm: bool = False) -> None:
        super().__init__()
        self.first = convolution(width, width, norm=norm)
        self.second = convolution(width, width, norm=norm)
        if norm:
            nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # each block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.second(F.silu(self.first(x))))


class Reader(nn.Module):
    """Network from a picture to points: convolutions down to a small map that is flattened, so that layout is kept.

    Args:
        side: of the pictures, px.
        points: how many are read.
        widths: channels of each level, finest first; level k works at 1/2**(k+1) of the side.
        depths: residual blocks of each level.
        channels: of the map that is flattened.
        rank: numbers that the points are a linear function of.
        sure: whether a logit is given as well.
        norm: whether batch normalisation follows each convolution (in training).

    Shapes: (N, 3, side, side) -1..1 -> (N, 2 * points + sure), points as x, y, x, y ...
    """

    accelerable = ("features",)

    def __init__(
        self,
        side: int,
        points: int,
        widths: Sequence[int],
        depths: Sequence[int],
        channels: int,
        rank: int,
        sure: bool = False,
        norm: bool = False,
    ) -> None:
        super().__init__()
        self.stem = convolution(3, widths[0], stride=2, norm=norm)
        self.down = nn.ModuleList(convolution(a, b, stride=2, norm=norm) for a, b in pairwise(widths))
        self.levels = nn.ModuleList(
            nn.Sequential(*(Residual(width, norm) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.squeeze = convolution(widths[-1], channels, 1, norm=norm)
        self.forget = nn.Dropout(0.1)
        size = channels * (-(-side // 2 ** len(widths))) ** 2
        self.shape = nn.Linear(size, rank)
        self.points = nn.Linear(rank, 2 * points)
        self.sure = nn.Linear(size, 1) if sure else None

    def forward(self, pictures: Tensor) -> Tensor:
        return self.answer(self.features(pictures))

    def features(self, pictures: Tensor) -> Tensor:
        """Compute the flattened map; half precision does here."""
        x = self.levels[0](F.silu(self.stem(pictures)))
        for down, level in zip(self.down, self.levels[1:], strict=True):
            x = level(F.silu(down(x)))
        flat: Tensor = self.forget(F.silu(self.squeeze(x)).flatten(1))
        return flat

    def answer(self, flat: Tensor) -> Tensor:
        """Compute the points of a flattened map; half precision would round them."""
        read: Tensor = self.points(self.shape(flat))
        return read if self.sure is None else torch.cat([read, self.sure(flat)], dim=1)


class Points(nn.Module):
    """Network that reads the points of faces in the framing ``ganchain.faces.mesh.WINDOW``.

    Shapes: (N, 3, SIDE, SIDE) -1..1 -> (N, 2 * POINTS + 1): x, y of each point in -1..1 of the picture (beyond it
    where the face is), then the logit of there being a face.

    Attributes:
        mean: (POINTS, 2), the mean face: irises level and 1 apart, 0 halfway between them.
    """

    mean: Tensor
    place: Reader
    look: Reader
    eye: Reader
    mouth: Reader

    def __init__(self, sizes: Mapping[str, tuple[Sequence[int], Sequence[int], int, int]], norm: bool = False) -> None:
        """Build the readers of ``READERS``; ``sizes``: widths, depths, channels and rank of each."""
        super().__init__()
        for name, (side, points) in READERS.items():
            setattr(self, name, Reader(side, points, *sizes[name], sure=name == "look", norm=norm))
        self.register_buffer("mean", torch.zeros(POINTS, 2))

    @classmethod
    def recognise(cls, flat: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return ``flat`` if it is such a network's own state dict, else None."""
        wanted = {"mean"} | {f"{name}.points.weight" for name in READERS}
        return dict(flat) if wanted <= set(flat) else None

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Points:
        """Build the network whose (folded) state dict ``tensors`` is; sizes are read from the shapes."""
        for name, (_, points) in READERS.items():
            count = tensors[f"{name}.points.bias"].numel() // 2
            if count != points:
                raise WeightsError(f"these weights read {count} points where {points} are wanted: another topology")
        net = cls({name: _sizes(tensors, name) for name in READERS})
        net.load_state_dict(dict(tensors))
        return net

    def forward(self, faces: Tensor) -> Tensor:
        half = F.avg_pool2d(faces, 2)
        frame = self.placed(F.avg_pool2d(half, 2))
        points, sure = self.looked(half, frame)
        return torch.cat([self.refined(faces, points).flatten(1), sure], dim=1)

    def placed(self, quarter: Tensor) -> Tensor:
        """Run the first pass: (N, 3, PLACE, PLACE) -> (N, 2, 3), mean face -> picture."""
        return similarity(self.mean[list(KEYS)], self.place(quarter).unflatten(1, (-1, 2)))

    def looked(self, half: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Run the second pass: (N, 3, LOOK, LOOK) and frames (N, 2, 3) -> points (N, POINTS, 2), logits (N, 1)."""
        read = self.look(window(half, upright(frame), LOOK))
        return moved(read[:, :-1].unflatten(1, (-1, 2)), frame), read[:, -1:]

    def refined(self, faces: Tensor, points: Tensor) -> Tensor:
        """Run the third pass: (N, 3, SIDE, SIDE) and points (N, POINTS, 2) -> the same, eyes and mouth read anew."""
        right, left, mouth = close_ups(points, similarity(self.mean[list(KEYS)], points[:, list(KEYS)]))
        eyes = self.eye(torch.cat([window(faces, right, EYES), window(faces, left, EYES)])).unflatten(1, (-1, 2))
        lips = self.mouth(window(faces, mouth, LIP)).unflatten(1, (-1, 2))
        n = len(faces)
        places = [*EYE, *(MIRROR[point] for point in EYE), *MOUTH]
        refined = torch.cat([moved(eyes[:n], right), moved(eyes[n:], left), moved(lips, mouth)], dim=1)
        source = list(range(POINTS))
        for number, place in enumerate(places):
            source[place] = POINTS + number
        return torch.cat([points, refined], dim=1)[:, source]


# what each reader sees (px) and reads; the order is that of the passes
READERS = {"place": (PLACE, len(KEYS)), "look": (LOOK, POINTS), "eye": (EYES, len(EYE)), "mouth": (LIP, len(MOUTH))}


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """Fit the least-squares similarities (N, 2, 3) from points (K, 2) or (N, K, 2) to points (N, K, 2)."""
    a, b = source - source.mean(dim=-2, keepdim=True), target - target.mean(dim=-2, keepdim=True)
    norm = (a * a).sum(dim=(-2, -1))
    cos = (a * b).sum(dim=(-2, -1)) / norm
    sin = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(dim=-1) / norm
    linear = torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)
    shift = target.mean(dim=-2)[..., None] - linear @ source.mean(dim=-2)[..., None]
    return torch.cat([linear, shift], dim=-1)


def moved(points: Tensor, matrix: Tensor) -> Tensor:
    """Map points (N, K, 2) by (N, 2, 3)."""
    return points @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]


def within(matrix: Tensor, x: float, y: float, reach: float) -> Tensor:
    """Place the square of half side ``reach`` around (x, y) of the plane that a (N, 2, 3) maps to a picture."""
    shift = matrix[:, :, 2] + matrix[:, :, 0] * x + matrix[:, :, 1] * y
    return torch.cat([matrix[:, :, :2] * reach, shift[:, :, None]], dim=2)


def upright(frame: Tensor) -> Tensor:
    """Place the window of the second pass: (N, 2, 3), window -> picture."""
    return within(frame, 0.0, CENTRE, REACH)


def close_ups(points: Tensor, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Place the windows of the right eye, the left eye (mirrored) and the mouth: each (N, 2, 3), window -> picture.

    Args:
        points: (N, POINTS, 2) in the picture.
        frame: (N, 2, 3), mean face -> picture; gives turn and size.
    """
    left_eye = [MIRROR[point] for point in RIGHT_EYE]
    flip = torch.tensor([-1.0, 1.0]).to(frame)
    windows = []
    for ring, reach in ((list(RIGHT_EYE), EYE_REACH), (left_eye, EYE_REACH * flip), (list(LIPS), MOUTH_REACH)):
        centre = points[:, ring].mean(dim=1)
        windows.append(torch.cat([frame[:, :, :2] * reach, centre[:, :, None]], dim=2))
    return windows[0], windows[1], windows[2]


def window(pictures: Tensor, matrix: Tensor, side: int) -> Tensor:
    """Cut windows (N, 2, 3), window -> picture, out of (N, 3, H, W): (N, 3, side, side)."""
    grid = F.affine_grid(matrix, [len(pictures), 3, side, side], align_corners=False)
    return F.grid_sample(pictures, grid.to(pictures.dtype), padding_mode="border", align_corners=False)


def folded(net: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of ``net`` with each batch normalisation made part of the convolution before it."""
    state = {key: value.detach().float() for key, value in net.state_dict().items()}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            stem = name.rpartition(".")[0]
            gain = state.pop(f"{name}.weight") / (state.pop(f"{name}.running_var") + module.eps).sqrt()
            bias = state.pop(f"{name}.bias") - state.pop(f"{name}.running_mean") * gain
            state.pop(f"{name}.num_batches_tracked")
            state[f"{stem}.0.weight"] = state[f"{stem}.0.weight"] * gain[:, None, None, None]
            state[f"{stem}.0.bias"] = bias
    return state


def _sizes(tensors: Mapping[str, Tensor], reader: str) -> tuple[list[int], list[int], int, int]:
    """Read widths, depths, channels and rank of a reader."""
    levels = 1 + len({key.split(".")[2] for key in tensors if key.startswith(f"{reader}.down.")})
    keys = [key for key in tensors if key.startswith(f"{reader}.levels.") and key.endswith(".first.0.weight")]
    depths = [sum(key.startswith(f"{reader}.levels.{level}.") for key in keys) for level in range(levels)]
    stem = tensors[f"{reader}.stem.0.weight"].shape[0]
    widths = [stem, *(tensors[f"{reader}.down.{level}.0.weight"].shape[0] for level in range(levels - 1))]
    return widths, depths, tensors[f"{reader}.squeeze.0.weight"].shape[0], tensors[f"{reader}.shape.weight"].shape[0]
