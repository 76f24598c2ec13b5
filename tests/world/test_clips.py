"""What happens in a clip is what its labels, its flow and its sound say."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hotstart.data import open_dataset
from hotstart.world.asked import parse_world
from hotstart.world.draw import draw_scene
from hotstart.world.flow import project
from hotstart.world.item import Item, describe, files, make
from hotstart.world.physics import FLOOR, Motion, Simulation
from hotstart.world.scene import ACTIONS, CAMERA_MOTIONS, Scene
from hotstart.world.sound import SOUND_HZ, synthesise

SIZE = 48
WORLD = parse_world(f"world:videos?n=14&size={SIZE}&frames=8&samples=4")
SCENES = parse_world("world:videos?n=70&size=16&frames=12")


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return [make(WORLD, i) for i in (0, 3, 4, 7)]


@pytest.fixture(scope="module")
def runs() -> list[tuple[Scene, Motion]]:
    scenes = [draw_scene(SCENES, i) for i in range(28)]
    return [(scene, Simulation(scene).run()) for scene in scenes]


def test_a_clip_is_a_function_of_seed_and_index(items: list[Item]) -> None:
    assert files(make(WORLD, 3)) == files(items[1])


def test_every_action_and_camera_motion_is_there() -> None:
    scenes = [draw_scene(SCENES, i) for i in range(70)]
    actions = [scene.action for scene in scenes]
    assert [actions.count(action) for action in ACTIONS] == [10] * len(ACTIONS)
    assert {scene.camera_motion for scene in scenes} == set(CAMERA_MOTIONS)
    for scene in scenes:
        first, last = scene.cameras[0], scene.cameras[-1]
        still = np.allclose(first.position, last.position)
        same = np.allclose(first.rotation, last.rotation)
        want = {"fixed": (True, True), "pan": (True, False), "orbit": (False, False)}
        assert (still, same) == want.get(scene.camera_motion, (False, True))


def test_things_do_what_the_action_is_called(runs: list[tuple[Scene, Motion]]) -> None:
    """Each action is told by its physics alone."""
    right = 0
    for scene, motion in runs:
        moved = np.linalg.norm(motion.positions[-1, 0] - motion.positions[0, 0])
        fell = motion.positions[0, 0, 2] - motion.positions[:, 0, 2].min()
        turned = motion.rotations[0, 0].T @ motion.rotations[-1, 0]
        heights = motion.positions[:, 0, 2]
        rose = float(np.max(heights - np.minimum.accumulate(heights)))
        met = any(min(contact.things) >= 0 for contact in motion.contacts)
        along = moved > 0.1 and fell < 0.12
        right += bool(
            {
                "drop": fell > 0.5 and rose < 0.2,
                "bounce": fell > 0.5 and rose > 0.1,
                "slide": along and not met,
                "roll": along and not met,
                "collide": met,
                "spin": moved < 0.15 and float(np.trace(turned)) < 2.9,
                "stack": met and moved < 0.1,
            }[scene.action or ""]
        )
    assert right >= 0.9 * len(runs)


def test_a_free_fall_takes_as_long_as_it_must(runs: list[tuple[Scene, Motion]]) -> None:
    checked = 0
    for scene, motion in runs:
        if scene.action not in ("drop", "bounce"):
            continue
        early = scene.seconds < 0.3
        fallen = motion.positions[0, 0, 2] - motion.positions[early, 0, 2]
        assert np.allclose(fallen, 9.81 / 2 * scene.seconds[early] ** 2, atol=5e-3)
        checked += 1
    assert checked == 8


def test_what_is_elastic_returns_with_its_share_of_the_speed() -> None:
    """A ball, dropped: MuJoCo's contact gives back the restitution asked for, nearly."""
    scene = next(
        scene
        for scene in (draw_scene(SCENES, i) for i in range(1, 70, 7))
        if scene.things[0].shape == "sphere"
    )
    for restitution in (0.3, 0.6, 0.85):
        ball = replace(scene.things[0], restitution=restitution)
        seconds = np.arange(400) / 200
        cameras = scene.cameras[:1] * 400
        alone = replace(scene, things=(ball,), seconds=seconds, cameras=cameras)
        heights = Simulation(alone).run().positions[:, 0, 2] - ball.half[0]
        landed = int(np.argmax(heights < 0.01))
        rebound = heights[landed + 5 :].max()
        assert np.sqrt(rebound / heights[0]) == pytest.approx(restitution, abs=0.06)


def test_nothing_falls_through_the_floor(runs: list[tuple[Scene, Motion]]) -> None:
    for scene, motion in runs:
        for k, thing in enumerate(scene.things):
            lowest = motion.positions[:, k, 2].min()
            assert lowest > 0.3 * thing.half.min(), (scene.action, thing.shape)


def test_flow_leads_to_the_same_point_of_the_same_surface(items: list[Item]) -> None:
    """The depth that the next frame shows there is the depth that geometry foretells."""
    agreed, asked = 0, 0
    for item in items:
        cameras = item.scene.cameras
        for t, (vectors, hidden) in enumerate(item.flows):
            now, then = item.frames[t], item.frames[t + 1]
            rows, columns = np.nonzero(~hidden & np.isfinite(now.depth))
            x, y = (np.stack([columns, rows], 1) + vectors[rows, columns]).T
            column, row = np.round(x).astype(int), np.round(y).astype(int)
            agreed += int((then.instances[row, column] == now.instances[rows, columns]).sum())
            asked += len(rows)
            # A point of the floor, by hand: it stays where it is in the world.
            floor = now.classes[rows, columns] == 1
            half = np.tan(np.radians(cameras[t].fov_degrees) / 2)
            flat = (np.stack([columns, rows], 1)[floor] + 0.5) / SIZE * 2 - 1
            rays = np.concatenate([flat * half, np.ones((len(flat), 1))], 1)
            places = rays * now.depth[rows, columns][floor, None] @ cameras[t].rotation.T
            there = places + cameras[t].position - cameras[t + 1].position
            again, _ = project(there @ cameras[t + 1].rotation, cameras[t].fov_degrees, SIZE)
            assert np.abs(again - np.stack([x, y], 1)[floor]).max() < 1e-3
    assert agreed > 0.98 * asked


def test_warped_by_the_flow_the_next_frame_is_this_one() -> None:
    """Little is left outside of what is hidden, and the zero flow leaves much more."""
    clear = parse_world(f"world:videos?n=14&size={SIZE}&frames=3&hz=6&samples=64")
    warped, left = [], []
    for i in (0, 4):
        item = make(clear, i)
        for t, (vectors, hidden) in enumerate(item.flows):
            now, then = (item.images[k].astype(np.float32) for k in (t, t + 1))
            y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
            met = cv2.remap(then, x + vectors[..., 0], y + vectors[..., 1], cv2.INTER_LINEAR)
            warped.append(np.abs(met - now)[~hidden].mean())
            left.append(np.abs(then - now)[~hidden].mean())
    assert np.mean(warped) < 0.6 * np.mean(left)


def test_hidden_pixels_are_few_and_at_edges_or_behind(items: list[Item]) -> None:
    for item in items:
        for t, (vectors, hidden) in enumerate(item.flows):
            assert hidden.mean() < 0.35
            away = np.isfinite(item.frames[t].depth) & ~hidden
            assert np.isfinite(vectors[away]).all()
        if item.scene.camera_motion == "fixed":
            moving = [k + 1 for k, thing in enumerate(item.scene.things) if thing.moves]
            for t, (vectors, _) in enumerate(item.flows):
                still = ~np.isin(item.frames[t].instances, moving)
                assert np.abs(vectors[still]).max() < 1e-3


def test_sound_peaks_where_things_meet(runs: list[tuple[Scene, Motion]]) -> None:
    checked = 0
    for scene, motion in runs:
        if scene.action not in ("drop", "bounce", "stack"):
            continue
        first = min(contact.seconds for contact in motion.contacts)
        heard = synthesise(scene, motion, 1.0, np.random.default_rng(0)).astype(float)
        start = round(first * SOUND_HZ)
        if not 800 < start < SOUND_HZ - 800:
            continue
        before = np.abs(heard[: start - 80]).max()
        assert np.abs(heard[start : start + 800]).max() > 4 * before
        checked += 1
    assert checked >= 8


def test_what_it_is_made_of_is_heard() -> None:
    """Metal rings longer than wood, small things higher than large ones, hard hits louder."""
    scene = draw_scene(SCENES, 0)
    motion = Simulation(scene).run()
    hit = replace(motion.contacts[0], seconds=0.1, things=(FLOOR, 0))
    quiet = replace(motion, contacts=(hit,), rubbing=np.zeros_like(motion.rubbing))

    def heard(substance: str, scale: float = 1.0, impulse: float = 50.0) -> np.ndarray:
        thing = scene.things[0]
        other = replace(thing, substance=substance, half=thing.half * scale)
        one = replace(scene, things=(other, *scene.things[1:]))
        struck = replace(quiet, contacts=(replace(hit, impulse=impulse),))
        return synthesise(one, struck, 1.0, np.random.default_rng(0)).astype(float)

    def centroid(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    late = slice(round(0.35 * SOUND_HZ), None)
    assert np.abs(heard("metal")[late]).max() > 10 * np.abs(heard("wood")[late]).max()
    assert centroid(heard("wood", 0.5)) > 1.3 * centroid(heard("wood"))
    assert np.abs(heard("wood", impulse=200)).max() > 1.5 * np.abs(heard("wood", impulse=20)).max()
    assert not np.abs(heard("wood")[: round(0.099 * SOUND_HZ)]).any()


def test_the_description_tells_all_that_happened(items: list[Item]) -> None:
    for item in items:
        told = describe(item)
        assert told["label"] == item.scene.action
        assert len(told["frames"]) == WORLD.frames
        for t, frame in enumerate(told["frames"]):
            assert frame["seconds"] == pytest.approx(t / WORLD.hz, abs=1e-6)
        for contact in told["contacts"]:
            assert contact["impulse_newton_seconds"] > 0


def test_clips_are_data_with_sound_and_actions_as_labels() -> None:
    data = open_dataset("world:videos?n=7&size=16&frames=4&samples=1", size=16)
    assert data.classes == ACTIONS
    assert data.labels.tolist() == list(range(7))
    assert {"clip", "audio", "flow"} <= data.keys
    batch = data.batch(np.arange(2), ("clip", "audio"))
    assert batch["clip"][0].shape[1:] == (16, 16, 3)
    assert batch["audio"].shape[0] == 2
