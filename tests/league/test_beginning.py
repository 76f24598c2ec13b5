"""A run may begin with the weights of another: `--init`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart import api
from hotstart.data import open_dataset
from hotstart.encoders import EncoderSpec, build_encoder, load_encoder
from hotstart.encoders.build import filed
from hotstart.errors import UsageError
from hotstart.league.beginning import begun_with, check_fits, open_beginning, seen_before
from hotstart.league.material import material_of
from hotstart.league.pretraining import run_hash
from hotstart.league.records import read_records
from hotstart.training import checkpoint
from hotstart.training.beginning import Beginning
from hotstart.training.folder import TRAINED_ON, load_run
from hotstart.training.train import build_task

STILL: dict[str, Any] = {"steps": 1, "batch_size": 16, "learning_rate": 1e-12, "weight_decay": 0.0}
"""A run that hardly moves from where it begins."""


@pytest.fixture(scope="module")
def first(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "run"
    return api.pretrain(str(class_folder), task="rotation", steps=4, batch_size=16, out=out)


def weights(run: Path) -> dict[str, Tensor]:
    saved = checkpoint.newest(run / "checkpoint")
    assert saved is not None
    task: dict[str, Tensor] = checkpoint.load(saved)["task"]
    return task


def near(one: dict[str, Tensor], other: dict[str, Tensor], key: str) -> bool:
    return torch.allclose(one[key].double(), other[key].double(), atol=1e-7)


def test_of_the_same_task_it_takes_heads_too(
    first: Path, class_folder: Path, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []
    again = api.pretrain(
        str(class_folder), task="rotation", init=str(first), seed=7, out=tmp_path / "again",
        listener=told.append, **STILL,
    )  # fmt: skip
    before, after = weights(first), weights(again)
    learnt = [key for key, _ in load_encoder(first / "encoder.safetensors").named_parameters()]
    heads = [key for key in before if not key.startswith("encoder.")]
    assert heads
    assert all(near(before, after, key) for key in (*(f"encoder.{k}" for k in learnt), *heads))
    begun = next(event for event in told if event["kind"] == "start")["begins_with"]
    assert begun == f"{first}: its encoder and its heads"
    # Without it, everything is elsewhere.
    other = api.pretrain(str(class_folder), task="rotation", seed=7, out=tmp_path / "o", **STILL)
    assert not all(near(before, weights(other), key) for key in heads)


def test_of_another_task_the_encoder_alone_and_a_teacher_begins_as_it(
    first: Path, class_folder: Path
) -> None:
    dataset = open_dataset(str(class_folder), size=None)
    settings = load_run(first).model_copy(update={"task": "byol", "seed": 3})
    begun = open_beginning({"init": str(first), "task": "byol"}, dataset.size)
    task: Any = build_task(settings, material_of("byol", dataset), 4, begun)
    expected = load_encoder(first / "encoder.safetensors").state_dict()
    found = task.encoder.state_dict()
    teacher = {k: v for k, v in task.state_dict().items() if k.startswith("teacher")}
    assert teacher
    for key, weight in expected.items():
        assert torch.equal(found[key], weight)
        copies = [v for k, v in teacher.items() if k.endswith(f"encoder.{key}")]
        copies += [v for k, v in teacher.items() if k.endswith(f".0.{key}")]
        assert any(torch.equal(copy, weight) for copy in copies), key
    assert begun.told(task) == f"{first}: its encoder"


def test_it_is_another_run_wherever_its_beginning_lies(
    first: Path, class_folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    common: dict[str, Any] = {"task": "simclr", "steps": 2, "batch_size": 16}
    one = api.pretrain(str(class_folder), init=str(first), out=tmp_path / "one", **common)
    two = api.pretrain(str(class_folder), init=str(moved), out=tmp_path / "two", **common)
    none = api.pretrain(str(class_folder), out=tmp_path / "none", **common)
    files = [(run / "encoder.safetensors").read_bytes() for run in (one, two, none)]
    assert files[0] == files[1] != files[2]
    hashes = [run_hash(load_run(run), "pictures") for run in (one, two, none)]
    assert hashes[0] == hashes[1] != hashes[2]
    again = api.pretrain(config=one / "run.toml", out=tmp_path / "again")
    assert (again / "encoder.safetensors").read_bytes() == files[0]


def test_what_the_first_saw_counts_as_seen(
    first: Path, class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(class_folder / "test", photos)
    second = api.pretrain(
        str(photos), task="simclr", init=str(first), out=tmp_path / "second", steps=1, size=32
    )
    seen, earlier = (set(np.load(run / TRAINED_ON)) for run in (second, first))
    own = open_dataset(str(photos), size=32).hashes
    assert earlier < seen
    assert seen & set(own)
    file = first / "encoder.safetensors"
    assert set(seen_before(str(file))) == earlier
    monkeypatch.chdir(first)
    assert not len(seen_before(None)), "what lies where one stands is not what one begins with"


def test_it_goes_on_without_its_beginning(first: Path, class_folder: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    shutil.copytree(first, gone)
    common: dict[str, Any] = {"task": "rotation", "steps": 6, "batch_size": 16, "init": str(gone)}
    whole = api.pretrain(str(class_folder), out=tmp_path / "whole", **common)

    def kill(event: dict[str, Any]) -> None:
        if event["kind"] == "step" and event["step"] == 0:
            raise KeyboardInterrupt

    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        api.pretrain(str(class_folder), out=out, listener=kill, **common)
    shutil.rmtree(gone)
    api.pretrain(resume=out)
    names = ("encoder.safetensors", TRAINED_ON)
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in names)


def test_weights_of_others_and_encoders_of_frames(
    first: Path, class_folder: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(first / "encoder.safetensors")
    theirs = tmp_path / "theirs.pt"
    torch.save(encoder.state_dict(), theirs)
    run = api.pretrain(
        str(class_folder), task="simclr", init=str(theirs), encoder=encoder.spec.name,
        out=tmp_path / "run", **STILL,
    )  # fmt: skip
    found = dict(load_encoder(run / "encoder.safetensors").named_parameters())
    assert all(torch.allclose(found[k], v, atol=1e-7) for k, v in encoder.named_parameters())
    frames = build_encoder(
        EncoderSpec(name=f"frames:{encoder.spec.name}", size=32, stem=encoder.spec.stem), 5
    )
    open_beginning({"init": str(first)}, 32).fill_encoder(frames)
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            filed(frames).state_dict().values(), encoder.state_dict().values(), strict=True
        )
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"encoder": "resnet18"}, "is a resnet10_narrow, and --encoder asks for resnet18"),
        ({"stem": "timm"}, "has the stem small, and --stem asks for timm"),
        ({"init_digest": "0" * 16}, "holds other weights"),
        ({"init": "random"}, "without --init"),
        ({"init": "nothing"}, "--init 'nothing': there is no such run or file"),
    ],
)
def test_what_does_not_fit_is_said(first: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_beginning({"init": str(first), **asked}, 32)


def test_what_it_saw_before_is_not_held_out(
    first: Path, class_folder: Path, tmp_path: Path
) -> None:
    """Of pictures that the first run was trained on and others, the others alone are asked."""
    photos = tmp_path / "photos"
    shutil.copytree(class_folder / "train", photos / "old")
    shutil.copytree(class_folder / "test", photos / "new")
    common: dict[str, Any] = {"task": "rotation", "size": 32, "steps": 1, "batch_size": 16}
    seen = set(seen_before(str(first)))
    held = []
    for name, init in (("plain", None), ("begun", str(first))):
        run = api.pretrain(str(photos), out=tmp_path / name, init=init, **common)
        held.append({int(line, 16) for line in (run / "heldout.txt").read_text().split()})
    assert held[0] & seen
    assert held[1] == held[0] - seen
    # Where all were seen before, they are asked all the same.
    again = api.pretrain(str(class_folder / "train"), out=tmp_path / "a", init=str(first), **common)
    assert (again / "heldout.txt").read_text().split()
    (record, *_) = read_records(again / "results.jsonl")
    assert record.detail["init"] == str(first)
    assert begun_with(load_run(again))["init_digest"] == record.detail["init_digest"]


def test_what_a_task_keeps_of_its_data_is_made_anew(class_folder: Path, tmp_path: Path) -> None:
    """Clusters of other pictures, and how often they were made, are not taken."""
    common: dict[str, Any] = {"task": "deep_cluster", "size": 32, "steps": 20, "batch_size": 16}
    own = {"deep_cluster": {"clusters": 6}}
    first = api.pretrain(
        str(class_folder / "test"), out=tmp_path / "first", task_settings=own, **common
    )
    told: list[dict[str, Any]] = []
    second = api.pretrain(
        str(class_folder), out=tmp_path / "second", init=str(first), task_settings=own,
        listener=told.append, **common,
    )  # fmt: skip
    plain = api.pretrain(str(class_folder), out=tmp_path / "plain", task_settings=own, **common)
    kept = [weights(run) for run in (second, plain)]
    assert kept[0]["clusterings"] == kept[1]["clusterings"] >= 2
    assert kept[0]["assignments"].shape == kept[1]["assignments"].shape
    other = {"deep_cluster": {"clusters": 5}}
    fewer = {**common, "steps": 1, "listener": told.append}
    api.pretrain(
        str(class_folder), out=tmp_path / "o", init=str(first), task_settings=other, **fewer
    )
    sentences = [event["begins_with"] for event in told if event["kind"] == "start"]
    assert sentences[0] == f"{first}: its encoder and its heads"
    assert "what fits of its heads" in sentences[1] or sentences[1] == f"{first}: its encoder"


@pytest.mark.parametrize("name", ["vit_narrow_depth4", "frames:vit_narrow_depth4"])
def test_positions_of_a_vit_are_brought_to_its_own_grid(
    name: str, class_folder: Path, tmp_path: Path
) -> None:
    small = api.pretrain(
        str(class_folder), task="rotation", encoder="vit_narrow_depth4", size=32, stem="timm",
        out=tmp_path / "small", **STILL,
    )  # fmt: skip
    begun = open_beginning({"init": str(small), "encoder": name}, 64)
    encoder = build_encoder(EncoderSpec(name=name, size=64, stem="timm"), 3)
    before = {key: weight.shape for key, weight in encoder.state_dict().items()}
    begun.fill_encoder(encoder)
    assert {key: weight.shape for key, weight in encoder.state_dict().items()} == before
    if name.startswith("frames:"):
        return
    large: dict[str, Any] = {"task": "rotation", "size": 64, "steps": 2, "batch_size": 16}

    def kill(event: dict[str, Any]) -> None:
        if event["kind"] == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.pretrain(
            str(class_folder), init=str(small), out=tmp_path / "run", listener=kill, **large
        )
    run = api.pretrain(resume=tmp_path / "run")
    assert api.evaluate(run, on="pretext")
    with pytest.raises(UsageError, match="--resume takes the run's own settings"):
        api.pretrain(resume=run, init="nope")


def test_a_network_of_one_size_says_which(class_folder: Path) -> None:
    """With the small stem the patches themselves are of another size."""
    small = build_encoder(EncoderSpec(name="tube_vit_narrow_depth4", size=32, stem="small"), 0)
    with pytest.raises(
        UsageError, match="for pictures of 32 px, and these have 48: give --size 32"
    ):
        check_fits({}, 48, Beginning("tubes", small))
