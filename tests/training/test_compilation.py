"""Compiled or not, and the reason, printed; a compiled run is the same run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import hotstart
from hotstart.errors import UsageError
from hotstart.training.compilation import WORTH_STEPS, compile_choice

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_auto_compiles_long_runs_on_a_gpu_alone() -> None:
    assert compile_choice("auto", CUDA, WORTH_STEPS)[0]
    assert not compile_choice("auto", CUDA, WORTH_STEPS - 1)[0]
    assert not compile_choice("auto", CPU, 10 * WORTH_STEPS)[0]
    assert "too few" in compile_choice("auto", CUDA, 10)[1]
    assert not compile_choice("off", CUDA, 10 * WORTH_STEPS)[0]


def test_asking_for_it_without_a_compiler_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="apt install g"):
        compile_choice("on", CPU, 10)
    assert compile_choice("on", CUDA, 10)[0]


def events(run: Path, kind: str) -> list[dict[str, object]]:
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["kind"] == kind]


def test_a_run_says_what_it_was_given(tmp_path: Path) -> None:
    run = hotstart.pretrain("digits:", task="rotation", steps=1, batch_size=8, out=tmp_path / "run")
    (start,) = events(run, "start")
    assert start["machine"] == (
        f"cpu, {torch.get_num_threads()} threads, channels-last, "
        "not compiled: beside channels-last it gains nothing on a cpu"
    )


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_learns_as_the_same_run_uncompiled(tmp_path: Path) -> None:
    losses = {}
    for compiling in ("off", "on"):
        run = hotstart.pretrain(
            "digits:",
            task="byol",  # Its teacher is a copy of the encoder, made before compiling.
            steps=4,
            batch_size=32,
            compile=compiling,
            accelerator="cpu",
            out=tmp_path / compiling,
        )
        losses[compiling] = [event["loss"] for event in events(run, "step")]
        assert (run / "encoder.safetensors").exists()
    assert losses["on"] == pytest.approx(losses["off"], rel=1e-3)
    records = hotstart.evaluate(str(tmp_path / "on"), protocols=["knn"], labels=[1.0])
    assert records
