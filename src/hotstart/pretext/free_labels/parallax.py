"""Nearness from the flow of a moving camera: what is near passes faster than what is far."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hotstart.pretext.free_labels.dominant_motion import OUTLIER, median_of

FITTED_TO = 12
"""Places along each side that decide on the camera's motion."""
DIRECTIONS = 64
"""Translations that are tried, over half the sphere; then finer ones about the best."""
FINER = ((0.15, 12), (0.05, 12))
"""Angles in radians, and how many directions about the best, of each refinement."""
ROUNDS = 3
NEAREST = 0.9
TINY = 1e-6


def nearness(vectors: Tensor, known: Tensor, aspect: Tensor, focal: float) -> tuple[Tensor, Tensor]:
    """How near each place is to a camera that moves through a scene at rest, and how sure that is.

    vectors: (B, 2, W, W), flow in shares of the sides of whole frames squeezed to squares
    known: bool (B, W, W); aspect: (B,), width over height; focal: in shares of the longer side
    Returns (B, W, W), the inverse depth, in shares of the longer side that a place of that depth
    moves by where the camera's way moves places as far as usual; and (B, 3): the same of the place
    that nine tenths lie behind; that over what the model does not explain; the share of all
    parallax that lies in front of the camera.

    A pinhole camera that moves by t and turns by w sees at the place (x, y), in focal lengths, the
    flow A(x, y) t / Z + B(x, y) w (Longuet-Higgins & Prazdny 1980). Across the direction of A t it
    comes from the turn alone, whatever the depth: so each translation of a set is judged by how
    well a turn explains the rest (Heeger & Jepson 1992, "Subspace methods for recovering rigid
    motion I"), by robust least squares; the best gives depth along that direction.
    """
    places, flow = _metric(vectors, aspect, focal)
    sure = known.flatten(1)
    best, turn = _camera(places, flow, sure)
    along = _translational(places, best[:, None])[:, 0]
    length = along.norm(dim=2).clamp_min(TINY)
    left = flow - torch.einsum("bpij,bj->bpi", _rotational(places), turn)
    inverse = (left * along).sum(2) / length**2
    across = left - inverse[..., None] * along
    near = inverse * median_of(length, sure)[:, None] * focal
    # Whether the camera went there or came from there: what it sees lies in front of it.
    near = near * torch.where((near * sure).sum(1) < 0, -1.0, 1.0)[:, None]
    wrong = median_of(across.norm(dim=2), sure) * focal
    parallax = near.masked_fill(~sure, 0.0).quantile(NEAREST, dim=1)
    front = (near.clamp(min=0) * sure).sum(1) / (near.abs() * sure).sum(1).clamp_min(TINY)
    told = torch.stack([parallax, parallax / wrong.clamp_min(TINY), front], 1)
    return near.view(known.shape), told


def _camera(places: Tensor, flow: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """Direction of the way (B, 3) and turn (B, 3) that explain the flow best."""
    side = math.isqrt(flow.shape[1])
    step = max(side // FITTED_TO, 1)
    few = torch.arange(side * side, device=flow.device).view(side, side)
    few = few[step // 2 :: step, step // 2 :: step].flatten()
    some = places[:, few], flow[:, few], sure[:, few]
    tried = _half_sphere(DIRECTIONS).to(flow).expand(len(flow), -1, -1)
    best, turn = _judge(*some, tried)
    for angle, count in FINER:
        tried = torch.cat([best[:, None], _about(best, angle, count)], 1)
        best, turn = _judge(*some, tried)
    return best, turn


def _metric(vectors: Tensor, aspect: Tensor, focal: float) -> tuple[Tensor, Tensor]:
    """Places and flow in focal lengths: (B, P, 2) each."""
    side = vectors.shape[-1]
    along = (torch.arange(side, device=vectors.device) + 0.5) / side - 0.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    wide = torch.stack([aspect.clamp(max=1.0), 1 / aspect.clamp(min=1.0)], 1)
    extent = (wide / focal).to(vectors)[:, None]
    places = torch.stack([x, y], 2).view(1, -1, 2)
    return places * extent, vectors.flatten(2).mT * extent


def _translational(places: Tensor, t: Tensor) -> Tensor:
    """A t of K translations (B, K, 3): (B, K, P, 2)."""
    return t[:, :, None, 2:] * places[:, None] - t[:, :, None, :2]


def _rotational(places: Tensor) -> Tensor:
    """B: (B, P, 2, 3)."""
    x, y = places.unbind(2)
    one = torch.ones_like(x)
    across = torch.stack([x * y, -(one + x * x), y], 2)
    down = torch.stack([one + y * y, -x * y, -x], 2)
    return torch.stack([across, down], 2)


def _judge(places: Tensor, flow: Tensor, sure: Tensor, tried: Tensor) -> tuple[Tensor, Tensor]:
    """Of translations (B, K, 3) the best, (B, 3), and the turn that goes with it, (B, 3)."""
    along = _translational(places, tried)
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    across = across / across.norm(dim=-1, keepdim=True).clamp_min(TINY)
    seen = (across * flow[:, None]).sum(-1)
    design = torch.einsum("bkpi,bpij->bkpj", across, _rotational(places))
    there = sure[:, None].to(flow)
    weight, turn = there.expand_as(seen), torch.zeros_like(tried)
    ridge = TINY * torch.eye(3, device=flow.device)
    error = seen.abs()
    for _ in range(ROUNDS):
        weighted = design * weight[..., None]
        square = torch.einsum("bkpi,bkpj->bkij", weighted, design) + ridge
        turn = torch.linalg.solve(square, torch.einsum("bkpi,bkp->bki", weighted, seen))
        error = (seen - torch.einsum("bkpj,bkj->bkp", design, turn)).abs()
        mean = (error * there).sum(2, keepdim=True) / there.sum(2, keepdim=True).clamp_min(1)
        weight = there / (1 + (error / (OUTLIER * mean.clamp_min(TINY))) ** 2) ** 2
    best = (error * there).sum(2).argmin(1)
    rows = torch.arange(len(tried), device=flow.device)
    return tried[rows, best], turn[rows, best]


def _half_sphere(count: int) -> Tensor:
    """Directions spread evenly over z >= 0: (count, 3). The other half is the same line."""
    number = torch.arange(count) + 0.5
    z = 1 - number / count
    turn = number * math.pi * (1 + math.sqrt(5))
    flat = (1 - z**2).sqrt()
    return torch.stack([flat * turn.cos(), flat * turn.sin(), z], 1)


def _about(t: Tensor, angle: float, count: int) -> Tensor:
    """Directions at two distances up to `angle` from t (B, 3): (B, count, 3)."""
    other = torch.where(t[:, :1].abs() < 0.9, t.new_tensor([1.0, 0, 0]), t.new_tensor([0, 1.0, 0]))
    first = torch.linalg.cross(t, other)
    first = first / first.norm(dim=1, keepdim=True)
    second = torch.linalg.cross(t, first)
    turn = torch.arange(count, device=t.device) * (2 * math.pi / count)
    far = angle * torch.where(torch.arange(count, device=t.device) % 2 == 0, 1.0, 0.5)
    around = turn.cos()[:, None] * first[:, None] + turn.sin()[:, None] * second[:, None]
    moved = t[:, None] + far.tan()[:, None] * around
    return torch.nn.functional.normalize(moved, dim=2)
