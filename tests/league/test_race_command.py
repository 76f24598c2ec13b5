"""A race by the command, in a process that is killed, with a real budget."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hotstart
from hotstart.league.race_settings import read_race


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_a_run_that_never_paused(tmp_path: Path) -> None:
    """Kill -9 at whatever moment; once timed, everybody keeps its steps."""
    out = tmp_path / "race"
    words = [sys.executable, "-m", "hotstart", "race", "digits:", "--tasks", "rotation,autoencoder"]
    words += ["--size", "16", "--batch-size", "16", "--minutes", "1", "--on", "classify"]
    words += ["--checkpoint-seconds", "0.5", "--json", "--out", str(out)]
    kills = 0
    planned: dict[str, int] = {}
    for seconds in (12, 25, 20):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        if planned:
            assert read_race(out).steps == planned
        elif (out / "race.toml").exists():
            planned = read_race(out).steps
    assert kills >= 1
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    told = json.loads(ended.stdout)
    assert not list(out.rglob("*.part"))
    steps = told["steps"][told["winner"]]
    once = hotstart.pretrain(
        "digits:", task=told["winner"], size=16, batch_size=16, steps=steps, out=tmp_path / "once"
    )
    encoders = [(run / "encoder.safetensors").read_bytes() for run in (once, Path(told["run"]))]
    assert encoders[0] == encoders[1]
