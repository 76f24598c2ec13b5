"""One picture or clip of the world with all its truth, from nothing but settings and a number."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.world.asked import VERSION, WorldSettings
from hotstart.world.draw import draw_scene, generator
from hotstart.world.flow import flow_between
from hotstart.world.physics import Motion, Simulation
from hotstart.world.render import Renderer, Seen
from hotstart.world.scene import Scene
from hotstart.world.sound import synthesise, wav
from hotstart.world.truth import boxes, contours, most_seen, rounded

BRIGHT = 85.0  # Percentile of luminance that is exposed to MIDDLE.
MIDDLE = 0.55
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class Item:
    """A picture, or a clip.

    frames: one for each; images: uint8 (T, P, P, 3), RGB
    flows: of a clip, from each frame but the last: see `flow_between`
    sound: of a clip, int16 (n,) at `SOUND_HZ`
    """

    settings: WorldSettings
    index: int
    scene: Scene
    motion: Motion
    frames: tuple[Seen, ...]
    images: npt.NDArray[np.uint8]
    flows: tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]], ...]
    sound: npt.NDArray[np.int16]


def make(settings: WorldSettings, index: int) -> Item:
    """Item `index` of the world that `settings` ask for.

    A function of its arguments alone: any process on any day makes the same (with the same
    versions of the engines).
    """
    scene = draw_scene(settings, index)
    simulation = Simulation(scene)
    motion = simulation.run()
    rng = generator(settings, index, "light")
    renderer = Renderer(scene, settings.size, settings.samples)
    frames = tuple(
        renderer.draw(camera, motion.positions[t], motion.rotations[t], int(rng.integers(2**31)))
        for t, camera in enumerate(scene.cameras)
    )
    # One exposure for a whole clip, so that nothing flickers.
    bright = np.percentile(frames[0].radiance @ LUMINANCE, BRIGHT)
    exposure = MIDDLE * rng.uniform(0.75, 1.3) / max(float(bright), 1e-6)
    images = np.stack([developed(seen.radiance, exposure) for seen in frames])
    flows = tuple(
        flow_between(simulation, motion, scene.cameras, seen, t)
        for t, seen in enumerate(frames[:-1])
    )
    seconds = len(frames) / settings.hz if settings.is_video else 0.0
    sound = synthesise(scene, motion, seconds, generator(settings, index, "sound"))
    return Item(settings, index, scene, motion, frames, images, flows, sound)


def developed(radiance: npt.NDArray[np.float32], exposure: float) -> npt.NDArray[np.uint8]:
    """Linear radiance (P, P, 3) as sRGB, uint8 (IEC 61966-2-1)."""
    linear = np.clip(radiance.astype(np.float64) * exposure, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * curved).astype(np.uint8)


def describe(item: Item) -> dict[str, Any]:
    """All that is known beside the pixels, as JSON."""
    scene, motion = item.scene, item.motion
    things = [
        {
            "instance": k + 1,
            "shape": thing.shape,
            "half_metres": rounded(thing.half),
            "substance": thing.substance,
            "moves": thing.moves,
            "mass_kilograms": rounded(motion.masses[k]),
        }
        for k, thing in enumerate(scene.things)
    ]
    frames = [
        {
            "seconds": rounded(scene.seconds[t]),
            "camera": {
                "position_metres": rounded(camera.position),
                "rotation": rounded(camera.rotation, 9),
                "fov_degrees": rounded(camera.fov_degrees),
            },
            "things": [
                {
                    "position_metres": rounded(motion.positions[t, k]),
                    "rotation": rounded(motion.rotations[t, k], 9),
                    "box_px": box,
                }
                for k, box in enumerate(boxes(seen.instances, len(things)))
            ],
        }
        for t, (camera, seen) in enumerate(zip(scene.cameras, item.frames, strict=True))
    ]
    contacts = [
        {
            "seconds": rounded(contact.seconds),
            "instances": [max(k + 1, 0) for k in contact.things],
            "position_metres": rounded(contact.position),
            "impulse_newton_seconds": rounded(contact.impulse),
        }
        for contact in motion.contacts
    ]
    label = scene.action or most_seen(item.frames[0].instances, scene)
    return {
        "world": item.settings.text,
        "version": VERSION,
        "index": item.index,
        "label": label,
        "camera_motion": scene.camera_motion,
        "things": things,
        "frames": frames,
        "contacts": contacts,
    }


def files_of(settings: WorldSettings, index: int) -> dict[str, bytes]:
    """Item `index` as files: what one process does for one job."""
    return files(make(settings, index))


def files(item: Item) -> dict[str, bytes]:
    """The item as files, by the ending of each name.

    Of a picture `image.png`, `depth.npy`, ...; of a clip, `00.image.png`, ... for each frame.
    """
    made: dict[str, bytes] = {}
    for t, seen in enumerate(item.frames):
        before = f"{t:02d}." if item.settings.is_video else ""
        made[f"{before}image.png"] = png(item.images[t][..., ::-1])
        made[f"{before}depth.npy"] = npy(seen.depth)
        made[f"{before}normals.npy"] = npy(seen.normals.astype(np.float16))
        made[f"{before}instances.png"] = png(seen.instances)
        made[f"{before}classes.png"] = png(seen.classes)
        edges = contours(seen.instances, seen.classes)
        made[f"{before}contours.png"] = png(edges.astype(np.uint8) * 255)
        if t < len(item.flows):
            vectors, hidden = item.flows[t]
            made[f"{before}flow.npy"] = npy(vectors)
            made[f"{before}occlusion.png"] = png(hidden.astype(np.uint8) * 255)
    if item.settings.is_video:
        made["wav"] = wav(item.sound)
    # Last: a sample whose description is there is whole.
    made["json"] = one_line_each(describe(item)).encode()
    return made


def one_line_each(facts: dict[str, Any]) -> str:
    """JSON with a line for each entry: `indent` leaves the encoder written in C for a slow one."""
    lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in facts.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Uint8 (H, W), or (H, W, 3) as blue, green, red."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def npy(values: npt.NDArray[Any]) -> bytes:
    """As NumPy's own file."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    return file.getvalue()
