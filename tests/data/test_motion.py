"""Flow in the data path: which fields, kept once, the same from the disk and computed on demand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hotstart.data import Dataset, Loader, open_dataset
from hotstart.data.motion import frames_of_fields, nearest_fields
from hotstart.data.sample import Flows, Spec
from hotstart.errors import DataError
from tests.pretext.moving import Moving, moving

SIZE = 32
NEEDS = {"image": Spec(), "flow": Spec()}
TWO = np.array([0, 1])


def open_clips(folder: Path, cache: Path, **options: object) -> Dataset:
    return open_dataset(folder, size=SIZE, cache_dir=cache, **options)  # type: ignore[arg-type]


@pytest.fixture
def clips() -> Moving:
    return moving(5, size=48, frames=8, ground_px=1.0)


@pytest.fixture
def folder(clips: Moving, tmp_path: Path) -> Path:
    return clips.write(tmp_path / "clips")


def vectors_px(flows: Flows, i: int, side: int) -> np.ndarray:
    """(H, W, 2) of field i in px of a frame whose shorter side is `side`."""
    start, height, width = (int(v[i]) for v in (flows.offsets, flows.heights, flows.widths))
    part = flows.vectors[start : start + height * width]
    return part.view(height, width, 2).float().numpy() * side


def test_a_batch_holds_the_flow_from_its_image_on(
    clips: Moving, folder: Path, tmp_path: Path
) -> None:
    dataset = open_clips(folder, tmp_path / "c")
    assert "flow" in dataset.keys
    places = torch.tensor([0.1, 0.7])
    batch = dataset.batch(TWO, NEEDS, places)
    flows = batch["flow"]
    assert flows.fields == 1
    assert flows.times.shape == (2, 2)
    assert (flows.heights.tolist(), flows.widths.tolist()) == ([24, 24], [24, 24])
    for row, item in enumerate(TWO):
        moment = round(float(flows.times[row, 0]) * 8)
        number = int(dataset.path(int(item)).partition(".")[0])
        assert np.array_equal(batch["image"][row].numpy(), clips.pixels[number, moment])
        truth = cv2.resize(
            np.moveaxis(clips.flow[number, moment], 0, 2), (24, 24), interpolation=cv2.INTER_AREA
        )
        error = np.hypot(*np.moveaxis(vectors_px(flows, row, 48) - truth, 2, 0))
        assert error.mean() < 0.4
    assert len({*flows.times[:, 0].tolist()}) == 2  # places differ


def test_stacks_go_on_from_field_to_field(folder: Path, tmp_path: Path) -> None:
    dataset = open_clips(folder, tmp_path / "c")
    needs = {"image": Spec(), "flow": Spec(frames=5), "clip": Spec(frames=3, seconds=0.25)}
    batch = dataset.batch(TWO, needs, torch.tensor([0.0, 1.0]))
    flows = batch["flow"]
    assert len(flows) == 2
    assert flows.fields == 5
    np.testing.assert_allclose(np.diff(flows.times.numpy(), axis=1), 1 / 8)
    assert flows.times[0, 0] == 0
    assert flows.times[1, -1] == 7 / 8
    # Image and clip are about the frame from which the middle field goes.
    torch.testing.assert_close(batch["clip"].times[:, 1], flows.times[:, 2])
    assert torch.equal(batch["clip"].frame(1)[0], batch["image"][0])
    alone = dataset.batch(TWO[:1], NEEDS, torch.tensor([0.0]))["flow"]
    assert torch.equal(flows.select([0]).vectors[: 24 * 24], alone.vectors)
    again = flows.select([1, 0]).to("cpu")
    assert torch.equal(again.offsets, flows.offsets[[5, 6, 7, 8, 9, 0, 1, 2, 3, 4]])
    assert torch.equal(again.times, flows.times[[1, 0]])
    more = dataset.batch(TWO, {"flow": Spec(frames=9)})["flow"]
    assert torch.equal(more.offsets.diff(), more.heights[1:] * more.widths[1:])


def test_flow_is_computed_once_with_progress(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def listen(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    dataset = open_clips(folder, tmp_path / "c", progress=listen)
    dataset.batch(TWO, ("image", "clip"))
    assert not [line for line in told if line[0] == "flow"]  # nobody asked for it
    dataset.require(NEEDS)
    assert [line for line in told if line[0] == "flow"] == [("flow", i, 5) for i in range(1, 6)]
    first = dataset.batch(TWO, NEEDS)["flow"]
    told.clear()
    again = open_clips(folder, tmp_path / "c", progress=listen).batch(TWO, NEEDS)["flow"]
    assert not told
    assert torch.equal(first.vectors, again.vectors)
    assert torch.equal(first.known, again.known)
    kept = next((tmp_path / "c" / "flow").rglob("vectors.bin"))
    kept.write_bytes(kept.read_bytes()[:-2])  # cut short: made anew
    anew = open_clips(folder, tmp_path / "c", progress=listen).batch(TWO, NEEDS)["flow"]
    assert told
    assert torch.equal(first.vectors, anew.vectors)
    (folder / "0000.mkv").unlink()  # other videos: other flow, and the old one is gone
    open_clips(folder, tmp_path / "c").require(NEEDS)
    assert len([*(tmp_path / "c" / "flow").rglob("vectors.bin")]) == 1


def test_without_disk_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    kept = open_clips(folder, tmp_path / "c")
    none = open_clips(folder, tmp_path / "d", cache_bytes=0)
    needs = {"flow": Spec(frames=2)}
    places = torch.tensor([0.2, 0.9])
    ours, theirs = (data.batch(TWO, needs, places)["flow"] for data in (kept, none))
    assert torch.equal(ours.vectors, theirs.vectors)
    assert torch.equal(ours.known, theirs.known)
    assert torch.equal(ours.times, theirs.times)
    assert not [*(tmp_path / "d").rglob("vectors.bin")]


def test_pictures_have_no_flow(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "p" / f"{i}.png"), np.full((20, 20, 3), 40 * i, np.uint8))
    with pytest.raises(DataError, match=r"no 'flow'.*frames:"):
        open_clips(tmp_path / "p", tmp_path / "c").require(NEEDS)


def test_processes_share_what_is_drawn(folder: Path, tmp_path: Path) -> None:
    dataset = open_clips(folder, tmp_path / "c")
    order = np.arange(4)
    (whole,) = Loader(dataset, NEEDS, order, 4, seed=1)
    halves = [
        batch["flow"].times
        for rank in (0, 1)
        for batch in Loader(dataset, NEEDS, order, 4, seed=1, rank=rank, world=2)
    ]
    assert torch.equal(torch.cat(halves), whole["flow"].times)


def test_frames_of_fields_are_an_eighth_of_a_second_apart() -> None:
    assert frames_of_fields(np.arange(51) / 25).tolist()[:5] == [0, 3, 6, 9, 12]
    assert frames_of_fields(np.arange(4) / 2.0).tolist() == [0, 1, 2, 3]  # 2 Hz: neighbours
    assert frames_of_fields(np.array([0.0, 0.04])).tolist() == [0, 1]
    uneven = np.array([0.0, 0.01, 0.3, 0.32, 1.0])
    assert frames_of_fields(uneven).tolist() == [0, 1, 3, 4]


def test_nearest_fields_stay_within_the_video() -> None:
    times = np.arange(9) / 8  # eight fields
    assert nearest_fields(times, 0.5, 1).tolist() == [4]
    assert nearest_fields(times, 0.5, 4).tolist() == [3, 4, 5, 6]
    assert nearest_fields(times, 0.0, 4).tolist() == [0, 1, 2, 3]
    assert nearest_fields(times, 9.0, 4).tolist() == [4, 5, 6, 7]
    assert nearest_fields(times, 0.5, 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]


def test_of_a_long_video_each_part_has_its_own_fields(tmp_path: Path) -> None:
    """A drive of 30 frames, one a second: three items, whose fields lie in their own seconds."""
    clip = moving(1, size=48, frames=40)
    folder = tmp_path / "drive"
    folder.mkdir()
    for t, pixels in enumerate(clip.pixels[0]):
        cv2.imwrite(str(folder / f"{t}.png"), pixels)
    dataset = open_clips(Path(f"frames:{folder}?hz=1"), tmp_path / "c")
    assert len(dataset) == 2
    for item, (low, high) in enumerate(((0, 20), (20, 40))):
        places = torch.linspace(0, 1, 9)
        flows = dataset.batch(np.full(9, item), {"flow": Spec()}, places)["flow"]
        assert float(flows.times[:, 0].min()) == low
        assert float(flows.times[:, 1].max()) == high - 1
        torch.testing.assert_close(flows.times.diff(dim=1), torch.ones(9, 1).double())
