"""Which scenes there are: everything about one is drawn from its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hotstart.world.asked import VERSION, WorldSettings
from hotstart.world.cameras import draw_cameras, draw_portrait
from hotstart.world.plots import PLOTS, colour, draw_thing, fits, standing
from hotstart.world.scene import ACTIONS, SHAPES, Numbers, Room, Scene, Texture, Thing

ARENA = 1.2  # Metres: half side of the square in which things happen.
FAR = 1.3, 2.4  # How far from the middle what only stands about may stand.
MOST_TRIES = 60
STUDIO_SCALE = 1.3  # A single thing is larger than those of a crowd.
STUDIO_GREYS = 0.25, 0.7  # Albedo of floor and walls behind a single thing.


def draw_scene(settings: WorldSettings, index: int) -> Scene:
    """Scene `index` of the world that `settings` ask for: a function of the two alone."""
    rng = generator(settings, index, "scene")
    if settings.is_video:
        return _clip(settings, index, rng)
    return _picture(rng) if settings.kind == "images" else _object(index, rng)


def generator(settings: WorldSettings, index: int, what: str) -> np.random.Generator:
    """An independent stream of random numbers for each scene and purpose."""
    purpose = int.from_bytes(f"{settings.kind} {what}".encode()[:32], "little")
    key = np.random.SeedSequence([VERSION, settings.seed, index, purpose])
    return np.random.Generator(np.random.Philox(key))


def _picture(rng: np.random.Generator) -> Scene:
    """Things dropped at random, some of them still in the air."""
    things: list[Thing] = []
    wanted = int(rng.integers(2, 7))
    for _ in range(MOST_TRIES):
        if len(things) == wanted:
            break
        thing = draw_thing(rng, SHAPES[rng.integers(len(SHAPES))])
        height = rng.uniform(0.05, 0.9) + np.linalg.norm(thing.half)
        place = np.array([*rng.uniform(-ARENA, ARENA, 2), height])
        thing = standing(thing, place, rng, upright=bool(rng.random() < 0.5))
        if fits(thing, things):
            things.append(thing)
    seconds = np.array([rng.uniform(0.15, 2.0)])
    target = np.array([*rng.uniform(-0.3, 0.3, 2), rng.uniform(0.1, 0.5)])
    room = _room(rng)
    cameras, motion = draw_cameras(rng, 1, target, room.half, moves=False)
    return Scene(room, tuple(things), cameras, motion, seconds, None)


def _object(index: int, rng: np.random.Generator) -> Scene:
    """A coloured thing on grey ground, as in a studio; no patterns, so that shape tells."""
    # In turn, so that each shape is as frequent as any other.
    thing = draw_thing(rng, SHAPES[index % len(SHAPES)], scale=STUDIO_SCALE)
    thing = standing(thing, np.zeros(3), rng, upright=True, moves=False)
    thing = replace(thing, texture=_vivid(thing.texture, rng))
    camera = draw_portrait(rng, thing.position)
    room = _room(rng)
    floor, wall = (_grey(each, rng) for each in (room.floor, room.wall))
    room = replace(room, floor=floor, wall=wall)
    return Scene(room, (thing,), (camera,), "fixed", np.zeros(1), None)


def _vivid(texture: Texture, rng: np.random.Generator) -> Texture:
    vivid = colour(rng.uniform(0, 6), rng.uniform(0.6, 1.0), rng.uniform(0.25, 0.85))
    return replace(texture, pattern="plain", colour=vivid)


def _grey(texture: Texture, rng: np.random.Generator) -> Texture:
    return replace(texture, pattern="plain", colour=np.full(3, rng.uniform(*STUDIO_GREYS)))


def _clip(settings: WorldSettings, index: int, rng: np.random.Generator) -> Scene:
    """One action, and things that stand about."""
    # In turn, so that each action is as frequent as any other.
    action = ACTIONS[index % len(ACTIONS)]
    things = list(PLOTS[action](rng))
    actors = len(things)
    for _ in range(int(rng.integers(0, 4))):
        thing = draw_thing(rng, SHAPES[rng.integers(len(SHAPES))])
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(*FAR)
        place = np.array([away * np.cos(angle), away * np.sin(angle), 0.0])
        thing = standing(thing, place, rng, upright=True, moves=False)
        if fits(thing, things, room_for_motion=0.15) and not _in_the_way(thing, things[:actors]):
            things.append(thing)
    seconds = np.arange(settings.frames) / settings.hz
    room = _room(rng)
    middle = np.mean([_midway(thing) for thing in things[:actors]], axis=0)
    cameras, motion = draw_cameras(rng, settings.frames, middle, room.half, moves=True)
    return Scene(room, tuple(things), cameras, motion, seconds, action)


def _midway(thing: Thing) -> Numbers:
    """Where a thing is seen best from start to end, about."""
    ahead = thing.position + 0.5 * thing.velocity
    return np.array([ahead[0], ahead[1], max(0.5 * thing.position[2], thing.half[2])])


def _in_the_way(thing: Thing, actors: Sequence[Thing]) -> bool:
    """Whether a thing stands where an actor will pass within a second and a half."""
    for actor in actors:
        way = actor.velocity[:2] * 1.5
        for share in np.linspace(0, 1, 8):
            gap = np.linalg.norm(actor.position[:2] + share * way - thing.position[:2])
            if gap < max(actor.half) + np.linalg.norm(thing.half[:2]) + 0.1:
                return True
    return False


def _room(rng: np.random.Generator) -> Room:
    lamp = np.array([*rng.uniform(-3.5, 3.5, 2), rng.uniform(5.0, 7.0)])
    warmth = rng.uniform(-0.25, 0.25)
    half_lamp = rng.uniform(0.3, 1.4)
    # The light that arrives stays within a factor of a few, whatever the lamp's size.
    lamp_radiance = rng.uniform(18, 60) / half_lamp**2 * np.array([1 + warmth, 1.0, 1 - warmth])
    zenith = rng.uniform(0.15, 0.7) * (0.7 + 0.3 * rng.random(3)) * np.array([0.8, 0.9, 1.1])
    horizon = zenith * rng.uniform(0.6, 2.0) * (0.8 + 0.4 * rng.random(3))
    return Room(
        half=rng.uniform(5.5, 9.0),
        walls=tuple(bool(wall) for wall in rng.random(4) < 0.6),  # type: ignore[arg-type]
        wall_height=rng.uniform(1.5, 5.0),
        floor=_surface(rng, repeats=(6, 30)),
        wall=_surface(rng, repeats=(3, 14)),
        floor_roughness=rng.uniform(0.25, 0.95),
        sky=np.stack([zenith, horizon]),
        lamp=lamp,
        lamp_half=half_lamp,
        lamp_radiance=lamp_radiance,
    )


def _surface(rng: np.random.Generator, repeats: tuple[float, float]) -> Texture:
    from hotstart.world.plots import draw_texture

    return draw_texture(rng, repeats=repeats, plain=0.2)
