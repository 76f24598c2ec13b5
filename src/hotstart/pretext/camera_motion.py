"""The motion of a camera between two frames, as six numbers, and how far an answer misses it."""

from __future__ import annotations

import torch
from torch import Tensor

NUMBERS = (
    *("metres right", "metres down", "metres forward"),
    *("degrees of pitch", "degrees of yaw", "degrees of roll"),
)
"""Where the second camera stands, seen from the first, and how it is turned against it: a vector
along the axis whose length is the angle. Pitch is about the axis to the right (up is positive), yaw
about the one down (right is positive), roll about the line of sight (clockwise is positive)."""
SHIFTS, TURNS = slice(0, 3), slice(3, 6)


def motion_between(first: Tensor, second: Tensor) -> Tensor:
    """Poses (B, 4, 4) of two frames, camera to world -> the six numbers, float64 (B, 6)."""
    seen = torch.linalg.solve(first.double(), second.double())
    return torch.cat([seen[:, :3, 3], _vectors(seen[:, :3, :3]).rad2deg()], 1)


def moved_by(numbers: Tensor) -> Tensor:
    """The opposite: six numbers (B, 6) -> the second pose as the first camera sees it (B, 4, 4)."""
    pose = torch.eye(4, dtype=torch.float64, device=numbers.device).repeat(len(numbers), 1, 1)
    pose[:, :3, 3] = numbers[:, SHIFTS].double()
    pose[:, :3, :3] = _rotations(numbers[:, TURNS].double().deg2rad())
    return pose


def in_a_mirror(numbers: Tensor) -> Tensor:
    """The six numbers (B, 6) as they are where all is seen with left and right exchanged."""
    return numbers * numbers.new_tensor([-1, 1, 1, 1, -1, -1])


def chained(numbers: Tensor) -> Tensor:
    """Motions from frame to frame (B, T - 1, 6) -> poses (B, T, 4, 4), the first one's axes."""
    poses = [torch.eye(4, dtype=torch.float64, device=numbers.device).repeat(len(numbers), 1, 1)]
    for step in numbers.unbind(1):
        poses.append(poses[-1] @ moved_by(step))
    return torch.stack(poses, 1)


def turn_error(said: Tensor, truth: Tensor) -> Tensor:
    """The angle between two turns, (B, 6) each, in degrees: (B,)."""
    one, other = moved_by(said)[:, :3, :3], moved_by(truth)[:, :3, :3]
    angle: Tensor = _vectors(one.transpose(1, 2) @ other).norm(dim=1)
    return angle.rad2deg()


def shift_error(said: Tensor, truth: Tensor) -> Tensor:
    """How far apart two shifts end, (B, 6) each, in metres: (B,)."""
    apart: Tensor = (said[:, SHIFTS] - truth[:, SHIFTS]).double().norm(dim=1)
    return apart


def direction_error(said: Tensor, truth: Tensor) -> Tensor:
    """The angle between the directions of two shifts, (B, 6) each, in degrees: (B,).

    A shift of nothing is as far from one direction as from its opposite: 90 degrees.
    """
    one, other = said[:, SHIFTS].double(), truth[:, SHIFTS].double()
    length = (one.norm(dim=1) * other.norm(dim=1)).clamp_min(1e-12)
    cosine: Tensor = (one * other).sum(1) / length
    return cosine.clamp(-1, 1).acos().rad2deg()


def _rotations(vectors: Tensor) -> Tensor:
    """Axis times angle in radians (B, 3) -> rotations (B, 3, 3)."""
    rotations: Tensor = torch.linalg.matrix_exp(_crosses(vectors))
    return rotations


def _crosses(vectors: Tensor) -> Tensor:
    """(B, 3) -> the matrices (B, 3, 3) that take a vector to its cross product with these."""
    x, y, z = vectors.unbind(1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)


def _vectors(rotations: Tensor) -> Tensor:
    """The opposite of `_rotations`, for angles below 180 degrees: (B, 3)."""
    odd = (rotations - rotations.transpose(1, 2)) / 2
    sine = torch.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], 1)
    length = sine.norm(dim=1, keepdim=True)
    cosine = (rotations.diagonal(dim1=1, dim2=2).sum(1, keepdim=True) - 1) / 2
    # The arc cosine alone would lose the small angles, the arc sine those near a right one.
    angle = torch.atan2(length, cosine)
    return sine * torch.where(length > 1e-9, angle / length.clamp_min(1e-9), 1.0)
