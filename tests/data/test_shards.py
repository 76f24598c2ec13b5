"""WebDataset tar shards, most of them written by webdataset itself."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

webdataset = pytest.importorskip("webdataset")

from hotstart import api  # noqa: E402
from hotstart.data import Dataset, open_dataset  # noqa: E402
from hotstart.data.discover import discover  # noqa: E402
from hotstart.data.sample import Pictures, Spec  # noqa: E402
from hotstart.data.shards import index as shard_index  # noqa: E402
from hotstart.data.splits import SPLITS  # noqa: E402
from hotstart.data_names import check_data  # noqa: E402
from hotstart.errors import DataError, UsageError  # noqa: E402
from tests.data import films  # noqa: E402
from tests.data.conftest import Make  # noqa: E402
from tests.data.test_sounds import pitch, tone  # noqa: E402
from tests.data.test_sounds import write as write_sound  # noqa: E402

Sample = dict[str, Any]


def png(seed: int, width: int = 20, height: int = 16) -> bytes:
    """A noise picture as a file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write(path: Path, samples: Iterable[Sample]) -> Path:
    """One tar, written by webdataset; the samples without `__key__` are numbered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as tar:
        for number, sample in enumerate(samples):
            tar.write({"__key__": f"{number:04d}", **sample})
    return path


def pack(path: Path, files: Sequence[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT) -> Path:
    """One tar of these files, as `tar` writes it."""
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def names(data: str | Path) -> list[str]:
    found = discover(data)
    return [found.source.path(i) for i in range(len(found.source))]


def told(data: str | Path, **more: Any) -> list[str | None]:
    """The class of each sample."""
    found = discover(data, **more)
    assert found.labels is not None
    return [found.classes[code] if code >= 0 else None for code in found.labels]


def pixels(dataset: Dataset) -> list[Tensor]:
    """Every picture, uint8 (H, W, 3)."""
    return each(dataset.pictures.get(np.arange(len(dataset))))


def each(pictures: Pictures) -> list[Tensor]:
    return [pictures[i] for i in range(len(pictures))]


def same(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def decoded(seed: int) -> Tensor:
    """What `png(seed)` shows."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png(seed)))))


def reasons(data: str | Path) -> dict[str, str]:
    return dict(open_dataset(data, size=16).quarantine)


def test_shards_of_a_writer(tmp_path: Path) -> None:
    pattern = str(tmp_path / "part-%03d.tar")
    with webdataset.ShardWriter(pattern, maxcount=4, verbose=0) as writer:
        for i in range(10):
            writer.write({"__key__": f"{i:04d}", "png": png(i), "cls": [9, 10, 100][i % 3]})
    found = discover(tmp_path)
    assert found.kind == "tar shards of labelled pictures"
    assert names(tmp_path)[3:5] == ["part-000.tar:0003", "part-001.tar:0004"]
    assert found.classes == ("9", "10", "100")
    assert told(tmp_path) == [("9", "10", "100")[i % 3] for i in range(10)]
    assert not found.problems
    assert not found.notes
    dataset = open_dataset(tmp_path, size=16)
    assert same(pixels(dataset), map(decoded, range(10)))


@pytest.mark.parametrize(
    ("samples", "label", "classes"),
    [
        ([{"cls": "dog"}, {"cls": "cat\n"}, {}], None, ["dog", "cat", None]),
        ([{"json": {"label": "b"}}, {"json": {"label": 3}}, {"json": {}}], None, ["b", "3", None]),
        ([{"cls": 0, "json": {"label": 7}}, {"cls": 1, "txt": "x"}], None, ["0", "1"]),
        ([{"cls": 0, "json": {"kind": "k"}}, {"json": {"kind": True}}], "kind", ["k", "True"]),
        ([{"cls": 0, "coarse.txt": "animal"}, {"cls": 1}], "coarse.txt", ["animal", None]),
        ([{"txt": "cat"}, {"txt": "dog"}, {"txt": "cat"}, {"txt": "dog"}], None, None),
        ([{"txt": "a red bird"}, {"txt": "a dog"}], "txt", ["a red bird", "a dog"]),
    ],
)
def test_where_labels_are_from(
    tmp_path: Path, samples: list[Sample], label: str | None, classes: list[str | None] | None
) -> None:
    made = [
        {k: json.dumps(v) if k == "json" else str(v) for k, v in sample.items()}
        for sample in samples
    ]
    path = tmp_path / "a.tar"
    pack(
        path,
        [
            (f"{i}.{ending}", value if isinstance(value, bytes) else value.encode())
            for i, sample in enumerate(made)
            for ending, value in ({"png": png(i)} | sample).items()
        ],
    )
    expected = [sample["txt"] for sample in samples] if classes is None else classes
    assert told(path, label=label) == expected


def test_captions_are_no_classes(tmp_path: Path) -> None:
    words = ["a dog on a boat", "two cats", "x" * 80, "two cats"]
    path = write(tmp_path / "a.tar", [{"png": png(i), "txt": word} for i, word in enumerate(words)])
    found = discover(path)
    assert found.labels is None
    assert "its .txt are captions; --label txt" in found.notes[0]
    assert told(path, label="txt") == words


def test_class_names_beside_the_tars(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [{"png": png(i), "cls": i} for i in (0, 2)])
    (tmp_path / "classnames.txt").write_text("tench\nshark\nhen\n")
    assert told(tmp_path) == ["tench", "hen"]
    (tmp_path / "classnames.txt").write_text("tench\nshark\n")
    assert told(tmp_path) == ["0", "2"]


@pytest.mark.parametrize(
    "paths",
    [
        ("train/000.tar", "val/000.tar", "test/000.tar"),
        ("imagenet-train-000000.tar", "imagenet-validation-00.tar", "imagenet_test.tar"),
        ("deep/train/0.tar", "deep/valid/0.tar", "deep/testing/0.tar"),
    ],
)
def test_splits_by_folder_or_name(tmp_path: Path, paths: tuple[str, ...]) -> None:
    for seed, path in enumerate(paths):
        write(tmp_path / path, [{"png": png(seed), "cls": seed}])
    found = discover(tmp_path)
    assert found.split is not None
    splits = {
        found.source.path(i).partition(":")[0]: SPLITS[code] for i, code in enumerate(found.split)
    }
    assert splits == dict(zip(paths, ("train", "val", "test"), strict=True))


def test_one_split_alone_is_none(tmp_path: Path) -> None:
    write(tmp_path / "val-0.tar", [{"png": png(0)}])
    write(tmp_path / "other.tar", [{"png": png(1)}])
    assert discover(tmp_path).split is None


def tarred(folder: Path, path: Path) -> Path:
    """A folder as `tar --sort=name` packs it."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for file in [folder, *sorted(folder.rglob("*"))]:
            tar.add(file, Path("photos") / file.relative_to(folder), recursive=False)
    return path


def test_a_tar_of_a_folder_is_that_folder(class_folder: Path, tmp_path: Path) -> None:
    path = tarred(class_folder, tmp_path / "photos.tar")
    ours, theirs = open_dataset(path, size=32), open_dataset(class_folder, size=32)
    assert ours.fingerprint == theirs.fingerprint
    assert ours.classes == theirs.classes == ("cold", "warm")
    for name in ("hashes", "labels", "split"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))
    assert same(pixels(ours), pixels(theirs))
    assert ours.path(0) == "photos.tar:photos/test/cold/000"


def test_equal_weights_from_shards_and_from_files(class_folder: Path, tmp_path: Path) -> None:
    path = tarred(class_folder, tmp_path / "photos.tar")
    made = []
    for number, data in enumerate((path, class_folder)):
        out = tmp_path / f"run{number}"
        api.pretrain(str(data), task="rotation", steps=2, batch_size=8, size=16, out=out)
        made.append((out / "encoder.safetensors").read_bytes())
    assert made[0] == made[1]
    values = [
        [record.value for record in api.evaluate(out, data=data, protocols=("knn",), labels=(1.0,))]
        for out, data in ((tmp_path / "run0", str(path)), (tmp_path / "run1", str(class_folder)))
    ]
    assert values[0] == values[1]


def test_endings_and_the_picture_that_is_read(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "a.tar",
        [
            ("a.mask.png", png(0)),
            ("a.image.png", png(1)),
            ("b.seg.png", png(2)),
            ("b.JPG", png(3)),
            ("d/v1.c.png", png(4)),
            (".hidden.png", png(5)),
            ("d/._c.png", b"apple"),
            ("noending", b""),
        ],
    )
    dataset = open_dataset(path, size=16)
    assert [dataset.path(i) for i in range(3)] == ["a.tar:a", "a.tar:b", "a.tar:d/v1"]
    assert same(pixels(dataset), map(decoded, (1, 3, 4)))
    assert dataset.notes[0].startswith("2 more pictures in samples were passed over, such as a.tar")


def test_files_of_a_sample_need_not_be_neighbours(tmp_path: Path) -> None:
    files = [("a.png", png(0)), ("b.png", png(1)), ("b.cls", b"y"), ("./a.cls", b"x")]
    assert told(pack(tmp_path / "a.tar", files)) == ["x", "y"]
    assert told(pack(tmp_path / "a.tar", [*files, ("a.cls", b"of two the first")])) == ["x", "y"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_all_kinds(tmp_path: Path, form: int) -> None:
    long = "x" * 300 + "/" + "y" * 200
    keys = [long, "猫/é", "caf\udce9", "../../up", "/root/abs"]
    path = tmp_path / "a.tar"
    pack(path, [(f"{key}.png", png(i)) for i, key in enumerate(keys)], form)
    assert names(path) == [
        f"a.tar:{key}" for key in (long, "猫/é", r"caf\xe9", "../../up", "/root/abs")
    ]
    assert len(open_dataset(path, size=16)) == 5


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    good = [{"png": png(i), "cls": i % 2} for i in range(3)]
    write(tmp_path / "good.tar", good)
    pack(
        tmp_path / "odd.tar",
        [
            ("twice.png", png(10)),
            ("twice.png", png(11)),
            ("bad.png", b"no picture"),
            ("zero.png", b""),
            ("alone.cls", b"1"),
            ("json.png", png(12)),
            ("json.json", b'{"label": '),
        ],
    )
    cut = write(tmp_path / "cut.tar", [{"png": png(i), "cls": "1"} for i in range(20, 23)])
    with tarfile.open(cut) as tar:
        last = [member for member in tar if member.name.endswith("png")][-1]
    os.truncate(cut, last.offset_data + last.size - 1)
    (tmp_path / "empty.tar").write_bytes(b"")
    (tmp_path / "none.tar").write_bytes(b"nonsense" * 1000)
    (tmp_path / "gzip.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    dataset = open_dataset(tmp_path, size=16)
    quarantine = dict(dataset.quarantine)
    starts = {
        "cut.tar:0002": "truncated: the tar ends within its .png",
        "odd.tar:twice": "a second .png of this key: the first is used",
        "odd.tar:bad": "not a picture",
        "odd.tar:zero": "empty: the file has 0 bytes",
        "odd.tar:alone": "no picture among its files",
        "odd.tar:json": "its .json cannot be read: used without what that says",
        "empty.tar": "empty",
        "none.tar": "damaged, or not a tar",
        "gzip.tar": "compressed by gzip",
    }
    assert quarantine.keys() == starts.keys()
    for name, start in starts.items():
        assert quarantine[name].startswith(start)
    expected = {f"good.tar:{i:04d}" for i in range(3)} | {"odd.tar:twice", "odd.tar:json"}
    assert {dataset.path(i) for i in range(len(dataset))} == expected | {
        "cut.tar:0000",
        "cut.tar:0001",
    }


def test_a_tar_cut_between_two_files_or_damaged_within(tmp_path: Path) -> None:
    files = [(f"{i}.png", png(i)) for i in range(4)]
    cut, hurt, loop = (pack(tmp_path / f"{name}.tar", files) for name in ("cut", "hurt", "loop"))
    with tarfile.open(cut) as tar:
        end = tar.getmembers()[2].offset
    os.truncate(cut, end)
    for path, size in ((hurt, b"junk"), (loop, (-512).to_bytes(12, signed=True))):
        with path.open("r+b") as file:
            file.seek(end)
            head = bytearray(file.read(512))
            head[124 : 124 + len(size)] = size
            if path == loop:  # a length that leads back to this header, and that is valid
                head[148:156] = b" " * 8
                head[148:156] = b"%06o\0 " % sum(head)
            file.seek(end)
            file.write(head)
    told = reasons(tmp_path)
    assert told["cut.tar"].startswith("truncated: the mark of its end is missing")
    assert told["hurt.tar"].startswith("damaged: no file begins at byte")
    assert told["loop.tar"].startswith("damaged: the file at byte")
    assert names(tmp_path) == [
        f"{name}.tar:{i}" for name in ("cut", "hurt", "loop") for i in (0, 1)
    ]


def test_a_changed_shard_is_read_anew_and_an_unchanged_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(2):
        write(tmp_path / f"{i}.tar", [{"png": png(i), "cls": i}])
    before = discover(tmp_path).source.fingerprint
    assert not list(tmp_path.glob("*.png"))
    with monkeypatch.context() as patch:
        patch.setattr(shard_index, "read_shard", None)
        assert discover(tmp_path).source.fingerprint == before
        assert told(tmp_path) == ["0", "1"]
    write(tmp_path / "1.tar", [{"png": png(7), "cls": 5}, {"png": png(8), "cls": 6}])
    assert discover(tmp_path).source.fingerprint != before
    assert told(tmp_path) == ["0", "5", "6"]


KILLED = """
import os, signal, sys
from hotstart.data.discover import discover

def end(_, done, __):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

discover(sys.argv[1], progress=end)
"""


def test_killed_while_indexing(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.tar", [{"png": png(i)}])
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    cache = Path(os.environ["XDG_CACHE_HOME"]) / "hotstart" / "tars"
    assert list(cache.glob("*/.building-*"))
    assert len(names(tmp_path)) == 4
    assert not list(cache.glob("*/.building-*"))


def test_shards_of_a_rendered_world_stay_rendered(tmp_path: Path) -> None:
    write(tmp_path / "clips" / "shards" / "world-0.tar", [{"image.png": png(0)}])
    assert not discover(tmp_path / "clips" / "shards").source.rendered
    (tmp_path / "clips" / "world.json").write_text("{}")
    assert discover(tmp_path / "clips" / "shards").source.rendered


def test_patterns_and_single_tars(tmp_path: Path) -> None:
    for i in range(8, 12):
        write(tmp_path / f"s-{i:03d}.tar", [{"png": png(i)}])
    write(tmp_path / "train" / "a.tar", [{"png": png(1), "cls": 1}])
    write(tmp_path / "val" / "b.tar", [{"png": png(2), "cls": 2}])
    given = f"{tmp_path}/s-{{008..010}}.tar"
    check_data(given)
    assert names(given) == [f"s-{i:03d}.tar:0000" for i in range(8, 11)]
    assert names(f"{tmp_path}/s-01?.tar") == ["s-010.tar:0000", "s-011.tar:0000"]
    assert names(tmp_path / "s-009.tar") == ["s-009.tar:0000"]
    split = discover(f"{tmp_path}/{{train,val}}/*.tar").split
    assert split is not None
    assert split.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"there is no '.*s-007.tar', and 1 more of 6 are missing"):
        check_data(f"{tmp_path}/s-{{007..012}}.tar")
    with pytest.raises(DataError, match=r"there is no '.*z-\*.tar'; DATA is"):
        discover(f"{tmp_path}/z-*.tar")


def test_groups_by_field_or_by_key(tmp_path: Path) -> None:
    people = ["ann", "bob", "ann", None]
    path = write(
        tmp_path / "a.tar",
        [
            {"__key__": f"{'xxyz'[i]}_{i}", "png": png(i), "json": {"person": who} if who else {}}
            for i, who in enumerate(people)
        ],
    )

    def alike(group: str) -> list[list[bool]]:
        groups = discover(path, group=group).groups
        assert groups is not None
        pairs: list[list[bool]] = (groups[:, None] == groups).tolist()
        return pairs

    by_person: npt.NDArray[np.bool_] = np.eye(4, dtype=bool)
    by_person[0, 2] = by_person[2, 0] = True
    assert alike("person") == by_person.tolist()
    by_key = np.eye(4, dtype=bool)
    by_key[0, 1] = by_key[1, 0] = True
    assert alike("^[a-z]") == by_key.tolist()
    with pytest.raises(UsageError, match="matches none of 4 paths"):
        discover(path, group="persn")


def test_what_is_read_of_a_mixed_folder(tmp_path: Path, picture: Make) -> None:
    write(tmp_path / "a.tar", [{"png": png(0)}])
    picture(tmp_path / "preview.png")
    found = discover(tmp_path)
    assert names(tmp_path) == ["a.tar:0000"]
    assert "1 files beside the tars were passed over: only what is in tars is read" in found.notes
    picture(tmp_path / "photo.png")
    found = discover(tmp_path)
    assert names(tmp_path) == ["photo.png", "preview.png"]
    assert f"give {tmp_path}/*.tar" in found.notes[-1]


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b")
    for data in (tmp_path, tmp_path / "a.tar.gz"):
        with pytest.raises(DataError, match=r"compressed: unpack it to a plain \.tar"):
            discover(data)
    path = write(tmp_path / "b.tar", [{"png": png(0), "cls": 1, "json": {"kind": "x", "of": []}}])
    with pytest.raises(UsageError, match=r"label='kin'.*1 samples.*nearest: kind; valid: .*cls"):
        discover(path, label="kin")
    path = pack(tmp_path / "c.tar", [("a.txt", b"no")])
    with pytest.raises(DataError, match=r"no picture, video or sound in c.tar \(c.tar:a: no pict"):
        discover(path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "e.tar").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"no tar in it can be opened \(e.tar: broken link\)"):
        discover(tmp_path / "broken")
    (tmp_path / "d.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"in d.tar \(d.tar: empty: the file has 0 bytes\)"):
        discover(tmp_path / "d.tar")


def test_sounds_beside_pictures_and_alone(tmp_path: Path) -> None:
    heard = write_sound(tmp_path / "a.wav", tone(700)).read_bytes()
    path = write(tmp_path / "a.tar", [{"png": png(0), "wav": heard}, {"png": png(1)}])
    dataset = open_dataset(path, size=16)
    assert {"image", "audio"} <= dataset.keys
    assert dataset.having({"audio"}).tolist() == [True, False]
    audio = dataset.batch(np.array([0]), {"audio": Spec(seconds=0.5)})["audio"]
    assert audio.numel() > 0
    alone = open_dataset(write(tmp_path / "b.tar", [{"wav": heard}]), size=16)
    assert alone.footage is not None
    assert pitch(alone.footage.reels.sound(0, 0, 16_000)) == pytest.approx(700, abs=2)


def test_videos_are_those_of_the_files(tmp_path: Path) -> None:
    files = [films.film(tmp_path / "files" / f"{i}.mp4", seed=i) for i in range(2)]
    path = write(tmp_path / "a.tar", [{"mp4": file.read_bytes(), "cls": 1} for file in files])
    ours, theirs = open_dataset(path, size=16), open_dataset(tmp_path / "files", size=16)
    assert ours.kind == "tar shards of labelled videos"
    assert np.array_equal(ours.hashes, theirs.hashes)
    asked = {"clip": Spec(frames=4, seconds=0.2)}
    clips = [
        each(dataset.batch(np.arange(2), asked)["clip"].pictures)
        for dataset in (ours, theirs, open_dataset(path, size=16, cache_bytes=0))
    ]
    assert same(clips[0], clips[1])
    assert same(clips[0], clips[2])


def test_pictures_that_do_not_fit_into_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", [{"png": png(i)} for i in range(5)])
    kept = open_dataset(path, size=16, cache_dir=tmp_path / "x")
    again = open_dataset(path, size=16, cache_dir=tmp_path / "y", cache_bytes=0)
    assert again.pictures.at_hand < kept.pictures.at_hand
    assert same(pixels(again), pixels(kept))
    assert (tmp_path / "y" / "tars").is_dir()
