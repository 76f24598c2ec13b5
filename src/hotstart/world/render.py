"""Pictures of a scene at any moment, and what each pixel shows: Mitsuba 3, a path tracer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.world.engines import mitsuba
from hotstart.world.patterns import paint
from hotstart.world.physics import pyramid, wall_box
from hotstart.world.scene import (
    CLASSES,
    SUBSTANCES,
    Camera,
    Numbers,
    Scene,
    Texture,
    Thing,
    turned,
)

BOUNCES = 4  # Of light: from the lamp to a thing, from that to the next, ...
AROUND, UP = 96, 48  # Facets of an ellipsoid: at 0.3 m they leave its surface by 0.2 mm.
SKY = (8, 16)
NEAR = 0.01  # Metres from the camera at which its rays, and their length, begin.


@dataclass(frozen=True)
class Seen:
    """One frame. P is the side of the picture.

    radiance: float32 (P, P, 3), linear RGB
    depth: float32 (P, P), metres along the camera's axis at the pixel's middle; infinite in the sky
    normals: float32 (P, P, 3), unit vectors out of the surface along the camera's right, down and
    forward; 0 in the sky
    instances: uint8 (P, P), 0 = no thing, k + 1 = thing k; classes: uint8 (P, P), see `CLASSES`
    """

    radiance: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]
    instances: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.uint8]


class Renderer:
    """Draws the frames of one scene; its surfaces are made once.

    samples: paths followed for each pixel
    """

    def __init__(self, scene: Scene, size: int, samples: int) -> None:
        self.scene, self.size, self.samples = scene, size, samples
        engine, room = mitsuba(), scene.room
        self.surfaces = [self._surface(t.texture, t.roughness, _metallic(t)) for t in scene.things]
        sky = np.linspace(room.sky[0], room.sky[1], SKY[0] // 2)
        below = np.repeat(room.sky[1:] * 0.5, SKY[0] - len(sky), 0)
        dome = np.repeat(np.concatenate([sky, below])[:, None], SKY[1], 1)
        self.fixed: dict[str, Any] = {
            "sky": {
                "type": "envmap",
                "bitmap": engine.Bitmap(dome.astype(np.float32)),
                "to_world": engine.ScalarTransform4f().rotate([1, 0, 0], 90),
            },
            "floor": {
                "type": "rectangle",
                "to_world": _transform(np.eye(3), np.zeros(3), [room.half, room.half, 1]),
                "bsdf": self._surface(room.floor, room.floor_roughness, 0.0),
            },
            "light": {
                "type": "rectangle",
                "to_world": _transform(
                    turned(0, np.pi), room.lamp, [room.lamp_half, room.lamp_half, 1]
                ),
                "emitter": {
                    "type": "area",
                    "radiance": {"type": "rgb", "value": room.lamp_radiance.tolist()},
                },
            },
        }
        surface = self._surface(room.wall, 0.9, 0.0)
        for side, there in enumerate(room.walls):
            if there:
                centre, half = wall_box(room.half, room.wall_height, side)
                self.fixed[f"wall{side}"] = {
                    "type": "cube",
                    "to_world": _transform(np.eye(3), centre, half),
                    "bsdf": surface,
                }
        self.path = engine.load_dict({"type": "path", "max_depth": BOUNCES})
        self.truth = engine.load_dict({"type": "aov", "aovs": "t:depth,n:sh_normal,i:shape_index"})

    def draw(self, camera: Camera, positions: Numbers, rotations: Numbers, seed: int) -> Seen:
        """The scene with its things at positions (K, 3), turned by rotations (K, 3, 3)."""
        engine = mitsuba()
        scene = self.loaded(positions, rotations)
        lit = engine.render(
            scene, sensor=self.sensor(camera, False), integrator=self.path, seed=seed
        )
        # One ray through the middle of each pixel: an average over several surfaces is no label.
        told = np.array(
            engine.render(scene, sensor=self.sensor(camera, True), integrator=self.truth, spp=1)
        )
        rays = pixel_rays(camera.fov_degrees, self.size)
        which = told[..., 4].astype(int)  # 0 is no shape
        hit = which > 0
        depth = np.where(hit, told[..., 0] / np.linalg.norm(rays, axis=-1) + NEAR, np.inf)
        normals = np.where(hit[..., None], told[..., 1:4] @ camera.rotation, 0)
        instances, classes = self._codes([shape.id() for shape in scene.shapes()])
        return Seen(
            np.asarray(lit, np.float32),
            depth.astype(np.float32),
            normals.astype(np.float32),
            instances[which],
            classes[which],
        )

    def loaded(self, positions: Numbers, rotations: Numbers) -> Any:
        """The renderer's scene, with things where they are told to be."""
        shapes = dict(self.fixed)
        for k, thing in enumerate(self.scene.things):
            parts = _shapes(thing, positions[k], rotations[k], self.surfaces[k])
            for number, part in enumerate(parts):
                shapes[name := f"thing{k}_{number}"] = part
                if not isinstance(part, dict):
                    part.set_id(name)
        # Not optimised: that would melt walls of one surface into one shape without a name.
        return mitsuba().load_dict({"type": "scene", **shapes}, optimize=False)

    def _codes(self, names: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Of no shape, then of each of the renderer's: instance and class."""
        instances, classes = np.zeros((2, len(names) + 1), np.uint8)
        for place, name in enumerate(names, start=1):
            if name.startswith("thing"):
                k = int(name.removeprefix("thing").partition("_")[0])
                instances[place] = k + 1
                classes[place] = CLASSES.index(self.scene.things[k].shape)
            else:
                classes[place] = CLASSES.index(name.rstrip("0123"))
        return instances, classes

    def sensor(self, camera: Camera, centre: bool) -> Any:
        """The renderer's camera: many rays a pixel, or one through the middle of each."""
        engine = mitsuba()
        # Mitsuba's cameras look along +z and have +x to their left.
        axes = camera.rotation * [-1, -1, 1]
        sampler = (
            {"type": "stratified", "sample_count": 1, "jitter": False}
            if centre
            else {"type": "independent", "sample_count": self.samples}
        )
        return engine.load_dict(
            {
                "type": "perspective",
                "fov": camera.fov_degrees,
                "near_clip": NEAR,
                "far_clip": 1000.0,
                "to_world": _transform(axes, camera.position, [1, 1, 1]),
                "film": {
                    "type": "hdrfilm",
                    "width": self.size,
                    "height": self.size,
                    "pixel_format": "rgb",
                    "rfilter": {"type": "box"},
                },
                "sampler": sampler,
            }
        )

    def _surface(self, texture: Texture, roughness: float, metallic: float) -> Any:
        engine = mitsuba()
        return engine.load_dict(
            {
                "type": "principled",
                "base_color": {
                    "type": "bitmap",
                    "bitmap": engine.Bitmap(paint(texture)),
                    "raw": True,
                    "to_uv": engine.ScalarTransform4f().scale([texture.repeats] * 3),
                },
                "roughness": roughness,
                "metallic": metallic,
                "specular": 0.5,
            }
        )


def pixel_rays(fov_degrees: float, size: int) -> Numbers:
    """Through the middle of each pixel, along right, down and forward: (size, size, 3), z = 1."""
    half = np.tan(np.radians(fov_degrees) / 2)
    along = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    x, y = np.meshgrid(along, along)
    return np.stack([x, y, np.ones_like(x)], -1)


def _metallic(thing: Thing) -> float:
    return SUBSTANCES[thing.substance].metallic


def _transform(axes: Numbers, position: Numbers, scale: Any) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.asarray(scale, float)
    matrix[:3, 3] = position
    return mitsuba().ScalarTransform4f(matrix)


def _shapes(thing: Thing, position: Numbers, rotation: Numbers, surface: Any) -> list[Any]:
    """A thing as shapes of the renderer."""
    a, _, c = (float(half) for half in thing.half)
    up = np.array([0, 0, 1.0])

    def at(offset: float, scale: Any, turn: Numbers | None = None) -> Any:
        axes = rotation if turn is None else rotation @ turn
        return _transform(axes, position + rotation @ (offset * up), scale)

    def shape(kind: str, to_world: Any, **own: Any) -> dict[str, Any]:
        return {"type": kind, "to_world": to_world, "bsdf": surface, **own}

    if thing.shape == "sphere":
        return [shape("sphere", at(0, [a, a, a]))]
    if thing.shape == "box":
        return [shape("cube", at(0, thing.half))]
    if thing.shape == "pyramid":
        return [_polyhedron(thing, position, rotation, surface)]
    if thing.shape == "ellipsoid":
        return [_ellipsoid(thing, position, rotation, surface)]
    side = c if thing.shape == "cylinder" else c - a
    tube = shape("cylinder", at(0, [1, 1, 1]), p0=[0, 0, -side], p1=[0, 0, side], radius=a)
    if thing.shape == "cylinder":
        lid = shape("disk", at(side, [a, a, 1]))
        return [tube, lid, shape("disk", at(-side, [a, a, 1], turned(0, np.pi)))]
    return [tube, *(shape("sphere", at(end, [a, a, a])) for end in (side, -side))]


def _polyhedron(thing: Thing, position: Numbers, rotation: Numbers, surface: Any) -> Any:
    corners, faces = pyramid(thing.half)
    flat = corners[faces]  # corners of their own for each face, so that its normal is its own
    normals = np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    marks = np.array([[[0, 0], [1, 1], [0, 1]]] * 2 + [[[0, 0], [1, 0], [0.5, 1]]] * 4, float)
    return _mesh(
        flat.reshape(-1, 3) @ rotation.T + position,
        np.repeat(normals, 3, 0) @ rotation.T,
        marks.reshape(-1, 2),
        np.arange(3 * len(faces)).reshape(-1, 3),
        surface,
    )


def _ellipsoid(thing: Thing, position: Numbers, rotation: Numbers, surface: Any) -> Any:
    u, v = np.meshgrid(np.linspace(0, 1, AROUND + 1), np.linspace(0, 1, UP + 1))
    longitude, latitude = 2 * np.pi * u, np.pi * v
    ball = np.stack(
        [
            np.sin(latitude) * np.cos(longitude),
            np.sin(latitude) * np.sin(longitude),
            np.cos(latitude),
        ],
        -1,
    ).reshape(-1, 3)
    normals = ball / thing.half
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    row, column = np.meshgrid(np.arange(UP), np.arange(AROUND), indexing="ij")
    first = (row * (AROUND + 1) + column).ravel()
    below = first + AROUND + 1
    faces = np.concatenate(
        [np.stack([first, below, below + 1], 1), np.stack([first, below + 1, first + 1], 1)]
    )
    return _mesh(
        ball * thing.half @ rotation.T + position,
        normals @ rotation.T,
        np.stack([u.ravel(), v.ravel()], 1),
        faces,
        surface,
    )


def _mesh(points: Numbers, normals: Numbers, marks: Numbers, faces: Any, surface: Any) -> Any:
    engine = mitsuba()
    properties = engine.Properties()
    properties["bsdf"] = surface
    mesh = engine.Mesh(
        "mesh",
        vertex_count=len(points),
        face_count=len(faces),
        has_vertex_normals=True,
        has_vertex_texcoords=True,
        props=properties,
    )
    values = engine.traverse(mesh)
    values["vertex_positions"] = points.ravel().astype(np.float32)
    values["vertex_normals"] = normals.ravel().astype(np.float32)
    values["vertex_texcoords"] = marks.ravel().astype(np.float32)
    values["faces"] = faces.ravel().astype(np.uint32)
    values.update()
    return mesh
