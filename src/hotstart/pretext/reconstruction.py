"""How near a picture that was made comes to the true one: what is trained, what is reported."""

from __future__ import annotations

from torch import Tensor

# The mean squared error of rounding to 8 bits, in units of the full range: no answer is told from
# the truth below it, and a uniform picture does not count as infinitely good.
ROUNDING = 1 / (12 * 255**2)


def weighted_l2(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Squared error where it counts: the masked L2 of Pathak 2016 (arXiv:1604.07379), eq. 1.

    prediction, truth: (B, C, H, W). weight: (B, 1, H, W), >= 0, some of it above 0 in each row.

    Returns the mean over the batch of each picture's weighted mean over places and channels.
    """
    errors = (prediction - truth).square().mean(1, keepdim=True) * weight
    return (errors.sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


def psnr_db(pictures: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each picture in decibels, (B,): 10 log10(1 / MSE), at most 59.

    pictures, truth: (B, C, H, W) in 0..1; what lies outside that range is clipped to it.
    where: bool (B, 1, H, W), the pixels that count; None: all of them.

    The mean over pictures of this, as papers report it, weighs every picture alike; it is not the
    PSNR of the mean error, which a few hard pictures decide.
    """
    errors = (pictures.clamp(0, 1) - truth).square().mean(1, keepdim=True)
    if where is None:
        mean = errors.mean((1, 2, 3))
    else:
        mean = (errors * where).sum((1, 2, 3)) / where.sum((1, 2, 3))
    return -10 * mean.clamp_min(ROUNDING).log10()
