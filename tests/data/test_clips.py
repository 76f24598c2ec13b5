"""Clips: which frames and which sound, at which time; the same from cache and from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hotstart.data import Dataset, Loader, Subset, open_dataset, pretraining_split
from hotstart.data.reels import CachedReels, DecodingReels
from hotstart.data.sample import Clips, Spec
from hotstart.errors import DataError
from tests.data.films import film, number, picture

LONG = tuple(range(0, 14 * 40, 40))
UNEVEN = (0, 40, 80, 300, 340, 700, 705, 1000)
ONE = np.array([0])


def open_films(folder: Path, cache: Path, **options: object) -> Dataset:
    return open_dataset(folder, size=32, cache_dir=cache, **options)  # type: ignore[arg-type]


def shown(clips: Clips, i: int = 0) -> list[int]:
    return [number(frame.numpy()) for frame in clips[i]]


def clip_of(dataset: Dataset, spec: Spec, place: float = 0.5) -> Clips:
    return dataset.batch(ONE, {"clip": spec}, torch.tensor([place]))["clip"]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Seven films of 14 frames, 0.56 s."""
    for i in range(7):
        film(tmp_path / "films" / f"{i}.mp4", LONG, seed=i)
    return tmp_path / "films"


@pytest.mark.parametrize("place", [0.0, 0.13, 0.5, 0.77, 0.999, 1.0])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_clip_at_time_t_shows_the_frame_of_time_t(
    name: str, place: float, tmp_path: Path
) -> None:
    film(tmp_path / "v" / name, UNEVEN)
    dataset = open_films(tmp_path / "v", tmp_path / "c")
    clips = clip_of(dataset, Spec(frames=4, seconds=0.6), place)
    assert dataset.footage is not None
    length = float(dataset.footage.facts.lengths[0])
    asked = place * (length - 0.6) + np.linspace(0, 0.6, 4)
    expected = np.searchsorted(np.array(UNEVEN) / 1000, asked, side="right") - 1
    assert length == pytest.approx(1.04, abs=2e-3)
    assert shown(clips) == expected.tolist()
    np.testing.assert_allclose(clips.times[0], np.array(UNEVEN)[expected] / 1000, atol=1e-3)


def test_even_steps_and_the_whole_video_is_reached(films: Path, tmp_path: Path) -> None:
    dataset = open_films(films, tmp_path / "c")
    four = Spec(frames=4, seconds=0.24)
    assert shown(clip_of(dataset, four, 0.0)) == [0, 2, 4, 6]
    assert shown(clip_of(dataset, four, 0.999)) == [7, 9, 11, 13]
    firsts = [shown(clip_of(dataset, four, place))[0] for place in np.linspace(0, 0.999, 33)]
    assert sorted(set(firsts)) == list(range(8))
    assert firsts == sorted(firsts)
    assert shown(clip_of(dataset, Spec(frames=1))) == [7]


def test_no_frame_twice_where_more_are_asked_for_than_the_video_has_a_second(
    films: Path, tmp_path: Path
) -> None:
    dataset = open_films(films, tmp_path / "c")
    for place in np.linspace(0, 1, 23):
        seen = shown(clip_of(dataset, Spec(frames=5, seconds=0.01), place))
        assert seen == list(range(seen[0], seen[0] + 5))
    assert shown(clip_of(dataset, Spec(frames=14, seconds=9.0))) == list(range(14))


def test_a_video_of_two_frames_gives_them_again(tmp_path: Path) -> None:
    film(tmp_path / "v" / "a.mp4", (0, 40))
    clips = clip_of(open_films(tmp_path / "v", tmp_path / "c"), Spec(frames=4))
    assert sorted(set(shown(clips))) == [0, 1]
    assert len(clips.pictures.pixels) == 2 * 48 * 96 * 3
    assert bool((clips.times[0].diff() >= 0).all())


def test_frames_are_views_of_a_cache_that_stays_in_memory_and_copies_of_a_larger_one(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_films(films, tmp_path / "c")
    assert dataset.footage is not None
    rows, specs = np.array([1, 0, 1]), {"clip": Spec(frames=4, seconds=0.24)}
    views, again = (dataset.batch(rows, specs)["clip"].pictures for _ in range(2))
    assert views.pixels.data_ptr() == again.pixels.data_ptr()
    monkeypatch.setattr(dataset.footage.reels, "at_hand", False)
    copies = dataset.batch(rows, specs)["clip"].pictures
    assert len(copies.pixels) == 2 * 4 * 48 * 96 * 3 < len(views.pixels)
    assert copies.offsets[:4].tolist() == copies.offsets[8:].tolist()
    assert len(views) == len(copies) == 12
    for row in range(12):
        assert torch.equal(views[row], copies[row])
    # Another device gets no bytes but those of the batch.
    assert len(views.to("meta").pixels) == len(copies.pixels)
    assert copies.packed() is copies


def test_image_of_a_video_is_one_of_its_frames(films: Path, tmp_path: Path) -> None:
    dataset = open_films(films, tmp_path / "c")
    assert dataset.keys == {"image", "clip", "flow", "index", "group"}
    rows = np.array([2, 0])
    batch = dataset.batch(rows, {"image", "index"}, torch.tensor([0.0, 0.999]))
    assert [number(batch["image"][i].numpy()) for i in range(2)] == [0, 13]
    middle = dataset.pictures.get(rows)
    assert [number(middle[i].numpy()) for i in range(2)] == [7, 7]
    np.testing.assert_allclose(middle[0].numpy(), picture(7, 2), atol=70)


def test_clips_can_be_taken_apart(films: Path, tmp_path: Path) -> None:
    dataset = open_films(films, tmp_path / "c")
    clips = dataset.batch(np.array([3, 1, 6]), {"clip": Spec(frames=4, seconds=0.12)})["clip"]
    assert (len(clips), clips.frames) == (3, 4)
    assert torch.equal(clips.select([2, 0])[1], clips[0])
    assert torch.equal(clips.frame(2)[1], clips[1][2])
    order = torch.tensor([[3, 0], [1, 1], [2, 3]])
    turned = clips.in_order(order)
    for row in range(3):
        assert torch.equal(turned[row], clips[row][order[row]])
        assert torch.equal(turned.times[row], clips.times[row][order[row]])


def test_loader_draws_windows_by_seed_step_and_row(films: Path, tmp_path: Path) -> None:
    """Resumed, and shared by two processes, the clips are the same; each step has its own."""
    dataset = open_films(films, tmp_path / "c")
    needs = {"clip": Spec(frames=3, seconds=0.08), "index": Spec()}
    order = np.tile(np.arange(6), 4)

    def batches(**options: Any) -> list[Clips]:
        options = {"seed": 5, "first_step": 40, **options}
        return [batch["clip"] for batch in Loader(dataset, needs, order, 6, **options)]

    whole = batches()
    assert len(whole) == 4
    starts = torch.stack([clips.times[:, 0] for clips in whole])
    assert len(starts.unique()) > 5
    assert all(len(column.unique()) > 1 for column in starts.T)
    for late, clips in zip(batches(start_batch=2), whole[2:], strict=True):
        assert torch.equal(late.times, clips.times)
        assert all(torch.equal(late[i], clips[i]) for i in range(6))
    for one, two, clips in zip(
        batches(rank=0, world=2), batches(rank=1, world=2), whole, strict=True
    ):
        assert torch.equal(torch.cat([one.times, two.times]), clips.times)
    moved = batches(first_step=41)
    assert torch.equal(moved[0].times, whole[1].times)
    assert not torch.equal(batches(seed=6)[0].times, whole[0].times)
    middles = [batch["clip"].times for batch in Loader(dataset, needs, order, 6)]
    assert len(torch.cat(middles)[:, 0].unique()) == 1


def test_no_room_decodes_on_demand(films: Path, tmp_path: Path) -> None:
    for i in range(3):
        sound = np.random.default_rng(i).integers(-9999, 9999, 9000).astype(np.int16)
        film(films / f"h{i}.mkv", LONG, "libx264", seed=20 + i, sound=sound, sound_at=0.1)
    film(films / "g.gif", LONG, "gif", seed=30)
    cached = open_films(films, tmp_path / "a")
    dataset = open_films(films, tmp_path / "b", cache_bytes=1000)
    assert cached.footage is not None
    assert dataset.footage is not None
    assert isinstance(cached.footage.reels, CachedReels)
    assert isinstance(dataset.footage.reels, DecodingReels)
    assert dataset.fingerprint == cached.fingerprint
    assert not list((tmp_path / "b").rglob("pixels.bin"))
    needs = {"clip": Spec(frames=4, seconds=0.2), "audio": Spec(seconds=0.3), "image": Spec()}
    rows = np.array([8, 0, 10, 9, 8])
    places = torch.tensor([0.1, 0.9, 0.6, 0.3, 0.8])
    one, two = (data.batch(rows, needs, places) for data in (cached, dataset))
    for i in range(len(rows)):
        assert torch.equal(one["clip"][i], two["clip"][i])
        assert torch.equal(one["image"][i], two["image"][i])
    assert torch.equal(one["clip"].times, two["clip"].times)
    assert torch.equal(one["audio"], two["audio"])
    assert one["audio"].abs().amax(1).tolist()[1] == 0  # it has no sound
    assert one["audio"].abs().amax(1).tolist()[0] > 0
    roomier = open_films(films, tmp_path / "b", cache_bytes=10**9)
    assert roomier.footage is not None
    assert isinstance(roomier.footage.reels, CachedReels)
    (films / "h0.mkv").unlink()
    with pytest.raises(DataError, match="could be read when the run began"):
        dataset.batch(np.arange(len(dataset)), {"clip": Spec(frames=2)})


def test_sound_belongs_to_the_frames_it_is_centred_on(tmp_path: Path) -> None:
    """Clicks every tenth of a second, as loud as their number; sound begins 0.1 s late."""
    sound = np.zeros(16_000, np.int16)
    sound[::1600] = 1000 * np.arange(10)
    times = tuple(range(0, 1000, 100))
    film(tmp_path / "v" / "a.mkv", times, sound=sound, sound_at=0.1)
    needs = {"clip": Spec(frames=1), "audio": Spec(seconds=0.05)}

    def heard(place: float, offset: float) -> tuple[int, int]:
        dataset = open_films(tmp_path / "v", tmp_path / "c", audio_offset_seconds=offset)
        batch = dataset.batch(ONE, needs, torch.tensor([place]))
        assert batch["audio"].shape == (1, 800)
        return shown(batch["clip"])[0], int(batch["audio"].max()) // 1000

    for place in (0.2, 0.5, 0.8):
        frame, click = heard(place + 0.0, 0.0)
        assert click in (frame - 1, frame, 0)
    # In the middle, 0.5 s: frame 5, and 0.4 s into the sound; 0.2 s later with the offset.
    assert heard(0.5, 0.0) == (5, 4)
    assert heard(0.5, 0.2) == (5, 6)


def test_sound_beyond_the_ends_is_silence(tmp_path: Path) -> None:
    film(tmp_path / "v" / "a.mkv", sound=np.full(4000, 5, np.int16))
    dataset = open_films(tmp_path / "v", tmp_path / "c")
    audio = dataset.batch(ONE, {"audio": Spec(seconds=1)})["audio"][0]
    assert audio.shape == (16_000,)
    assert int((audio == 5).sum()) == 4000
    assert int((audio == 0).sum()) == 12_000


def test_groups_keep_a_video_on_one_side(tmp_path: Path) -> None:
    for i in range(24):
        film(tmp_path / "v" / f"drive{i // 4}_part{i % 4}.mp4", (0, 40), seed=i)
    dataset = open_films(tmp_path / "v", tmp_path / "c", group=r"^(drive\d+)_")
    train, held = pretraining_split(dataset)
    assert len(held)
    assert not set(dataset.groups[train].tolist()) & set(dataset.groups[held].tolist())
    assert len(set(dataset.groups.tolist())) == 6
    batch = dataset.batch(np.array([0, 3, 4]), {"group", "clip"})
    assert batch["group"].tolist() == [0, 0, 1]
    part = Subset(dataset, np.array([4, 9]))
    some = part.batch(np.array([1]), {"clip": Spec(frames=2), "index": Spec()})
    assert some["index"].tolist() == [1]
    assert torch.equal(
        some["clip"][0], dataset.batch(np.array([9]), {"clip": Spec(frames=2)})["clip"][0]
    )


def test_pictures_have_no_clips_and_say_what_to_do(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=r"has no 'clip'.*give frames:"):
        open_dataset(tmp_path, size=32).batch(ONE, {"clip"})


def test_a_long_video_is_several_items_of_one_group(tmp_path: Path) -> None:
    """Frames of one colour each, one a second: 50 s and 50 frames are three stretches."""
    for k in range(50):
        pixels = np.full((40, 40, 3), 5 * k, np.uint8)
        (tmp_path / "v" / "long").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "v" / "long" / f"{k:02d}.png")
    for k in range(4):
        (tmp_path / "v" / "short").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), k, np.uint8)).save(tmp_path / f"v/short/{k}.png")
    dataset = open_dataset(f"frames:{tmp_path / 'v'}?hz=1", size=32)
    assert [dataset.path(i) for i in range(4)] == [
        "long",
        "long from 16.0 s",
        "long from 33.0 s",
        "short",
    ]
    assert dataset.groups.tolist() == [0, 0, 0, 1]
    assert len(set(dataset.hashes.tolist())) == 4
    assert dataset.describe()["videos"] == 2
    rows = np.repeat(np.arange(4), 40)
    places = torch.linspace(0, 1, 40).repeat(4)
    clips = dataset.batch(rows, {"clip": Spec(frames=3, seconds=2)}, places)["clip"]
    for i, (first, stop) in enumerate(((0, 16), (16, 33), (33, 50))):
        times = clips.times[40 * i : 40 * (i + 1)]
        assert sorted(set(times.flatten().tolist())) == list(range(first, stop))
        of_stretch = torch.stack([clips[row][:, 0, 0, 0] for row in range(40 * i, 40 * (i + 1))])
        assert torch.equal(of_stretch.double(), 5 * times)
    train, held = pretraining_split(dataset)
    assert not set(dataset.groups[train].tolist()) & set(dataset.groups[held].tolist())
