"""A run killed at any moment goes on as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hotstart.training import checkpoint

STEPS = 24


def command(data: Path, out: Path, *more: str, task: str = "simclr") -> list[str]:
    return [
        *(sys.executable, "-m", "hotstart", "pretrain", str(data), "--task", task),
        *("--steps", str(STEPS), "--batch-size", "64", "--checkpoint-seconds", "0.2"),
        *("--out", str(out), *more),
    ]


def events(run: Path, kind: str) -> list[dict[str, float]]:
    lines = (run / "log.jsonl").read_text().splitlines() if (run / "log.jsonl").exists() else []
    parsed = []
    for line in lines:
        try:
            parsed.append(json.loads(line))
        except json.JSONDecodeError:  # the line that the kill cut
            continue
    return [event for event in parsed if event["kind"] == kind]


@pytest.fixture(scope="module")
def uninterrupted(
    class_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], bytes]:
    """A task's name -> the encoder of a run that nobody killed."""

    @cache
    def encoder_of(task: str) -> bytes:
        out = tmp_path_factory.mktemp(task) / "run"
        subprocess.run(command(class_folder, out, task=task), check=True, capture_output=True)
        return (out / "encoder.safetensors").read_bytes()

    return encoder_of


def resume(run: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hotstart", "pretrain", "--resume", str(run)],
        check=True,
        capture_output=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", ["simclr", "inpainting", "deep_cluster", "moco"])
def test_kill_in_the_middle_of_an_epoch(
    task: str, class_folder: Path, uninterrupted: Callable[[str], bytes], tmp_path: Path
) -> None:
    """With one player, with two, with clusters, with a queue: all that the next step hangs on."""
    run = tmp_path / "run"
    process = subprocess.Popen(
        command(class_folder, run, task=task), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(events(run, "step")) < STEPS // 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "encoder.safetensors").exists()
    saved = checkpoint.newest(run / "checkpoint")
    assert saved is not None
    resume(run)
    (resumed,) = events(run, "resume")
    assert 0 < resumed["resumed_at"] < STEPS
    assert (run / "encoder.safetensors").read_bytes() == uninterrupted(task)
    metrics = 2 if task == "deep_cluster" else 1  # It tells how far its clusterings agree too.
    assert len((run / "results.jsonl").read_text().splitlines()) == metrics


KILLED_WHILE_WRITING = """
import os, signal, sys, torch
from hotstart.training import checkpoint
whole, written = torch.save, []
def save(state, file):
    written.append(1)
    if len(written) < 3:
        return whole(state, file)
    whole(state, file)
    file.truncate(file.tell() // 2)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint.torch.save = save
from hotstart.cli import main
sys.argv = sys.argv[1:]
main()
"""


@pytest.mark.slow
def test_kill_during_a_checkpoint_write(
    class_folder: Path, uninterrupted: Callable[[str], bytes], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["hotstart", *command(class_folder, run)[3:]]
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, *words], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list((run / "checkpoint").glob("*.part"))
    resume(run)
    assert events(run, "resume")
    assert (run / "encoder.safetensors").read_bytes() == uninterrupted("simclr")
    assert not list((run / "checkpoint").glob("*.part"))


@pytest.mark.slow
def test_minutes_become_steps_and_the_same_steps_give_the_same_bytes(
    class_folder: Path, tmp_path: Path
) -> None:
    from hotstart.training.folder import load_run

    timed, counted = tmp_path / "timed", tmp_path / "counted"
    words = command(class_folder, timed)
    at = words.index("--steps")
    words[at : at + 2] = ["--minutes", "0.1"]
    subprocess.run(words, check=True, capture_output=True)
    steps = load_run(timed).steps
    assert steps is not None
    config = [sys.executable, "-m", "hotstart", "pretrain", "--config", str(timed / "run.toml")]
    subprocess.run([*config, "--out", str(counted)], check=True, capture_output=True)
    assert load_run(counted).steps == steps
    encoders = [(run / "encoder.safetensors").read_bytes() for run in (timed, counted)]
    assert encoders[0] == encoders[1]


def test_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    import torch

    checkpoint.save(tmp_path, 1, {"step": 1, "weight": torch.ones(3)})
    (tmp_path / "000000009.part").write_bytes(b"half")
    newest = checkpoint.newest(tmp_path)
    assert newest is not None
    assert checkpoint.load(newest)["step"] == 1
    checkpoint.save(tmp_path, 2, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["000000002.pt"]
