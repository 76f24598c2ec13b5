"""Exact optical flow and occlusion, from poses and geometry: nothing is matched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hotstart.world.physics import FLOOR, NOTHING, WALL, Motion, Simulation
from hotstart.world.render import Seen, pixel_rays
from hotstart.world.scene import CLASSES, Camera, Numbers

TOLERANCE_METRES = 2e-3
"""What is hit so little before a point does not hide it: an ellipsoid is drawn with facets."""
NEAREST_METRES = 1e-3
"""A point that comes nearer to the camera's plane, or behind it, is treated as this near."""


def flow_between(
    simulation: Simulation, motion: Motion, cameras: tuple[Camera, ...], seen: Seen, frame: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Where each pixel's middle of frame `frame` is in the next one, and whether it is seen there.

    Returns float32 (P, P, 2): x and y in pixels, to the right and down; and bool (P, P), True
    where it is hidden: behind something, on a side that turned away, or outside of the picture.
    """
    here, there = cameras[frame], cameras[frame + 1]
    size = len(seen.depth)
    sky = np.isinf(seen.depth)
    rays = pixel_rays(here.fov_degrees, size)
    depth = np.where(sky, 1.0, seen.depth.astype(np.float64))[..., None]
    offsets = rays * depth @ here.rotation.T
    # The sky is at no place: its direction stays.
    places = np.where(sky[..., None], offsets + there.position, offsets + here.position)
    normals = seen.normals.astype(np.float64) @ here.rotation.T
    for k in range(motion.positions.shape[1]):
        mask = seen.instances == k + 1
        turn = motion.rotations[frame + 1, k] @ motion.rotations[frame, k].T
        places[mask] = (places[mask] - motion.positions[frame, k]) @ turn.T
        places[mask] += motion.positions[frame + 1, k]
        normals[mask] = normals[mask] @ turn.T
    towards = places - there.position
    moved, behind = project(towards @ there.rotation, there.fov_degrees, size)
    down, right = np.mgrid[:size, :size]
    vectors = moved - np.stack([right, down], -1)
    outside = behind | ((moved < -0.5) | (moved > size - 0.5)).any(-1)
    distances, owners = simulation.cast(
        motion.positions[frame + 1],
        motion.rotations[frame + 1],
        there.position,
        towards.reshape(-1, 3),
    )
    own = _owners(seen)
    nearer = distances.reshape(size, size) * np.linalg.norm(towards, axis=-1)
    nearer = nearer < np.linalg.norm(towards, axis=-1) - TOLERANCE_METRES
    # Every thing is convex: it hides a part of itself exactly where that part faces away.
    away = (normals * towards).sum(-1) > 0
    hit = owners.reshape(size, size)
    hidden = np.where(sky, hit != NOTHING, np.where(hit == own, away, nearer))
    return vectors.astype(np.float32), outside | hidden


def project(
    points: Numbers, fov_degrees: float, size: int
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Points (..., 3) along a camera's right, down and forward -> (..., 2) columns and rows.

    The middle of the first pixel is 0, 0. Also bool (...): True where a point lies behind.
    """
    forward = points[..., 2]
    behind = forward < NEAREST_METRES
    half = np.tan(np.radians(fov_degrees) / 2)
    flat = points[..., :2] / np.maximum(forward, NEAREST_METRES)[..., None] / half
    return (flat + 1) / 2 * size - 0.5, behind


def _owners(seen: Seen) -> npt.NDArray[np.int64]:
    """(P, P): what each pixel shows, as `Simulation.cast` tells it."""
    codes = {"sky": NOTHING, "floor": FLOOR, "wall": WALL, "light": NOTHING}
    background = np.array([codes.get(name, NOTHING) for name in CLASSES])[seen.classes]
    return np.where(seen.instances > 0, seen.instances.astype(np.int64) - 1, background)
