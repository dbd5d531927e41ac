"""The papers' losses: scalars to be minimised, means over the batch.

"Realness" is a discriminator's answer before any sigmoid, of any shape: one number a picture, or one a patch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def minimax_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, eq. 1, as the discriminator's loss: -log D(x) - log(1 - D(G(z))).

    Realness of real and made pictures -> 0.. (2 log 2 = 1.386 when it cannot tell them).
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """Goodfellow et al. 2014, end of section 3, and SRGAN's l_Gen (Ledig et al. 2017, eq. 6): -log D(G(z)) -> 0.."""
    return F.softplus(-fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """LSGAN (Mao et al. 2017, eq. 2 with a = 0 and b = 1), halved in CycleGAN too (Zhu et al. 2017, appendix 7.1).

    Realness, wanted 1 of real and 0 of made pictures -> 0.. (0.25 when it cannot tell them).
    """
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def least_squares_generator(fake: Tensor) -> Tensor:
    """CycleGAN (Zhu et al. 2017, section 4): (D(G(x)) - 1)^2 -> 0.."""
    return (fake - 1).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """StarGAN (Choi et al. 2018, eq. 8 without its penalty, negated): D(G(x, c)) - D(x), unbounded."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """StarGAN (Choi et al. 2018, eq. 8, the generator's part): -D(G(x, c)), unbounded."""
    return -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP (Gulrajani et al. 2017, eq. 3) without its weight: (|grad D(x)| - 1)^2 -> 0..

    x lies anywhere between ``real`` and ``fake`` (N, C, H, W). Of a critic of patches, their sum is differentiated,
    as in StarGAN's published training.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    with torch.enable_grad():
        realness = critic(between).float()
        (slope,) = torch.autograd.grad(realness.sum(), between, create_graph=True)
    return (slope.float().flatten(1).norm(dim=1) - 1).square().mean()


def domain_classification(logits: Tensor, labels: Tensor) -> Tensor:
    """StarGAN (Choi et al. 2018, eq. 2 and 3): -log D_cls(c|x) of independent labels of 0 and 1, both (N, L) -> 0.."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()


def reconstruction(pictures: Tensor, returned: Tensor) -> Tensor:
    """StarGAN (Choi et al. 2018, eq. 4): |x - G(G(x, c), c')|, a mean over pixels -> 0..2."""
    return (pictures - returned).abs().mean()


def cycle_consistency(pictures: Tensor, returned: Tensor) -> Tensor:
    """CycleGAN (Zhu et al. 2017, eq. 2), one direction: |F(G(x)) - x|, a mean over pixels -> 0..2."""
    return (returned - pictures).abs().mean()


def identity_mapping(pictures: Tensor, same: Tensor) -> Tensor:
    """CycleGAN (Zhu et al. 2017, section 5.2), one direction: |G(y) - y|, a mean over pixels -> 0..2."""
    return (same - pictures).abs().mean()


def content_mse(made: Tensor, photos: Tensor) -> Tensor:
    """SRGAN's l_MSE (Ledig et al. 2017, eq. 4): squared error, a mean over pixels -> 0..4."""
    return (made - photos).square().mean()


def content_vgg(made: Tensor, photos: Tensor) -> Tensor:
    """SRGAN's l_VGG (Ledig et al. 2017, eq. 5) of feature maps, a mean over positions and channels -> 0.."""
    return (made - photos).square().mean()


def perceptual(source: Tensor, made: Tensor) -> Tensor:
    """BeautyGAN's perceptual loss (Li et al. 2018, domain-level transfer): squared error of feature maps -> 0.."""
    return (source - made).square().mean()


def makeup(made: Tensor, worn: Tensor, own: Tensor, theirs: Tensor) -> Tensor:
    """BeautyGAN's makeup loss of one kind of region (Li et al. 2018, instance-level transfer) -> 0..4.

    The squared distance to what histogram matching makes of the region, a mean over its pixels. Faces without the
    region cost nothing.

    Args:
        made, worn: the made face and the one whose makeup it shall wear, (N, 3, H, W) -1..1.
        own, theirs: where the region is in them, (N, H, W) bool.
    """
    total = made.new_zeros(())
    for face, other, here, there in zip(made, worn, own, theirs, strict=True):
        if here.any() and there.any():
            values = face[:, here]
            matched = [histogram_matching(a, b) for a, b in zip(values, other[:, there], strict=True)]
            total = total + (values - torch.stack(matched)).square().mean()
    return total / len(made)


@torch.no_grad()
def histogram_matching(source: Tensor, reference: Tensor) -> Tensor:
    """BeautyGAN's HM: each value of ``source`` (n,) becomes the one of ``reference`` (m,) at its quantile -> (n,)."""
    rank = torch.searchsorted(source.sort().values, source.contiguous(), right=True)  # of n
    values, counts = torch.unique(reference, return_counts=True)
    ranks, rank = counts.cumsum(0) * len(source), rank * len(reference)  # both of n * m, so that they are exact
    after = torch.searchsorted(ranks, rank)
    before = (after - 1).clamp(min=0)
    share = (rank - ranks[before]) / (ranks[after] - ranks[before]).clamp(min=1)
    return values[before].lerp(values[after], share.to(values.dtype))
