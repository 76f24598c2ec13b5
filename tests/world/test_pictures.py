"""What a rendering shows is what its labels say."""

from __future__ import annotations

import numpy as np
import pytest

from hotstart.world.asked import parse_world
from hotstart.world.item import Item, describe, files, make
from hotstart.world.physics import Simulation
from hotstart.world.render import Seen, pixel_rays
from hotstart.world.scene import BACKGROUND, CLASSES, SHAPES, Camera, Numbers
from hotstart.world.truth import boxes, contours

PICTURES = 8
WORLD = parse_world(f"world:images?n={PICTURES}&size=48&samples=4")


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return [make(WORLD, i) for i in range(PICTURES)]


def where(camera: Camera, seen: Seen) -> Numbers:
    """The place in the world that each pixel shows, (P, P, 3); that of the sky is not told."""
    depth = np.nan_to_num(seen.depth, posinf=0)[..., None]
    rays = pixel_rays(camera.fov_degrees, WORLD.size)
    return np.asarray(rays * depth @ camera.rotation.T + camera.position)


def test_a_picture_is_a_function_of_seed_and_index(items: list[Item]) -> None:
    assert files(make(WORLD, 2)) == files(items[2])
    other = parse_world("world:images?n=1&size=48&samples=4&seed=1")
    assert files(make(other, 0))["image.png"] != files(items[0])["image.png"]
    assert len({files(item)["image.png"] for item in items}) == PICTURES


def test_objects_stand_alone_and_near_each_shape_in_turn() -> None:
    world = parse_world("world:objects?n=12&size=32&samples=1")
    made = [make(world, i) for i in range(12)]
    assert [describe(item)["label"] for item in made] == [*SHAPES, *SHAPES]
    for item in made:
        seen = item.frames[0].instances
        assert set(np.unique(seen)) == {0, 1}
        assert 0.02 < (seen > 0).mean() < 0.6
        rows, columns = np.nonzero(seen)
        assert abs(rows.mean() - 15.5) < 6
        assert abs(columns.mean() - 15.5) < 6


def test_depth_is_that_of_the_other_engine(items: list[Item]) -> None:
    """MuJoCo casts rays through the middle of each pixel into its own shapes."""
    wrong = 0
    for item in items:
        (camera,), (seen,) = item.scene.cameras, item.frames
        rays = pixel_rays(camera.fov_degrees, WORLD.size).reshape(-1, 3) @ camera.rotation.T
        motion = item.motion
        cast, _ = Simulation(item.scene).cast(
            motion.positions[0], motion.rotations[0], camera.position, rays
        )
        depth = seen.depth.ravel().astype(float)
        assert np.array_equal(np.isinf(depth), np.isinf(cast))
        there = np.isfinite(depth)
        wrong += int((np.abs(depth[there] - cast[there]) > 2e-3).sum())
    # An ellipsoid is drawn with facets: some pixels of its outline miss it.
    assert wrong < 0.002 * PICTURES * WORLD.size**2


def test_each_thing_lies_where_its_mask_and_depth_say(items: list[Item]) -> None:
    checked = 0
    for item in items:
        (camera,), (seen,) = item.scene.cameras, item.frames
        places = where(camera, seen)
        for k, thing in enumerate(item.scene.things):
            mask = seen.instances == k + 1
            if not mask.any():
                continue
            own = (places[mask] - item.motion.positions[0, k]) @ item.motion.rotations[0, k]
            upper = 0.75 * 2 if thing.shape == "pyramid" else 1.0
            assert (np.abs(own) <= thing.half * [1, 1, upper] + 2e-3).all(), thing.shape
            assert (seen.classes[mask] == CLASSES.index(thing.shape)).all()
            checked += 1
        assert (seen.classes[seen.instances == 0] < len(BACKGROUND)).all()
    assert checked > 2 * PICTURES


def test_normals_are_unit_vectors_that_face_the_camera(items: list[Item]) -> None:
    for item in items:
        (camera,), (seen,) = item.scene.cameras, item.frames
        there = np.isfinite(seen.depth)
        lengths = np.linalg.norm(seen.normals, axis=-1)
        assert np.allclose(lengths[there], 1, atol=1e-3)
        assert not lengths[~there].any()
        rays = pixel_rays(camera.fov_degrees, WORLD.size)
        facing = -(seen.normals * rays).sum(-1)[there]
        assert (facing > -0.15).all()  # an ellipsoid's normals are smoother than its facets
        floor = seen.classes == CLASSES.index("floor")
        up = seen.normals[floor] @ camera.rotation.T
        assert np.allclose(up, [0, 0, 1], atol=1e-3)


def test_depth_steps_and_normals_agree(items: list[Item]) -> None:
    """On the floor, neighbouring places differ along the floor alone."""
    for item in items:
        (camera,), (seen,) = item.scene.cameras, item.frames
        places = where(camera, seen)
        floor = seen.classes == CLASSES.index("floor")
        assert np.abs(places[floor][:, 2]).max() < 1e-3


def test_boxes_hold_exactly_what_is_seen(items: list[Item]) -> None:
    for item in items:
        masks = item.frames[0].instances
        for k, box in enumerate(boxes(masks, len(item.scene.things))):
            mask = masks == k + 1
            if box is None:
                assert not mask.any()
                continue
            left, top, right, bottom = box
            assert mask[top:bottom, left:right].sum() == mask.sum()
            inside = mask[top:bottom, left:right]
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()


def test_contours_are_where_masks_change() -> None:
    instances = np.zeros((4, 5), np.uint8)
    instances[1:3, 2:4] = 1
    classes = np.ones((4, 5), np.uint8)
    classes[0] = 0
    edge = contours(instances, classes)
    assert edge.astype(int).tolist() == [
        [1, 1, 1, 1, 1],
        [0, 1, 0, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_pictures_are_neither_dark_nor_burnt_and_things_are_seen(items: list[Item]) -> None:
    for item in items:
        assert 40 < item.images.mean() < 220
        assert item.images.std() > 8
        assert (item.images == 255).all(-1).mean() < 0.25
    seen = [np.count_nonzero(item.frames[0].instances) / WORLD.size**2 for item in items]
    assert np.mean(seen) > 0.03


def test_the_label_is_the_shape_that_covers_most(items: list[Item]) -> None:
    for item in items:
        told = describe(item)
        shapes = [thing["shape"] for thing in told["things"]]
        counts = [int((item.frames[0].instances == k + 1).sum()) for k in range(len(shapes))]
        assert told["label"] == (shapes[int(np.argmax(counts))] if any(counts) else None)
        assert told["label"] is None or told["label"] in SHAPES


def test_nothing_falls_through_the_floor_or_flies_away(items: list[Item]) -> None:
    for item in items:
        places = item.motion.positions[0]
        assert (places[:, 2] > 0.03).all()
        assert (np.abs(places[:, :2]) < item.scene.room.half).all()
