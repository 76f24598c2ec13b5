"""What happens in a scene: MuJoCo moves its things; and rays cast into any moment of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.world.engines import mujoco
from hotstart.world.scene import SUBSTANCES, Numbers, Scene, Thing

STEPS_A_SECOND = 2000  # At least; with half as many, a cylinder that spins jumps.
STEPS_A_SECOND_UNSEEN = 500  # Of a picture: only where things end up is seen.
STIFFNESS = 40_000.0  # Per kilogram: a contact lasts pi / sqrt(STIFFNESS) = 16 ms.
FLOOR_RESTITUTION = 0.98
IMPEDANCE = "0.99 0.99 0.001"
FLOOR, WALL, NOTHING = -1, -2, -3
"""What a thing may touch, or a ray hit, that is none."""
APART_SECONDS = 0.03
"""Two that touch again sooner have not parted."""
GATHERED_SECONDS = 0.02
"""From the start of a contact, for how long its force counts as the impact."""
LEAST_SPEED = 0.3
"""Metres a second by which an impact must change the lighter thing's speed to be told: above the
0.2 that its weight alone amounts to meanwhile."""


@dataclass(frozen=True)
class Contact:
    """An impact.

    seconds: when it began; things: positions in `Scene.things`, or `FLOOR` or `WALL`
    position: (3,); impulse: newton seconds along the normal
    """

    seconds: float
    things: tuple[int, int]
    position: Numbers
    impulse: float


@dataclass(frozen=True)
class Motion:
    """Where K things were at each of T frames, and what they touched.

    positions: (T, K, 3); rotations: (T, K, 3, 3); contacts: in the order of time
    rubbing: (S, K), normal force times speed along the surface, watts, of each step of physics
    """

    positions: Numbers
    rotations: Numbers
    contacts: tuple[Contact, ...]
    rubbing: Numbers
    steps_a_second: float
    masses: Numbers


class Simulation:
    """A scene in MuJoCo."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        gaps = np.diff(scene.seconds)
        gap = float(gaps[0]) if len(gaps) else max(float(scene.seconds[0]), 1e-3)
        rate = STEPS_A_SECOND if len(gaps) else STEPS_A_SECOND_UNSEEN
        self.steps_a_frame = int(np.ceil(rate * gap))
        self.step_seconds = gap / self.steps_a_frame
        engine = mujoco()
        self.model = engine.MjModel.from_xml_string(_mjcf(scene, self.step_seconds))
        self.data = engine.MjData(self.model)
        count = len(scene.things)
        self.bodies = np.array([self.model.body(f"thing{k}").id for k in range(count)], int)
        # Which thing each geom belongs to; the floor comes first, walls next.
        self.owners = np.full(self.model.ngeom, WALL)
        self.owners[self.model.geom("floor").id] = FLOOR
        for k in range(count):
            self.owners[self.model.geom(f"thing{k}").id] = k
        self.masses = self.model.body_mass[self.bodies].copy()

    def run(self) -> Motion:
        """From the start of the scene to its last frame. Contacts of clips alone are told."""
        engine, model, data, scene = mujoco(), self.model, self.data, self.scene
        engine.mj_resetData(model, data)
        for k, thing in enumerate(scene.things):
            if thing.moves:
                joint = data.joint(f"free{k}")
                # MuJoCo tells a free body's spin along its own axes.
                joint.qvel = np.concatenate([thing.velocity, thing.rotation.T @ thing.spin])
        frames, count = len(scene.seconds), len(scene.things)
        first = round(float(scene.seconds[0]) / self.step_seconds)
        steps = first + (frames - 1) * self.steps_a_frame
        positions, rotations = np.empty((frames, count, 3)), np.empty((frames, count, 3, 3))
        gathering = _Contacts(self)
        rubbing = np.zeros((steps, count))
        if frames == 1:
            engine.mj_step(model, data, nstep=steps)
        for step in range(steps if frames == 1 else 0, steps + 1):
            engine.mj_step1(model, data)
            frame, rest = divmod(step - first, self.steps_a_frame)
            if frame >= 0 and not rest:
                positions[frame] = data.xpos[self.bodies]
                rotations[frame] = data.xmat[self.bodies].reshape(-1, 3, 3)
            if step < steps:
                engine.mj_step2(model, data)
                gathering.look(step, rubbing[step])
        return Motion(
            positions,
            rotations,
            gathering.finished(),
            rubbing,
            1 / self.step_seconds,
            self.masses,
        )

    def cast(
        self, positions: Numbers, rotations: Numbers, origin: Numbers, directions: Numbers
    ) -> tuple[Numbers, npt.NDArray[np.int64]]:
        """How far rays (N, 3) of any length from `origin` (3,) go, and what they hit.

        positions (K, 3), rotations (K, 3, 3): where the things are
        Returns (N,), in units of their length, infinite where nothing is hit; and (N,), positions
        in `Scene.things`, or `FLOOR`, `WALL` or `NOTHING`.
        """
        engine, model, data = mujoco(), self.model, self.data
        quaternion = np.empty(4)
        for k, thing in enumerate(self.scene.things):
            if thing.moves:
                engine.mju_mat2Quat(quaternion, rotations[k].ravel())
                data.joint(f"free{k}").qpos = np.concatenate([positions[k], quaternion])
        engine.mj_kinematics(model, data)
        count = len(directions)
        hit, distances = np.empty(count, np.int32), np.empty(count)
        rays = np.ascontiguousarray(directions, np.float64).ravel()
        engine.mj_multiRay(
            model, data, origin, rays, None, True, -1, hit, distances, None, count, 1e9
        )
        owners = np.where(hit < 0, NOTHING, self.owners[hit])
        return np.where(hit < 0, np.inf, distances), owners


class _Contacts:
    """Impacts, put together from what touches at each step."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.last: dict[tuple[int, int], int] = {}
        self.open: dict[tuple[int, int], list[Any]] = {}
        self.told: list[Contact] = []
        self.force = np.zeros(6)

    def look(self, step: int, rubbing: Numbers) -> None:
        """Take in the contacts of one step; add to `rubbing` (K,)."""
        engine, simulation = mujoco(), self.simulation
        model, data, seconds = simulation.model, simulation.data, simulation.step_seconds
        for number in range(data.ncon):
            contact = data.contact[number]
            low, high = sorted(int(simulation.owners[geom]) for geom in contact.geom)
            pair = low, high
            things = [k for k in pair if k >= 0]
            if not any(simulation.scene.things[k].moves for k in things):
                continue
            engine.mj_contactForce(model, data, number, self.force)
            normal = abs(float(self.force[0]))
            if not normal:
                continue
            impact = self.open.get(pair)
            if step - self.last.get(pair, -(10**9)) > APART_SECONDS / seconds:
                self._tell(pair)
                impact = self.open[pair] = [step, contact.pos.copy(), 0.0]
            self.last[pair] = step
            if impact is not None and step - impact[0] <= GATHERED_SECONDS / seconds:
                impact[2] += normal * seconds
            along = contact.frame.reshape(3, 3)[1:] @ self._slip(things)
            rubbing[things] += normal * float(np.linalg.norm(along))

    def _slip(self, things: list[int]) -> Numbers:
        """How fast (3,) two pass each other, or one goes over what stands fast."""
        simulation = self.simulation
        speeds = [
            np.array(simulation.data.joint(f"free{k}").qvel[:3])
            for k in things
            if simulation.scene.things[k].moves
        ]
        return np.asarray(speeds[0] - speeds[1] if len(speeds) == 2 else speeds[0])

    def _tell(self, pair: tuple[int, int]) -> None:
        impact = self.open.pop(pair, None)
        if impact is None:
            return
        lightest = min(self.simulation.masses[k] for k in pair if k >= 0)
        if impact[2] >= LEAST_SPEED * lightest:
            seconds = impact[0] * self.simulation.step_seconds
            self.told.append(Contact(seconds, pair, impact[1], impact[2]))

    def finished(self) -> tuple[Contact, ...]:
        for pair in list(self.open):
            self._tell(pair)
        return tuple(sorted(self.told, key=lambda contact: (contact.seconds, contact.things)))


def pyramid(half: Numbers) -> tuple[Numbers, Numbers]:
    """Corners (5, 3), of which the last is the tip, and triangles (6, 3); centroid at the origin.

    A pyramid's centroid lies a quarter of its height above the base.
    """
    a, b, height = half[0], half[1], 2 * half[2]
    low, tip = -height / 4, 3 * height / 4
    base = [[-a, -b, low], [a, -b, low], [a, b, low], [-a, b, low]]
    faces = [[0, 2, 1], [0, 3, 2], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    return np.array([*base, [0.0, 0.0, tip]]), np.array(faces)


def _numbers(values: Any) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def _bounce(restitution: float) -> str:
    """MuJoCo's stiffness and damping of a contact after which this share of the speed is left.

    A damped spring that pushes and never pulls returns exp(-zeta / sqrt(1 - zeta^2) angle) of it,
    angle = pi - atan2(2 zeta sqrt(1 - zeta^2), 1 - 2 zeta^2) (Schwager & Poeschel 2007,
    arXiv:0711.3100, section 3), at least exp(-2). Of two surfaces MuJoCo takes the larger damping.
    """
    zeta = np.linspace(1e-3, 0.99, 1000)
    root = np.sqrt(1 - zeta**2)
    angle = np.pi - np.arctan2(2 * zeta * root, 1 - 2 * zeta**2)
    returned = np.exp(-zeta / root * angle)
    chosen = float(np.interp(restitution, returned[::-1], zeta[::-1]))
    return f"{-STIFFNESS} {-2 * chosen * np.sqrt(STIFFNESS)}"


def _mjcf(scene: Scene, step_seconds: float) -> str:
    """The scene in MuJoCo's own language."""
    room = scene.room
    meshes, bodies = [], []
    for k, thing in enumerate(scene.things):
        if thing.shape == "pyramid":
            meshes.append(f'<mesh name="mesh{k}" vertex="{_numbers(pyramid(thing.half)[0])}"/>')
        bodies.append(_body(k, thing))
    walls = []
    for side, there in enumerate(room.walls):
        if there:
            centre, half = wall_box(room.half, room.wall_height, side)
            walls.append(
                f'<geom type="box" pos="{_numbers(centre)}" size="{_numbers(half)}" '
                f'solref="{_bounce(FLOOR_RESTITUTION)}" solimp="{IMPEDANCE}"/>'
            )
    return f"""<mujoco>
<compiler angle="radian"/>
<option timestep="{step_seconds!r}" cone="elliptic" impratio="10" integrator="implicitfast"/>
<asset>{"".join(meshes)}</asset>
<worldbody>
<geom name="floor" type="plane" size="{room.half!r} {room.half!r} 1" friction="0.01 0.0001 0.00001"
 solref="{_bounce(FLOOR_RESTITUTION)}" solimp="{IMPEDANCE}"/>
{"".join(walls)}{"".join(bodies)}
</worldbody>
</mujoco>"""


WALL_HALF_THICKNESS = 0.05


def wall_box(half: float, height: float, side: int) -> tuple[Numbers, Numbers]:
    """Centre and half extents, each (3,), of the wall on one of the four sides of a room."""
    axis, sign = side % 2, 1 if side < 2 else -1
    centre, extent = np.zeros(3), np.array([half, half, height / 2])
    centre[axis] = sign * (half + WALL_HALF_THICKNESS)
    centre[2] = height / 2
    extent[axis] = WALL_HALF_THICKNESS
    return centre, extent


def _body(k: int, thing: Thing) -> str:
    quaternion = np.empty(4)
    mujoco().mju_mat2Quat(quaternion, np.ascontiguousarray(thing.rotation).ravel())
    a, b, c = thing.half
    sizes = {
        "sphere": [a],
        "box": [a, b, c],
        "cylinder": [a, c],
        "capsule": [a, c - a],
        "ellipsoid": [a, b, c],
    }
    shape = (
        f'type="mesh" mesh="mesh{k}"'
        if thing.shape == "pyramid"
        else f'type="{thing.shape}" size="{_numbers(sizes[thing.shape])}"'
    )
    density = SUBSTANCES[thing.substance].density
    joint = f'<freejoint name="free{k}"/>' if thing.moves else ""
    # Of two frictions MuJoCo takes the larger, and the floor's is next to nothing.
    return (
        f'<body name="thing{k}" pos="{_numbers(thing.position)}" quat="{_numbers(quaternion)}">'
        f'{joint}<geom name="thing{k}" {shape} density="{density!r}" condim="6" '
        f'friction="{thing.friction!r} 0.002 0.0001" solref="{_bounce(thing.restitution)}" '
        f'solimp="{IMPEDANCE}"/></body>\n'
    )
