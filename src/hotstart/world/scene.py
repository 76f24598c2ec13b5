"""What a scene consists of. Lengths in metres, z is up, the floor is z = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

SHAPES = ("sphere", "box", "cylinder", "capsule", "ellipsoid", "pyramid")
BACKGROUND = ("sky", "floor", "wall", "light")
CLASSES = (*BACKGROUND, *SHAPES)
"""Of the class masks: a pixel's value is a position in this list."""
ACTIONS = ("drop", "bounce", "slide", "roll", "collide", "spin", "stack")
CAMERA_MOTIONS = ("fixed", "pan", "orbit", "drive")


@dataclass(frozen=True)
class Texture:
    """A colour, or two in a pattern: linear RGB in 0..1, each (3,)."""

    pattern: str
    colour: Numbers
    other: Numbers
    repeats: float
    seed: int


@dataclass(frozen=True)
class Substance:
    """What a thing is made of: how it looks, how it moves and how it sounds.

    density: kilograms per cubic metre; restitution: speed after an impact on the floor over speed
    before; hz: lowest mode of a thing of 0.1 m radius; damping: decays of it a second
    """

    name: str
    density: float
    restitution: float
    friction: float
    roughness: tuple[float, float]
    metallic: float
    hz: float
    damping: float


SUBSTANCES = {
    "wood": Substance("wood", 600, 0.35, 0.5, (0.35, 0.8), 0.0, 420, 28),
    "rubber": Substance("rubber", 1100, 0.6, 0.9, (0.6, 0.9), 0.0, 110, 70),
    "metal": Substance("metal", 2700, 0.3, 0.35, (0.1, 0.4), 1.0, 1100, 4),
    "plastic": Substance("plastic", 950, 0.45, 0.4, (0.15, 0.5), 0.0, 620, 45),
    "stone": Substance("stone", 2400, 0.2, 0.6, (0.6, 0.95), 0.0, 800, 60),
    "ceramic": Substance("ceramic", 2200, 0.25, 0.4, (0.05, 0.25), 0.0, 1500, 14),
}


@dataclass(frozen=True)
class Thing:
    """A rigid body.

    half: (3,) half its extent along its own axes; a pyramid's base is at the bottom of it
    position: (3,) of its centre; rotation: (3, 3), from its own axes to the world's
    velocity: (3,) metres a second; spin: (3,) radians a second about the world's axes
    moves: False for what stands fast
    """

    shape: str
    half: Numbers
    substance: str
    texture: Texture
    roughness: float
    position: Numbers
    rotation: Numbers
    velocity: Numbers
    spin: Numbers
    moves: bool
    restitution: float
    friction: float


@dataclass(frozen=True)
class Room:
    """Floor, walls and light.

    half: the room is a square of this half side; walls: which of its four sides have one
    (+x, +y, -x, -y); sky: (2, 3) linear RGB radiance at the zenith and at the horizon
    lamp: (3,) where the area light hangs; lamp_half: half its side; lamp_radiance: (3,)
    """

    half: float
    walls: tuple[bool, bool, bool, bool]
    wall_height: float
    floor: Texture
    wall: Texture
    floor_roughness: float
    sky: Numbers
    lamp: Numbers
    lamp_half: float
    lamp_radiance: Numbers


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels and a square picture.

    rotation: (3, 3), columns are its right, its down and its forward in the world
    """

    position: Numbers
    rotation: Numbers
    fov_degrees: float


@dataclass(frozen=True)
class Scene:
    """One picture or clip before it happens.

    cameras: one for each frame; seconds: (T,), when each frame is taken
    action: one of `ACTIONS`; None for a picture, in which things were merely dropped
    """

    room: Room
    things: tuple[Thing, ...]
    cameras: tuple[Camera, ...]
    camera_motion: str
    seconds: Numbers
    action: str | None


def looking(position: Numbers, target: Numbers, fov_degrees: float) -> Camera:
    """A camera at `position` that sees `target` in the middle of its picture, upright."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Camera(position, np.stack([right, np.cross(forward, right), forward], 1), fov_degrees)


def turned(axis: int, angle: float) -> Numbers:
    """Rotation (3, 3) by `angle` radians about axis x, y or z = 0, 1 or 2."""
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.eye(3)
    rotation[a, a], rotation[a, b], rotation[b, a], rotation[b, b] = cos, -sin, sin, cos
    return rotation


def any_rotation(rng: np.random.Generator) -> Numbers:
    """Uniform over all rotations (3, 3): a normal quaternion (Marsaglia 1972)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
