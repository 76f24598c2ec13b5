"""Two kinds of pictures, rendered and real: making features alike, and asking whether they are."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from hotstart.pretext.distributed import gather

FOLDS = 4


class DomainJudge(nn.Module):
    """Rendered or real? The best linear answer to the features seen last, found anew at each step.

    An adversary that learns by gradients lags behind the encoder: here it answered at chance while
    a fresh classifier told the same features apart nine times in ten. This one is solved: ridge
    regression of -1 (rendered) and 1 (real) on the standardised features of the last `memory`
    pictures of each kind. It is asked about pictures before it remembers them, so that it cannot
    know them by heart.
    """

    made: Tensor
    real: Tensor
    seen: Tensor

    def __init__(self, dim: int, memory: int, ridge: float) -> None:
        super().__init__()
        self.ridge = ridge
        self.register_buffer("made", torch.zeros(memory, dim), persistent=True)
        self.register_buffer("real", torch.zeros(memory, dim), persistent=True)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64), persistent=True)

    def forward(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) of each kind -> answers (B,), about -1 for rendered and 1 for real.

        With gradient towards the features; 0, it is in doubt, as long as it has seen nothing.
        """
        weights, bias = self._solve()
        return made.float() @ weights + bias, real.float() @ weights + bias

    @torch.no_grad()
    def _solve(self) -> tuple[Tensor, Tensor]:
        """Weights (D,) and bias () of the answer for features as they come."""
        seen = int(self.seen)
        if seen == 0:
            return self.made.new_zeros(self.made.shape[1]), self.made.new_zeros(())
        known = torch.cat([self.made[:seen], self.real[:seen]])
        centre, scale = known.mean(0), known.std(0, correction=0) + 1e-4
        x = ((known - centre) / scale).double()
        wanted = torch.ones(2 * seen, dtype=torch.float64, device=x.device)
        wanted[:seen] = -1
        gram = x.T @ x / len(x)
        gram.diagonal().add_(self.ridge)
        weights = torch.linalg.solve(gram, x.T @ wanted / len(x)).float() / scale
        return weights, -(centre @ weights)

    @torch.no_grad()
    def remember(self, made: Tensor, real: Tensor) -> None:
        """Features (B, D) of each kind, of all processes; the oldest are forgotten."""
        for kept, new in ((self.made, made), (self.real, real)):
            rows = gather(new.detach().float())
            kept.copy_(torch.cat([rows, kept])[: len(kept)])
        self.seen.copy_((self.seen + len(rows)).clamp(max=len(self.made)))


def told_apart(of_made: Tensor, of_real: Tensor) -> Tensor:
    """Half the difference of the mean answers to the two kinds, squared: 1 certain, 0 in doubt.

    of_made, of_real: (B,), of the judge. The mean square of the answers, whose least is at doubt as
    well, falls with the variance of features too, and leaves the kinds apart.
    """
    return ((of_real.mean() - of_made.mean()) / 2).square()


def domain_accuracy(made: Tensor, real: Tensor) -> float:
    """How well a fresh linear classifier tells the features of two kinds of pictures apart.

    made, real: (N, D) and (M, D). Balanced accuracy on folds that it was not fitted on; features
    are standardised within the fitted ones. 0.5: it can only guess.
    """
    count = min(len(made), len(real))
    x = torch.cat([made[:count], real[:count]]).double().numpy()
    y = np.repeat([0, 1], count)
    fold = np.tile(np.arange(count) % FOLDS, 2)
    right = []
    for k in range(FOLDS):
        fitted, asked = fold != k, fold == k
        if not asked.any() or not fitted.any():
            continue
        centre, scale = x[fitted].mean(0), x[fitted].std(0) + 1e-6
        judge = LogisticRegression(C=0.1, max_iter=500).fit((x[fitted] - centre) / scale, y[fitted])
        right.append(float(judge.score((x[asked] - centre) / scale, y[asked])))
    return float(np.mean(right)) if right else 0.5
