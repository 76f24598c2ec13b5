"""Folders and tables of videos, folders of frames: what they are taken for, what is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
from PIL import Image

from hotstart import api
from hotstart.data import Loader, open_dataset
from hotstart.data.discover import discover
from hotstart.data.frame_folders import FrameFolders
from hotstart.data.sample import Spec
from hotstart.data.source import FileSource
from hotstart.data.telling import found_words
from hotstart.data.video import VideoFiles
from hotstart.errors import DataError, UsageError
from tests.data.films import film, number, picture, sound_alone
from tests.data.test_video import cut

SHORT = (0, 40, 80)
TWO = Spec(frames=2)


def frames(folder: Path, count: int, name: str = "{:d}.png", first: int = 0, by: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        Image.fromarray(picture(k)).save(folder / name.format(first + k * by))


def gif(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *more = [Image.fromarray(picture(k)) for k in range(count)]
    first.save(path, save_all=True, append_images=more, duration=40)


def test_class_folders_and_splits_of_videos(tmp_path: Path) -> None:
    for name in ("run/a.mp4", "run/b.MOV", "walk/c.avi", "walk/poster.jpg", "notes.txt"):
        if name.endswith(("jpg", "txt")):
            (tmp_path / "one" / name).write_bytes(b"")
        else:
            film(tmp_path / "one" / name, kind=name[-3:].lower(), seed=len(name))
    found = discover(tmp_path / "one")
    assert isinstance(found.source, VideoFiles)
    assert found.kind == "class folders of videos"
    assert found.classes == ("run", "walk")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1]
    assert found.notes == ("2 files that are no videos were passed over",)
    for name in ("train/run/a.mp4", "train/walk/b.mp4", "test/run/c.mp4", "test/walk/d.mp4"):
        film(tmp_path / "two" / name, SHORT, seed=ord(name[-5]))
    dataset = open_dataset(tmp_path / "two", size=32)
    assert dataset.kind == "train/ and test/ with class folders, videos"
    assert len(dataset.indices("test")) == 2
    assert dataset.describe()["frames"] == 12


def test_pictures_with_some_videos_stay_pictures(tmp_path: Path) -> None:
    frames(tmp_path, 5)
    film(tmp_path / "a.mp4", SHORT)
    gif(tmp_path / "b.gif", 3)
    found = discover(tmp_path)
    assert isinstance(found.source, FileSource)
    assert len(found.source) == 6
    assert found.notes == ("1 files that are no pictures were passed over",)


def test_gifs_are_videos_if_they_move_and_nothing_else_is_there(tmp_path: Path) -> None:
    for i in range(3):
        gif(tmp_path / "moving" / f"{i}.gif", 4)
        gif(tmp_path / "still" / f"{i}.gif", 1)
    gif(tmp_path / "moving" / "still.gif", 1)
    assert isinstance(discover(tmp_path / "moving").source, VideoFiles)
    assert isinstance(discover(tmp_path / "still").source, FileSource)
    dataset = open_dataset(tmp_path / "moving", size=32)
    assert len(dataset) == 3
    assert [tuple(problem) for problem in dataset.quarantine] == [
        ("still.gif", "one frame: a video has two at least")
    ]
    assert len(open_dataset(tmp_path / "still", size=32)) == 3


def test_table_of_videos(tmp_path: Path) -> None:
    for i in range(6):
        film(tmp_path / "clips" / f"v{i}.mp4", SHORT, seed=i)
    rows = "\n".join(f"v{i}.mp4,{'ab'[i % 2]},p{i // 2}" for i in range(6))
    (tmp_path / "labels.csv").write_text(f"file,verb,person\n{rows}\ngone.mp4,a,p0\n")
    dataset = open_dataset(tmp_path / "labels.csv", size=32, label="verb", group="person")
    assert dataset.kind == "table of labelled videos"
    assert dataset.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert dataset.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.path(2) == "clips/v2.mp4"
    assert [problem.path for problem in dataset.quarantine] == ["gone.mp4"]


def test_folders_of_frames(tmp_path: Path) -> None:
    """Ordered by number, not by letter; a gap in the numbers is a gap in time."""
    frames(tmp_path / "walk" / "one", 12, by=2)
    frames(tmp_path / "run" / "two", 6, "img_{:04d}.jpg", first=100)
    frames(tmp_path / "walk" / "zzz", 2)
    name = f"frames:{tmp_path}?hz=10"
    found = discover(name)
    assert isinstance(found.source, FrameFolders)
    assert found.classes == ("run", "walk")
    dataset = open_dataset(name, size=32)
    assert [dataset.path(i) for i in range(2)] == ["run/two", "walk/one"]
    clips = dataset.batch(np.array([1, 0]), {"clip": Spec(frames=3, seconds=0.4)})["clip"]
    assert [number(frame.numpy()) for frame in clips[0]] == [5, 6, 7]
    np.testing.assert_allclose(clips.times[0], [1.0, 1.2, 1.4])
    np.testing.assert_allclose(clips.times[1], [0.1, 0.3, 0.5])
    assert isinstance(open_dataset(tmp_path, size=32)._source, FileSource)
    on_demand = open_dataset(name, size=32, cache_dir=tmp_path / "c", cache_bytes=10)
    again = on_demand.batch(np.array([1, 0]), {"clip": Spec(frames=3, seconds=0.4)})["clip"]
    assert all((again[i] == clips[i]).all() for i in range(2))


def test_several_videos_in_one_folder_of_frames(tmp_path: Path) -> None:
    frames(tmp_path / "images", 4, "0001TP_{:06d}.png", first=8550, by=30)
    frames(tmp_path / "images", 3, "Seq05VD_f{:05d}.png")
    frames(tmp_path / "images", 1, "lonely.png")
    (tmp_path / "images" / "Seq05VD_f00001.png").write_bytes(b"")
    dataset = open_dataset(f"frames:{tmp_path}?hz=30", size=32, group="^images/(.)")
    assert [dataset.path(i) for i in range(2)] == ["images/0001TP", "images/Seq05VD_f"]
    assert dataset.footage is not None
    assert dataset.footage.facts.counts.tolist() == [4, 2]
    np.testing.assert_allclose(dataset.footage.reels.times(0), [0, 1, 2, 3])
    np.testing.assert_allclose(dataset.footage.reels.times(1), [0, 2 / 30])
    assert {path: reason.split(":")[0] for path, reason in dataset.quarantine} == {
        "images/lonely.png": "one frame",
        "images/Seq05VD_f00001.png": "empty",
    }
    assert len(set(dataset.groups.tolist())) == 2


def test_names_that_are_times(tmp_path: Path) -> None:
    for k, seconds in enumerate((9.75, 10.0, 10.5)):
        frames(tmp_path, 1, f"{seconds:.6f}.png")
        Image.fromarray(picture(k)).save(tmp_path / f"{seconds:.6f}.png")
    dataset = open_dataset(f"frames:{tmp_path}", size=32)
    assert dataset.footage is not None
    np.testing.assert_allclose(dataset.footage.reels.times(0), [0, 0.25, 0.75])


def test_frames_errors(tmp_path: Path) -> None:
    frames(tmp_path / "a", 2)
    with pytest.raises(DataError, match="there is no folder"):
        discover(f"frames:{tmp_path}/none")
    with pytest.raises(UsageError, match="hz=, frames a second"):
        discover(f"frames:{tmp_path}?fps=3")
    with pytest.raises(UsageError, match="hz=, frames a second"):
        discover(f"frames:{tmp_path}?hz=0")
    with pytest.raises(UsageError, match="names a column"):
        discover(f"frames:{tmp_path}", label="x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        discover(f"frames:{tmp_path}/empty")


def break_some(root: Path) -> dict[str, str]:
    """Twenty files that are odd in one way or another; reasons of those that cannot be used."""
    for i in range(4):
        cut(film(root / f"cut{i}.{('mp4', 'mkv', 'avi', 'mov')[i]}", seed=1000 + i), 0.7)
        (root / f"zero{i}.mp4").write_bytes(b"")
        film(root / f"single{i}.mp4", (0,), seed=1010 + i)
    for i in range(3):
        sound_alone(root / f"blind{i}.mp4")
        (root / f"text{i}.mp4").write_text("not a video\n" * (i + 1))
    film(root / "really_mkv.mp4", SHORT, kind="matroska", seed=1020)
    film(root / "really_mp4.avi", SHORT, kind="mp4", seed=1021)
    return {
        **{f"cut{i}": "truncated" for i in range(4)},
        **{f"zero{i}": "empty" for i in range(4)},
        **{f"single{i}": "one frame" for i in range(4)},
        **{f"blind{i}": "no video stream" for i in range(3)},
        **{f"text{i}": "not a video" for i in range(3)},
    }


def check_named(quarantine: Path, reasons: dict[str, str]) -> None:
    """Exactly these files are in it, each for a reason that begins so."""
    with quarantine.open(encoding="utf-8", newline="") as file:
        found = {Path(row["path"]).stem: row["reason"] for row in csv.DictReader(file)}
    assert found.keys() == reasons.keys()
    assert all(found[name].startswith(reason) for name, reason in reasons.items())


def check_quarantine(root: Path, cache: Path, reasons: dict[str, str], good: int) -> None:
    for run in range(2):  # The second time, the cache is warm.
        dataset = open_dataset(root, size=32, cache_dir=cache)
        assert len(dataset) == good
        dataset.write_quarantine(cache / f"{run}.csv")
        check_named(cache / f"{run}.csv", reasons)
        described = dataset.describe()
        assert described["quarantined"] == len(reasons)
        assert described["without_sound"] == good - 1


def test_broken_videos_are_named_exactly(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "v"
    for i in range(5):
        film(root / f"good{i}.mp4", SHORT, seed=i)
    film(root / "heard.mkv", SHORT, seed=6, sound=np.ones(4000, np.int16))
    check_quarantine(root, tmp_path / "c", break_some(root), good=8)
    assert "".join(capfd.readouterr()) == ""
    dataset = open_dataset(root, size=32, cache_dir=tmp_path / "c")
    assert dataset.having({"clip"}).sum() == 8
    assert dataset.lacking({"clip", "audio"}) == {"audio": 7}
    assert "7 of 8 videos have no sound: who listens hears silence" in found_words(dataset)
    assert [dataset.path(int(i)) for i in np.flatnonzero(dataset.having({"audio", "clip"}))] == [
        "heard.mkv"
    ]


def test_nothing_but_broken_videos_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 videos of .* a.mp4: empty"):
        open_dataset(tmp_path, size=32)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """500 videos and one that is heard, among 20 odd ones; reasons of those that are no use."""
    root = tmp_path_factory.mktemp("many")
    for i in range(500):
        film(root / f"good{i:03d}.mp4", seed=i)
    film(root / "heard.mkv", SHORT, seed=600, sound=np.ones(4000, np.int16))
    return root, break_some(root)


def own_bytes() -> int:
    """Memory that is ours alone: what is mapped from the cache may be taken back at any time."""
    told = psutil.Process().memory_info()
    return int(told.rss - told.shared)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [None, 1000])
def test_memory_is_flat_with_the_number_of_videos(
    many: tuple[Path, dict[str, str]], tmp_path: Path, budget: int | None
) -> None:
    """Built, then read through, without growing after the first."""
    root, reasons = many
    seen: list[int] = []

    def watch(what: str, done: int, total: int) -> None:
        if done % 50 == 0:
            seen.append(own_bytes())

    open_dataset(root, size=32, cache_dir=tmp_path / "c", cache_bytes=budget, progress=watch)
    assert len(seen) == 10
    assert max(seen[2:]) - seen[1] < 8 * 2**20
    if budget is None:
        check_quarantine(root, tmp_path / "c", reasons, good=503)
    dataset = open_dataset(root, size=32, cache_dir=tmp_path / "c", cache_bytes=budget)
    seen.clear()
    order = np.tile(np.arange(len(dataset)), 2 if budget else 8)
    for step, batch in enumerate(Loader(dataset, {"clip": TWO}, order, 16, seed=0)):
        assert len(batch["clip"]) == 16
        if step % 8 == 0:
            seen.append(own_bytes())
    assert max(seen[2:]) - seen[1] < 8 * 2**20


@pytest.mark.slow
def test_a_run_goes_through_and_names_exactly_the_broken_videos(
    many: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, reasons = many
    run = api.pretrain(
        str(root),
        task="order_verification",
        size=32,
        steps=10,
        batch_size=16,
        out=tmp_path / "run",
    )
    assert (run / "encoder.safetensors").exists()
    check_named(run / "quarantine.csv", reasons)
