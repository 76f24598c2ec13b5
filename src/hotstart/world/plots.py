"""Things of random shape, size and substance, and the actions they are set to perform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hotstart.world.scene import (
    SUBSTANCES,
    Numbers,
    Texture,
    Thing,
    any_rotation,
    turned,
)

PATTERNS = ("checker", "stripes", "clouds", "grain", "dots")
GRAVITY = 9.81
ROUND = ("sphere", "cylinder", "capsule")
FLAT = ("box", "cylinder", "pyramid")
GAP = 1e-4  # Metres between a thing and what it stands on, so that nothing starts inside another.

Rng = np.random.Generator


def draw_texture(rng: Rng, *, repeats: tuple[float, float], plain: float) -> Texture:
    """A pattern of two colours; with probability `plain`, one colour."""
    first, other = _colour(rng), _colour(rng)
    pattern = "plain" if rng.random() < plain else str(rng.choice(PATTERNS))
    return Texture(pattern, first, other, rng.uniform(*repeats), int(rng.integers(2**31)))


def _colour(rng: Rng) -> Numbers:
    """Linear RGB, (3,): hue at random, from grey to saturated, from dark to bright."""
    return colour(rng.uniform(0, 6), rng.beta(1.5, 1.5), rng.uniform(0.08, 0.85))


def colour(hue: float, saturation: float, value: float) -> Numbers:
    """Linear RGB, (3,). hue: 0..6, from red over green and blue to red; the others: 0..1."""
    pure = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return np.asarray(value * (1 - saturation * (1 - pure)))


def draw_thing(
    rng: Rng, shape: str, *, substances: Sequence[str] = tuple(SUBSTANCES), scale: float = 1.0
) -> Thing:
    """A thing at rest in the origin, its own axes along the world's."""
    a, b, c = scale * rng.uniform(0.12, 0.3, 3)
    half = {
        "sphere": [a, a, a],
        "box": [a, b, c],
        "cylinder": [a, a, c],
        "capsule": [min(a, 0.2), min(a, 0.2), min(a, 0.2) + 0.8 * c],
        "ellipsoid": [a, b, c],
        "pyramid": [a, b, max(c, 0.2 * scale)],
    }[shape]
    substance = SUBSTANCES[str(rng.choice(list(substances)))]
    return Thing(
        shape=shape,
        half=np.array(half),
        substance=substance.name,
        texture=draw_texture(rng, repeats=(1.5, 5), plain=0.4),
        roughness=rng.uniform(*substance.roughness),
        position=np.zeros(3),
        rotation=np.eye(3),
        velocity=np.zeros(3),
        spin=np.zeros(3),
        moves=True,
        restitution=float(np.clip(substance.restitution + rng.uniform(-0.1, 0.1), 0.05, 0.9)),
        friction=float(substance.friction * rng.uniform(0.8, 1.2)),
    )


def standing(thing: Thing, place: Numbers, rng: Rng, *, upright: bool, moves: bool = True) -> Thing:
    """The thing at `place` (3,), turned at random; upright ones stand `place[2]` above the floor.

    A thing that stands fast keeps its height of rest; one in the air keeps `place`.
    """
    turn = turned(2, rng.uniform(0, 2 * np.pi)) if upright else any_rotation(rng)
    height = place[2] if moves else base(thing)
    return replace(
        thing, position=np.array([place[0], place[1], height]), rotation=turn, moves=moves
    )


def base(thing: Thing) -> float:
    """How high the centre of an upright thing lies above what it stands on."""
    return float(thing.half[2] / 2 if thing.shape == "pyramid" else thing.half[2]) + GAP


def reach(thing: Thing) -> float:
    """Radius of a ball around the centre that holds the thing whatever its rotation."""
    a, b, c = thing.half
    return {
        "sphere": float(a),
        "capsule": float(c),
        "ellipsoid": float(max(thing.half)),
        "cylinder": float(np.hypot(a, c)),
        "box": float(np.linalg.norm(thing.half)),
        "pyramid": float(max(np.linalg.norm([a, b, c / 2]), 1.5 * c)),
    }[thing.shape]


def fits(thing: Thing, others: Sequence[Thing], room_for_motion: float = 0.02) -> bool:
    """Whether a thing is clear of all others."""
    return all(
        np.linalg.norm(thing.position - other.position)
        > reach(thing) + reach(other) + room_for_motion
        for other in others
    )


def _fall(rng: Rng, restitution: tuple[float, float], shapes: Sequence[str]) -> list[Thing]:
    thing = draw_thing(rng, str(rng.choice(shapes)))
    place = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.8, 1.5) + reach(thing)])
    thing = standing(thing, place, rng, upright=bool(rng.random() < 0.3))
    return [replace(thing, restitution=rng.uniform(*restitution))]


def _drop(rng: Rng) -> list[Thing]:
    return _fall(rng, (0.05, 0.15), ("sphere", "box", "cylinder", "ellipsoid", "pyramid"))


def _bounce(rng: Rng) -> list[Thing]:
    return _fall(rng, (0.75, 0.9), ("sphere", "ellipsoid", "box", "capsule", "cylinder"))


def _slide(rng: Rng) -> list[Thing]:
    thing = draw_thing(rng, str(rng.choice(FLAT)))
    # Flat enough not to topple.
    half = np.array([*thing.half[:2], min(thing.half[2], 0.9 * min(thing.half[:2]))])
    thing = replace(thing, half=half, friction=rng.uniform(0.08, 0.25), restitution=0.1)
    return [_sent(thing, rng, rng.uniform(1.2, 2.4), turned(2, rng.uniform(0, 2 * np.pi)))]


def _roll(rng: Rng) -> list[Thing]:
    thing = replace(draw_thing(rng, str(rng.choice(ROUND))), friction=0.9, restitution=0.1)
    return [_rolling(thing, rng, rng.uniform(0.7, 1.8))]


def _sent(thing: Thing, rng: Rng, speed: float, rotation: Numbers) -> Thing:
    """On the floor, through the middle of the arena."""
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle), 0.0])
    place = -way * min(0.5 * speed, 1.0) + np.array([0, 0, base(thing)])
    return replace(thing, position=place, rotation=rotation, velocity=speed * way)


def _rolling(thing: Thing, rng: Rng, speed: float) -> Thing:
    """Lying on its side where it has one, turning as fast as it goes."""
    sent = _sent(thing, rng, speed, np.eye(3))
    way = sent.velocity / speed
    axis = np.cross([0.0, 0.0, 1.0], way)
    radius = float(thing.half[0])
    # Its own z, a cylinder's axis, lies across the way.
    rotation = np.stack([way, np.cross(axis, way), axis], 1)
    place = np.array([*sent.position[:2], radius + GAP])
    return replace(sent, position=place, rotation=rotation, spin=axis * speed / radius)


def _collide(rng: Rng) -> list[Thing]:
    """Two meet in the middle."""
    first = _roll(rng)[0] if rng.random() < 0.5 else _slide(rng)[0]
    second = _roll(rng)[0] if rng.random() < 0.5 else _slide(rng)[0]
    angle = rng.uniform(0, 2 * np.pi)
    seconds = rng.uniform(0.35, 0.6)
    met = []
    for thing, heading in ((first, angle), (second, angle + np.pi + rng.uniform(-0.5, 0.5))):
        speed = float(np.linalg.norm(thing.velocity))
        old = np.arctan2(thing.velocity[1], thing.velocity[0])
        turn = turned(2, heading - old)
        away = max(speed * seconds, reach(thing) + 0.35)
        velocity = turn @ thing.velocity * (away / (speed * seconds))
        place = -away * velocity / np.linalg.norm(velocity)
        place = np.array([place[0], place[1], thing.position[2]])
        spin = turn @ thing.spin * (away / (speed * seconds))
        rotation = turn @ thing.rotation
        met.append(replace(thing, position=place, velocity=velocity, spin=spin, rotation=rotation))
    return [replace(thing, restitution=rng.uniform(0.2, 0.7)) for thing in met]


def _spin(rng: Rng) -> list[Thing]:
    thing = draw_thing(rng, str(rng.choice(("box", "cylinder", "pyramid", "ellipsoid"))))
    if thing.shape == "ellipsoid":  # on its shortest axis, else it topples
        a, b, c = sorted(thing.half)
        thing = replace(thing, half=np.array([b, c, a]))
    textured = draw_texture(rng, repeats=(1.5, 4), plain=0.0)
    place = np.array([*rng.uniform(-0.4, 0.4, 2), base(thing)])
    speed = rng.uniform(4, 10) * rng.choice([-1, 1])
    thing = standing(replace(thing, texture=textured), place, rng, upright=True)
    return [replace(thing, spin=np.array([0, 0, speed]), friction=0.05, restitution=0.1)]


def _stack(rng: Rng) -> list[Thing]:
    """A tower: each falls a little way onto the one below."""
    centre = rng.uniform(-0.4, 0.4, 2)
    tower: list[Thing] = []
    top, fall = 0.0, 0.0
    for level in range(int(rng.integers(2, 4))):
        shape = str(rng.choice(("box", "cylinder")))
        thing = draw_thing(rng, shape, scale=0.95 - 0.15 * level)
        thing = replace(thing, half=np.array([*np.maximum(thing.half[:2], 0.16), thing.half[2]]))
        fall += rng.uniform(0.15, 0.4) if level else 0.0
        height = top + base(thing) + fall
        place = np.array([*(centre + rng.uniform(-0.03, 0.03, 2)), height])
        thing = standing(thing, place, rng, upright=True)
        tower.append(replace(thing, restitution=0.05, friction=0.9))
        top += 2 * float(thing.half[2])
    return tower


PLOTS: dict[str, Callable[[Rng], list[Thing]]] = {
    "drop": _drop,
    "bounce": _bounce,
    "slide": _slide,
    "roll": _roll,
    "collide": _collide,
    "spin": _spin,
    "stack": _stack,
}
"""Of each action, the things that perform it."""
