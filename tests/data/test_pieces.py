"""Folders of frames cut into pieces, `frames:FOLDER?frames=N`, each with its poses and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hotstart.data import Dataset, open_dataset, pretraining_split
from hotstart.data.sample import SOUND_HZ, Spec
from hotstart.data.stretches import Stretches
from hotstart.errors import DataError, UsageError
from hotstart.league.material import material_of
from tests.data.test_poses import trajectory, written
from tests.data.test_sounds import write

HZ, SHADE = 10, 4
CLIP = Spec(frames=5, seconds=0.4)
FRAME_SAMPLES = SOUND_HZ // HZ


def sequence(folder: Path, count: int, first: int = 0, *, posed: bool = True) -> None:
    """Frame k is `SHADE` k bright, but for its first row, and has sound as loud as 100 k."""
    folder.mkdir(parents=True)
    for k in range(count):
        pixels = np.full((40, 40, 3), SHADE * k, np.uint8)
        pixels[0] = first
        Image.fromarray(pixels).save(folder / f"{k:03d}.png")
    if posed:
        (folder / "poses.txt").write_text(written("kitti", trajectory(count))[1])
    loudness = np.repeat(100 * np.arange(count, dtype=np.int16), FRAME_SAMPLES)
    write(folder.parent / f"{folder.name}.wav", loudness)


def cut(folder: Path, query: str = "hz=10&frames=10") -> Dataset:
    return open_dataset(f"frames:{folder}?{query}", size=32)


def stretches(dataset: Dataset) -> Stretches:
    assert dataset.stretches is not None
    return dataset.stretches


def test_a_sequence_is_cut_into_pieces_of_which_none_is_short(tmp_path: Path) -> None:
    sequence(tmp_path / "long", 51)
    sequence(tmp_path / "short", 19)
    dataset = cut(tmp_path)
    assert stretches(dataset).counts.tolist() == [10, 10, 10, 10, 11, 19]
    assert [dataset.path(i) for i in (0, 1, 4, 5)] == [
        "long",
        "long from 1.0 s",
        "long from 4.0 s",
        "short",
    ]
    assert dataset.groups.tolist() == [0, 0, 0, 0, 0, 1]
    assert dataset.describe()["videos"] == 2
    assert len(set(dataset.hashes.tolist())) == 6


def test_clips_poses_and_sound_of_a_piece_are_in_step_and_of_no_other(tmp_path: Path) -> None:
    sequence(tmp_path / "drive", 51)
    dataset = cut(tmp_path)
    rows, places = np.repeat(np.arange(5), 9), torch.linspace(0, 1, 9).repeat(5)
    heard = Spec(seconds=1 / HZ)
    batch = dataset.batch(rows, {"clip": CLIP, "pose": CLIP, "audio": heard}, places)
    for row, piece in enumerate(rows.tolist()):
        shown = batch["clip"][row][:, 20, 20, 0].numpy() // SHADE
        assert 10 * piece <= shown.min()
        assert shown.max() < (51 if piece == 4 else 10 * piece + 10)
        np.testing.assert_allclose(batch["pose"][row], trajectory(51)[shown], atol=1e-9)
        # The clip's third frame is that of its middle, and the sound lies about it.
        loudness = batch["audio"][row].numpy()
        assert abs(loudness / 100 - shown[2]).max() <= 1
    seen = {int(k) // SHADE for k in batch["clip"].pictures.packed().pixels.tolist()}
    assert seen == set(range(51))


def test_flow_of_a_piece_lies_within_it_and_one_too_short_for_it_is_passed_over(
    tmp_path: Path,
) -> None:
    sequence(tmp_path / "drive", 40, posed=False)
    dataset = cut(tmp_path, "hz=25&frames=10")
    assert dataset.having({"flow"}).all()
    rows, places = np.repeat(np.arange(4), 9), torch.linspace(0, 1, 9).repeat(4)
    times = dataset.batch(rows, {"flow": Spec()}, places)["flow"].times.numpy()
    number = np.rint(times * 25).astype(int)
    assert (number // 10 == rows[:, None]).all()
    # Flow lies between frames 0, 3, 6, 9, 12, ...: no two neighbours are such a pair.
    short = cut(tmp_path, "hz=25&frames=2")
    assert not short.having({"clip", "flow"}).any()
    assert short.having({"clip"}).all()


def test_the_fingerprint_tells_how_it_was_cut_and_nothing_is_decoded_twice(tmp_path: Path) -> None:
    sequence(tmp_path / "v" / "drive", 51)
    decoded: list[str] = []
    fingerprints = {
        open_dataset(
            f"frames:{tmp_path / 'v'}?hz=10{query}",
            size=32,
            cache_dir=tmp_path / "c",
            progress=lambda what, done, total: decoded.append(what),
        ).fingerprint
        for query in ("", "&frames=10", "&frames=12", "&frames=25")
    }
    assert len(fingerprints) == 4
    assert decoded == ["decode"]
    ten, twelve = cut(tmp_path / "v"), cut(tmp_path / "v", "frames=12&hz=10")
    assert not set(ten.hashes[1:].tolist()) & set(twelve.hashes[1:].tolist())


def test_whole_sequences_are_held_out_where_there_are_several(tmp_path: Path) -> None:
    for k in range(6):
        sequence(tmp_path / f"drive{k}", 20, first=k)
    dataset = cut(tmp_path, "hz=10&frames=4")
    train, held = pretraining_split(dataset)
    assert len(held) == 5
    assert len(train) + len(held) == len(dataset) == 30
    assert not set(dataset.groups[train].tolist()) & set(dataset.groups[held].tolist())


def test_the_end_of_the_only_sequence_is_held_out(tmp_path: Path) -> None:
    sequence(tmp_path / "drive", 60)
    dataset = cut(tmp_path, "hz=10&frames=6")
    train, held = pretraining_split(dataset)
    assert (train.tolist(), held.tolist()) == (list(range(7)), [8, 9])
    shown = [
        dataset.batch(np.repeat(rows, 2), {"clip": CLIP}, torch.tensor([0.0, 1.0] * len(rows)))
        for rows in (train, held)
    ]
    last = shown[0]["clip"].times.max()
    first = shown[1]["clip"].times.min()
    assert first - last == pytest.approx(7 / HZ)
    grouped = open_dataset(f"frames:{tmp_path}?hz=10&frames=6", size=32, group="drive")
    assert not len(pretraining_split(grouped)[1]), "what was said to be together is not cut"


def test_too_few_pieces_are_refused_with_what_to_do(tmp_path: Path) -> None:
    sequence(tmp_path / "drive", 60)
    with pytest.raises(DataError, match=r"7 readable videos .* at least 8 .*frames=20"):
        material_of("egomotion", cut(tmp_path, "hz=10&frames=6"))
    assert len(material_of("egomotion", cut(tmp_path, "hz=10&frames=5")).train) == 9


def test_folders_of_one_sequence_each_are_no_classes(tmp_path: Path) -> None:
    for name in ("seq1", "seq2"):
        sequence(tmp_path / name / "image_l", 20)
    dataset = cut(tmp_path)
    assert dataset.kind == "unlabelled videos"
    assert dataset.classes == ()
    assert "no labels: none of the 2 folders holds two videos" in dataset.notes
    assert dataset.groups.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "query",
    ["frames=1", "frames=0", "frames=-3", "frames=2.5", "frames=", "frames=many", "frames=1000001"]
    + ["hz=10&frame=5", "hz=0&frames=5", "hz=nan", "hz=10;frames=5", ""],
)
def test_wrong_queries_say_what_came_and_what_is_allowed(query: str, tmp_path: Path) -> None:
    sequence(tmp_path / "drive", 3)
    with pytest.raises(UsageError) as error:
        cut(tmp_path, query)
    told = str(error.value)
    assert told.startswith(f"frames:{tmp_path}?{query}: ")
    assert "is not allowed; after the ? stand hz=" in told
    assert "from 2 to 1000000, as in ?hz=10&frames=20" in told
