"""Where pictures are taken from, and how the camera moves meanwhile."""

from __future__ import annotations

import numpy as np

from hotstart.world.scene import CAMERA_MOTIONS, Camera, Numbers, looking, turned

WALL_MARGIN = 0.4  # Metres that a camera keeps from the walls.


def draw_portrait(rng: np.random.Generator, target: Numbers) -> Camera:
    """A camera that looks down at a thing, near and not quite straight.

    It is as far from any thing, about, and its view as wide, so that size and depth can be seen.
    """
    fov, around = rng.uniform(44, 50), rng.uniform(0, 2 * np.pi)
    above, away = rng.uniform(np.radians(10), np.radians(55)), rng.uniform(1.1, 1.5)
    way = np.array([np.cos(above) * np.cos(around), np.cos(above) * np.sin(around), np.sin(above)])
    aside = rng.uniform(-0.08, 0.08, 3)
    return looking(target + away * way, target + aside, fov)


def draw_cameras(
    rng: np.random.Generator, frames: int, target: Numbers, room_half: float, *, moves: bool
) -> tuple[tuple[Camera, ...], str]:
    """A camera for each frame, and what its motion is called."""
    fov = rng.uniform(38, 58)
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2.2)
    # A narrow view steps back, so that things fill a like share of it.
    away = rng.uniform(1.0, 1.9) / np.tan(np.radians(fov) / 2)
    away = min(away, room_half - 1.5)
    motion = str(rng.choice(CAMERA_MOTIONS)) if moves else "fixed"
    amount = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    limit = room_half - WALL_MARGIN
    cameras = []
    for share in np.linspace(-0.5, 0.5, frames) if frames > 1 else [0.0]:
        part = share * amount
        around = angle + (np.radians(80) * part if motion == "orbit" else 0.0)
        offset = np.array([away * np.cos(around), away * np.sin(around), height])
        position = target * [1, 1, 0] + offset
        position[:2] = np.clip(position[:2], -limit, limit)
        camera = looking(position, target, fov)
        if motion == "pan":
            rotation = turned(2, np.radians(35) * part) @ camera.rotation
            camera = Camera(position, rotation, fov)
        elif motion == "drive":
            # Along the floor, forward and somewhat to the side; the view stays as it is.
            forward = camera.rotation[:, 2] * [1, 1, 0]
            forward /= np.linalg.norm(forward)
            side = np.cross(forward, [0.0, 0.0, 1.0])
            step = 1.4 * abs(share + 0.5) * forward + 1.2 * part * side
            camera = Camera(position + step, camera.rotation, fov)
        cameras.append(camera)
    return tuple(cameras), motion
