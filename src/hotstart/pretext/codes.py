"""Codes of views: to which of K prototypes each belongs, and predicting those of other crops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.pretext.distributed import gather, rank
from hotstart.pretext.task import Info

FROZEN_EPOCHS, FROZEN_SHARE = 1, 0.1


class Prototypes(nn.Module):
    """K directions c_k: (B, D) -> cosines with each of them, (B, K) in -1..1.

    Caron 2020 (arXiv:2006.09882), section 3.1, and Caron 2021 (arXiv:2104.14294), appendix C,
    whose last layer is weight-normalised with a fixed length of 1. Both z and c_k are brought to
    length 1 here, in the forward pass; SwAV's code does so with c_k after each step.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(count, dim))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """frozen: give the prototypes no gradient."""
        weight = self.weight.detach() if frozen else self.weight
        return F.linear(F.normalize(z, dim=1), F.normalize(weight, dim=1))


def frozen_steps(info: Info) -> int:
    """Steps for which both papers leave the prototypes as they began: an epoch.

    But at most a tenth of the run, which may be shorter than that.
    """
    epoch = max(info.items // info.batch_size, 1)
    return min(FROZEN_EPOCHS * epoch, int(FROZEN_SHARE * info.total_steps))


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Codes of views such that every prototype gets an equal share of them all.

    Caron 2020 (SwAV, arXiv:2006.09882), eq. 3-5: of all assignments that use each of K prototypes
    equally, the one that maximises sum(Q * scores) + epsilon * entropy(Q), by the algorithm of
    Sinkhorn & Knopp (Cuturi 2013, arXiv:1306.0895).

    scores: (B, K), one view's likeness to each prototype; the equal shares are of the views of all
    processes. epsilon: > 0, how soft codes are. iterations: of scaling prototypes, then views.

    Returns (B, K), each row with sum 1, without gradient.
    """
    rows = len(scores)
    # As logarithms: a small epsilon would leave some prototype with nothing but zeros.
    codes = gather(scores.detach()) / epsilon
    for _ in range(iterations):
        codes = codes.log_softmax(0)
        codes = codes.log_softmax(1)
    return codes[rank() * rows : (rank() + 1) * rows].exp()


def crop_cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """-sum_k target_k log softmax(logits)_k, mean over pairs of different crops and over pictures.

    Caron 2020 (SwAV, arXiv:2006.09882), eq. 2 and 6; Caron 2021 (DINO, arXiv:2104.14294), eq. 2
    and 3, there as sums over crops.

    targets: (T, B, K), distributions for the first T crops of each picture, which get no gradient.
    logits: (V, B, K), predictions from all V crops; crop t is not asked for its own target.
    """
    entropy = -torch.einsum("tbk,vbk->tv", targets.detach(), logits.log_softmax(2))
    count, crops = entropy.shape
    pairs = entropy.sum() - entropy.diagonal().sum()
    return pairs / (count * (crops - 1) * targets.shape[1])
