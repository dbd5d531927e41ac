"""Losses of the papers: scalars to be minimised, means over the batch.

"Realness" is a discriminator's output before any sigmoid, of any shape: one number a picture, or one a patch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def minimax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the discriminator's loss of Goodfellow et al. 2014, eq. 1: -log D(x) - log(1 - D(G(z))).

    Realness of real and fake pictures -> 0.. (2 log 2 = 1.386 when it cannot tell them).
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """Compute -log D(G(z)) -> 0.. (Goodfellow et al. 2014, end of section 3).

    It is SRGAN's l_Gen, too (Ledig et al. 2017, eq. 6).
    """
    return F.softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the loss of LSGAN (Mao et al. 2017, eq. 2 with a = 0 and b = 1), halved as in CycleGAN.

    Realness, wanted 1 of real and 0 of fake pictures -> 0.. (0.25 when it cannot tell them). CycleGAN: Zhu et al. 2017,
    appendix 7.1.
    """
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor) -> Tensor:
    """Compute (D(G(x)) - 1)^2 -> 0.. (CycleGAN, Zhu et al. 2017, section 4)."""
    return (fake - 1).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Compute D(G(x, c)) - D(x), unbounded (StarGAN, Choi et al. 2018, eq. 8 without its penalty, negated)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """Compute -D(G(x, c)), unbounded (StarGAN, Choi et al. 2018, eq. 8, the generator's part)."""
    return -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Compute WGAN-GP's penalty (Gulrajani et al. 2017, eq. 3) without its weight: (|grad D(x)| - 1)^2 -> 0..

    x is a random mixture of ``real`` and ``fake`` (N, C, H, W). The realness of patches is summed before it is
    differentiated, as in StarGAN's published training.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    mixture = (share * real + (1 - share) * fake).detach().requires_grad_()
    with torch.enable_grad():
        realness = critic(mixture).float()
        (slope,) = torch.autograd.grad(realness.sum(), mixture, create_graph=True)
    return (slope.float().flatten(1).norm(dim=1) - 1).square().mean()


def domain_classification(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute -log D_cls(c|x) of independent labels of 0 and 1, both (N, L) -> 0..

    StarGAN, Choi et al. 2018, eq. 2 and 3.
    """
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()


def reconstruction(pictures: Tensor, returned: Tensor) -> Tensor:
    """Compute |x - G(G(x, c), c')|, a mean over pixels -> 0..2 (StarGAN, Choi et al. 2018, eq. 4)."""
    return (pictures - returned).abs().mean()


def cycle_consistency(pictures: Tensor, returned: Tensor) -> Tensor:
    """Compute |F(G(x)) - x| of one direction, a mean over pixels -> 0..2 (CycleGAN, Zhu et al. 2017, eq. 2)."""
    return (returned - pictures).abs().mean()


def identity_mapping(pictures: Tensor, mapped: Tensor) -> Tensor:
    """Compute |G(y) - y| of one direction, a mean over pixels -> 0..2 (CycleGAN, Zhu et al. 2017, section 5.2)."""
    return (mapped - pictures).abs().mean()


def content_mse(fake: Tensor, photos: Tensor) -> Tensor:
    """Compute SRGAN's l_MSE (Ledig et al. 2017, eq. 4): squared error, a mean over pixels -> 0..4."""
    return (fake - photos).square().mean()


def content_vgg(fake: Tensor, photos: Tensor) -> Tensor:
    """Compute SRGAN's l_VGG (Ledig et al. 2017, eq. 5) of feature maps, a mean over positions and channels -> 0.."""
    return (fake - photos).square().mean()


def perceptual(real: Tensor, fake: Tensor) -> Tensor:
    """Compute BeautyGAN's perceptual loss, the squared error of feature maps -> 0..

    Li et al. 2018, domain-level transfer.
    """
    return (real - fake).square().mean()


def makeup(fake: Tensor, reference: Tensor, fake_region: Tensor, reference_region: Tensor) -> Tensor:
    """Compute BeautyGAN's makeup loss of one kind of region (Li et al. 2018, instance-level transfer) -> 0..4.

    It is the squared distance to the region after histogram matching, a mean over its pixels. Faces without the region
    cost nothing.

    Args:
        fake, reference: the generated face and the one whose makeup it shall wear, (N, 3, H, W) -1..1.
        fake_region, reference_region: the region in them, (N, H, W) bool.
    """
    total = fake.new_zeros(())
    for face, reference_face, region, other_region in zip(fake, reference, fake_region, reference_region, strict=True):
        if region.any() and other_region.any():
            values = face[:, region]
            matched = [histogram_matching(a, b) for a, b in zip(values, reference_face[:, other_region], strict=True)]
            total = total + (values - torch.stack(matched)).square().mean()
    return total / len(fake)


@torch.no_grad()
def histogram_matching(source: Tensor, reference: Tensor) -> Tensor:
    """Replace each value of ``source`` (n,) by that of ``reference`` (m,) at its quantile -> (n,): BeautyGAN's HM."""
    rank = torch.searchsorted(source.sort().values, source.contiguous(), right=True)  # out of n
    values, counts = torch.unique(reference, return_counts=True)
    ranks, rank = counts.cumsum(0) * len(source), rank * len(reference)  # both out of n * m, so that they are exact
    after = torch.searchsorted(ranks, rank)
    before = (after - 1).clamp(min=0)
    share = (rank - ranks[before]) / (ranks[after] - ranks[before]).clamp(min=1)
    return values[before].lerp(values[after], share.to(values.dtype))
