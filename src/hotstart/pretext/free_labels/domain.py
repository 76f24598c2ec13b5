"""Two kinds of pictures, rendered and real: making features alike, and asking whether they are."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from hotstart.encoders import Encoder
from hotstart.pretext.distributed import gather
from hotstart.pretext.two_views import at_least_float

FOLDS = 4


class DomainJudge(nn.Module):
    """Rendered or real? The best linear answer to the features of the pictures seen last.

    An adversary that learns by gradients lags behind the encoder: here it answered at chance while
    a fresh classifier told the same features apart nine times in ten; so does one that remembers
    features of encoders that are no more. This one is solved anew at each step, for what the
    encoder now makes of the last `memory` pictures of each kind, and is asked about others.
    """

    made: Tensor
    real: Tensor
    seen: Tensor

    def __init__(self, size: int, memory: int, ridge: float) -> None:
        super().__init__()
        self.ridge = ridge
        for kind in ("made", "real"):
            self.register_buffer(kind, torch.zeros(memory, 3, size, size, dtype=torch.uint8))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, encoder: Encoder, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) of each kind -> answers (B,), about -1 for rendered and 1 for real.

        With gradient towards the encoder, which is asked in evaluation mode, as whoever uses it
        will: normalised by their batch, features were alike here, and by running statistics not.
        0, in doubt, as long as it has seen nothing.
        """
        training = encoder.training
        encoder.eval()
        weights, bias = self.solve(encoder)
        h = at_least_float(encoder(torch.cat([made, real])))
        answers = h @ weights.to(h) + bias.to(h)
        encoder.train(training)
        return answers[: len(made)], answers[len(made) :]

    @torch.no_grad()
    def solve(self, encoder: Encoder) -> tuple[Tensor, Tensor]:
        """Weights (D,) and bias () of the answer to features."""
        seen = int(self.seen)
        if seen == 0:
            weights = torch.zeros(encoder.dim, device=self.made.device)
            return weights, weights.sum()
        pictures = torch.cat([self.made[:seen], self.real[:seen]]) / 255
        features = at_least_float(encoder(pictures))
        return linear_answer(features[:seen], features[seen:], self.ridge)

    @torch.no_grad()
    def remember(self, made: Tensor, real: Tensor) -> None:
        """Pictures (B, 3, S, S), 0..1, of each kind, of all processes; the oldest are forgotten."""
        for kept, new in ((self.made, made), (self.real, real)):
            rows = gather(new.detach() * 255).round().to(torch.uint8)
            kept.copy_(torch.cat([rows, kept])[: len(kept)])
        self.seen.copy_((self.seen + len(rows)).clamp(max=len(self.made)))


@torch.no_grad()
def linear_answer(made: Tensor, real: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Ridge regression of -1 and 1 on standardised features: weights (D,), bias () for features.

    made, real: (N, D). ridge: in variances of a feature. Standardised, so that doubt cannot be
    bought by shrinking what is told.
    """
    known = torch.cat([made, real])
    centre, scale = known.mean(0), known.std(0, correction=0) + 1e-4
    x = ((known - centre) / scale).double()
    wanted = torch.cat([-x.new_ones(len(made)), x.new_ones(len(real))])
    gram = x.T @ x / len(x)
    gram.diagonal().add_(ridge)
    weights = torch.linalg.solve(gram, x.T @ wanted / len(x)).to(known.dtype) / scale
    return weights, -(centre @ weights)


def told_apart(of_made: Tensor, of_real: Tensor) -> Tensor:
    """Half the difference of the mean answers to the two kinds, squared: 1 certain, 0 in doubt.

    of_made, of_real: (B,), of the judge; means are of all processes. The mean square of the
    answers, whose least is at doubt as well, falls with the variance of features too, and leaves
    the kinds apart.
    """
    return ((gather(of_real).mean() - gather(of_made).mean()) / 2).square()


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
