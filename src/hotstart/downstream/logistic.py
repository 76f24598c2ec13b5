"""Multinomial logistic regression: many penalties and folds solved at once.

A sweep solves the same features again and again. Here all its problems share one matrix product
per step, and L-BFGS runs in coordinates in which the curvature at the start is the same in every
direction (features rotated to their principal axes, each scaled), so it needs tens of steps where
it would need hundreds: features of a network are strongly correlated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 10
MAX_STEPS = 300
MAX_HALVINGS = 20
LOGITS_AT_ONCE = 1 << 20
WEIGHTS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Axes:
    """Features rotated to their principal axes; a penalty on the length of weights is unchanged.

    rotated: (N, D + 1), the last column is 1 for the bias
    rotation: (D, D)
    variance: (D + 1,), mean square of each column of `rotated`
    """

    rotated: Tensor
    rotation: Tensor
    variance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Axes:
        """features: float32 (N, D), standardised."""
        gram = (features.T @ features).double() / len(features)
        variance, rotation = torch.linalg.eigh(gram)
        rotation = rotation.to(features.dtype)
        rotated = torch.cat([features @ rotation, features.new_ones(len(features), 1)], dim=1)
        ones = variance.new_ones(1)
        return cls(rotated, rotation, torch.cat([variance.clamp_min(0), ones]).to(features.dtype))


@dataclass(frozen=True)
class Problems:
    """P regressions on the same features.

    labels: int64 (N,), 0 .. classes - 1
    penalty: float (P,): each minimises mean cross-entropy + penalty / 2 * |weights|^2, the bias
        free (scikit-learn's C is 1 / (penalty * number of items))
    weight: float (P, N): what each item counts in each problem; rows sum to 1
    """

    axes: Axes
    labels: Tensor
    classes: int
    penalty: Tensor
    weight: Tensor

    def value_and_gradient(self, which: Tensor, solution: Tensor) -> tuple[Tensor, Tensor]:
        """Objective (A,) and gradient (A, K, D + 1) of the problems `which` (A,) at `solution`.

        Rows are taken in blocks that stay in the processor's cache.
        """
        count, classes, width = solution.shape
        flat = solution.reshape(count * classes, width)
        loss = solution.new_zeros(count, dtype=torch.float64)
        gradient = torch.zeros_like(flat)
        block = max(128, LOGITS_AT_ONCE // (count * classes))
        for start in range(0, len(self.labels), block):
            features = self.axes.rotated[start : start + block]
            labels = self.labels[start : start + block].expand(count, 1, -1)
            weight = self.weight[which, start : start + block].unsqueeze(1)
            logits = (flat @ features.T).view(count, classes, len(features))
            logits -= logits.amax(dim=1, keepdim=True)
            true = logits.gather(1, labels)
            share = logits.exp_()
            total = share.sum(dim=1, keepdim=True)
            loss += ((total.log() - true) * weight).sum(dim=(1, 2), dtype=torch.float64)
            share *= weight / total
            share.scatter_add_(1, labels, -weight)
            gradient.addmm_(share.view(count * classes, len(features)), features)
        gradient = gradient.view_as(solution)
        shrunk = self.penalty[which].view(-1, 1, 1) * solution
        shrunk[:, :, -1] = 0
        loss += 0.5 * (shrunk * solution).sum(dim=(1, 2), dtype=torch.float64)
        return loss, gradient + shrunk


def solve(problems: Problems, *, start: Tensor | None = None, tolerance: float = 1e-4) -> Tensor:
    """Solutions (P, K, D + 1) in the coordinates of `problems.axes`.

    A problem is solved when no entry of its gradient is larger than `tolerance` (scikit-learn's
    rule). Limited-memory BFGS (Nocedal & Wright 2006, algorithm 7.5) with halving steps.
    """
    width = problems.axes.rotated.shape[1]
    count = len(problems.penalty)
    at_once = max(1, WEIGHTS_AT_ONCE // (width * problems.classes))
    if start is None:
        start = problems.axes.rotated.new_zeros(count, problems.classes, width)
    solved = []
    for first in range(0, count, at_once):
        which = torch.arange(first, min(first + at_once, count), device=start.device)
        solved.append(_solve_together(problems, which, start[which], tolerance))
    return torch.cat(solved)


def _solve_together(problems: Problems, which: Tensor, start: Tensor, tolerance: float) -> Tensor:
    scale = _inverse_root_curvature(problems, which)
    solution = start.clone()
    value, gradient = problems.value_and_gradient(which, solution)
    history: list[tuple[Tensor, Tensor, Tensor]] = []
    active = torch.arange(len(which), device=which.device)
    for _ in range(MAX_STEPS):
        steep = gradient[active].abs().amax(dim=(1, 2)) > tolerance
        active = active[steep]
        if not len(active):
            break
        at, slope = solution[active], gradient[active]
        direction = scale[active] * _descend(history, active, slope * scale[active])
        decline = (direction * slope).sum(dim=(1, 2), dtype=torch.float64)
        moved = torch.zeros_like(solution)
        turned = torch.zeros_like(gradient)
        step = 1.0
        trying = torch.arange(len(active), device=which.device)
        for _ in range(MAX_HALVINGS):
            rows = active[trying]
            trial = at[trying] + step * direction[trying]
            trial_value, trial_gradient = problems.value_and_gradient(which[rows], trial)
            # Near the optimum the change drowns in rounding: allow for that much.
            bound = value[rows] + 1e-4 * step * decline[trying] + 1e-7 * value[rows].abs()
            good = trial_value <= bound
            kept = rows[good]
            moved[kept] = trial[good] - at[trying][good]
            turned[kept] = trial_gradient[good] - slope[trying][good]
            solution[kept], gradient[kept] = trial[good], trial_gradient[good]
            value[kept] = trial_value[good]
            trying = trying[~good]
            if not len(trying):
                break
            step /= 2
        # A problem for which no step helps is as good as its arithmetic allows.
        stuck = torch.zeros(len(active), dtype=torch.bool, device=which.device)
        stuck[trying] = True
        active = active[~stuck]
        moved, turned = moved / scale, turned * scale
        curvature = (moved * turned).sum(dim=(1, 2))
        inverse = torch.where(curvature > 1e-12, 1 / curvature.clamp_min(1e-30), 0.0)
        history = [*history[-MEMORY + 1 :], (moved, turned, inverse)]
    return solution


def _inverse_root_curvature(problems: Problems, which: Tensor) -> Tensor:
    """(A, 1, D + 1): at weights of zero the Hessian is variance / K + penalty along each axis."""
    penalty = problems.penalty[which].unsqueeze(1).repeat(1, len(problems.axes.variance))
    penalty[:, -1] = 0
    curvature = problems.axes.variance / problems.classes + penalty
    return curvature.clamp_min(1e-12).rsqrt().unsqueeze(1)


def _descend(
    history: list[tuple[Tensor, Tensor, Tensor]], active: Tensor, gradient: Tensor
) -> Tensor:
    """Minus the inverse Hessian times `gradient`, by the two loops over `history`."""

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(dim=(1, 2), keepdim=True)

    pairs = [
        (moved[active], turned[active], inverse[active].view(-1, 1, 1))
        for moved, turned, inverse in history
    ]
    q = gradient.clone()
    shares = []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * dot(moved, q)
        q -= share * turned
        shares.append(share)
    if pairs:
        _, turned, inverse = pairs[-1]
        size = inverse * dot(turned, turned)
        q /= torch.where(size > 0, size, 1.0)
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        q += (share - inverse * dot(turned, q)) * moved
    return -q
