"""Losses of the three passes that read points, and the figures of what was read.

Each pass learns by itself, in the windows that the passes before it give: the true ones, a little wrong, at first; half
of them the network's own later. Loss: the mean distance of the points in iris distances, which is also the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ganchain.faces.mesh import EYE, IRISES, LEFT_EYE, LIPS, MIRROR, MOUTH, POINTS, RIGHT_EYE
from ganchain.nets import points as net
from ganchain.train.datasets.points import Seen, openings

KEYS, LEFT = list(net.KEYS), [MIRROR[point] for point in EYE]
EYES, GAPS = [*RIGHT_EYE, *LEFT_EYE], ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373), (13, 14))


def pairs(numbers: Tensor) -> Tensor:
    """Turn (N, 2 * K) numbers x, y, x, y ... into points (N, K, 2)."""
    return numbers.reshape(len(numbers), -1, 2)


def begin(network: net.Points, points: Tensor) -> None:
    """Let every reader start from mean places; ``points`` (N, 478, 2) of upright faces, all in one scale."""
    eyes = points[:, [468, 473]]
    level = torch.tensor([[-0.5, 0.0], [0.5, 0.0]]).to(points)
    mean = net.moved(points, net.similarity(eyes, level.expand_as(eyes))).mean(dim=0)
    mean = (mean + mean[list(MIRROR)] * torch.tensor([-1.0, 1.0]).to(mean)) / 2
    still = torch.eye(2, 3).to(mean)[None]
    right, _, mouth = net.close_ups(mean[None], still)
    places = {
        "place": mean[KEYS] * 0.6 + torch.tensor([0.0, -0.3]).to(mean),
        "look": mean,
        "eye": (mean[list(EYE)] - right[0, :, 2]) / net.EYE_REACH,
        "mouth": (mean[list(MOUTH)] - mouth[0, :, 2]) / net.MOUTH_REACH,
    }
    with torch.no_grad():
        network.mean.copy_(mean)
        for name, place in places.items():
            getattr(network, name).points.bias.copy_(place.flatten())


def weights() -> Tensor:
    """Weigh the points, (478,): those of small parts count more."""
    counts = torch.ones(POINTS)
    counts[[*EYES, *LIPS]] = 2.0
    counts[list(IRISES)] = 3.0
    return counts


def passes(network: net.Points, seen: Seen, own: float = 0.5) -> dict[str, Tensor]:
    """Compute the losses of all readers.

    Args:
        own: share of the windows of later passes that come from the network's own earlier passes.
    """
    points, faces = seen.points, seen.faces
    n, device = len(faces), faces.device
    unit = (points[:, 468] - points[:, 473]).norm(dim=1).clamp(min=0.05)[:, None]
    counts = seen.weights * weights().to(device)

    def distance(read: Tensor, places: Sequence[int]) -> Tensor:
        far = (read - points[:, places]).square().sum(dim=2).add(1e-8).sqrt() / unit
        return (far.clamp(max=3) * counts[:, places]).sum() / counts[:, places].sum().clamp(min=1)

    def read(name: str, picture: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            flat = getattr(network, name).features(picture.contiguous(memory_format=torch.channels_last))
        answer: Tensor = getattr(network, name).answer(flat.float())
        return answer

    def gaps(read: Tensor, ends: list[tuple[int, int]], places: list[int]) -> Tensor:
        a, b = ([places.index(pair[end]) for pair in ends] for end in (0, 1))
        true = points[:, places]
        off = ((read[:, a] - read[:, b]) - (true[:, a] - true[:, b])).abs().sum(dim=2) / unit
        return (off.clamp(max=1) * seen.weights[:, :1].ceil()).mean()

    half = F.avg_pool2d(faces, 2)
    keys = pairs(read("place", F.avg_pool2d(half, 2)))
    mine = net.similarity(network.mean[KEYS], keys.detach())
    real = seen.weights.amax(dim=1) > 0
    true = net.similarity(network.mean[KEYS], torch.where(real[:, None, None], points[:, KEYS], keys.detach()))
    pick = (torch.rand(n, device=device) < own) | ~real
    frame = torch.where(pick[:, None, None], mine, shaken(true, 0.05))
    looked = read("look", net.window(half, net.upright(frame), net.LOOK))
    mesh = net.moved(pairs(looked[:, :-1]), frame)

    pick = ((torch.rand(n, device=device) < own) | ~real)[:, None, None]
    base = torch.where(pick, mesh.detach(), points)
    frame = net.similarity(network.mean[KEYS], base[:, KEYS])
    right, left, mouth = net.close_ups(base, torch.where(pick, frame, shaken(frame, 0.03)))
    shift = 0.03 * unit[:, :, None] * torch.randn(3, n, 2, 1, device=device) * ~pick
    shifts = zip((right, left, mouth), shift, strict=True)
    windows = [torch.cat([each[:, :, :2], each[:, :, 2:] + off], dim=2) for each, off in shifts]
    eyes = pairs(read("eye", torch.cat([net.window(faces, each, net.EYES) for each in windows[:2]])))
    lips = net.moved(pairs(read("mouth", net.window(faces, windows[2], net.LIP))), windows[2])
    right_eye, left_eye = net.moved(eyes[:n], windows[0]), net.moved(eyes[n:], windows[1])
    known = ~seen.sure.isnan()
    sure = F.binary_cross_entropy_with_logits(looked[:, -1], seen.sure.nan_to_num(), reduction="none")
    return {
        "place": distance(keys, KEYS),
        "look": 2 * distance(mesh, list(range(POINTS))),
        "eyes": distance(right_eye, list(EYE)) + distance(left_eye, LEFT),
        "mouth": distance(lips, list(MOUTH)),
        "gaps": gaps(right_eye, list(GAPS[:3]), list(EYE))
        + gaps(left_eye, list(GAPS[3:6]), LEFT)
        + gaps(lips, [GAPS[6]], list(MOUTH)),
        "sure": 0.1 * (sure * known).sum() / known.sum().clamp(min=1),
    }


def shaken(frame: Tensor, amount: float) -> Tensor:
    """Turn, scale and shift frames (N, 2, 3) a little, as earlier passes err; ``amount`` in iris distances."""
    n, device = len(frame), frame.device
    angle, size = amount * 1.2 * torch.randn(n, device=device), torch.exp(amount * torch.randn(n, device=device))
    cos, sin = angle.cos() * size, angle.sin() * size
    turn = torch.stack([cos, -sin, sin, cos], dim=1).view(n, 2, 2)
    shift = amount * 0.8 * torch.randn(n, 2, 1, device=device)
    return torch.cat([frame[:, :, :2] @ turn, frame[:, :, 2:] + frame[:, :, :2] @ shift], dim=2)


def errors(read: Tensor, points: Tensor) -> Tensor:
    """Measure distances (N, 478) of read points from true ones, in per cent of the iris distance."""
    unit = (points[:, 468] - points[:, 473]).norm(dim=1).clamp(min=1e-6)
    return (read - points).norm(dim=2) / unit[:, None] * 100


def means(distances: Tensor) -> dict[str, float]:
    """Average ``errors`` over all points and over parts, and take the worst face's mean."""
    groups = {"eyes": EYES, "irises": list(IRISES), "lips": list(LIPS)}
    by_part = {name: float(distances[:, places].mean()) for name, places in groups.items()}
    return {"mean": float(distances.mean()), **by_part, "worst": float(distances.mean(dim=1).max())}


def follows(read: Tensor, points: Tensor) -> dict[str, float]:
    """Measure how well the openings of eyes and mouth follow: correlations over the faces."""
    both = zip(("blink", "mouth"), openings(read), openings(points), strict=True)
    return {name: float(torch.corrcoef(torch.stack([a, b]))[0, 1]) for name, a, b in both}
