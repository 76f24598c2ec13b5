"""A league run by the command, in processes: killed, and with a cell that dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hotstart.league.records import read_records


def command(data: Path, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "hotstart", "compare", str(data), "--tasks", "rotation"),
        *("--seeds", "1", "--steps", "6", "--batch-size", "32", "--checkpoint-seconds", "0.1"),
        *("--labels", "100%", "--protocol", "knn", "--out", str(out)),
    ]


@pytest.mark.slow
def test_killed_at_random_moments_it_gives_the_same_table(
    class_folder: Path, tmp_path: Path
) -> None:
    """Kill -9 of the command, a cell at work: its cells end with it, and the next call goes on."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    began = time.monotonic()
    subprocess.run(command(class_folder, straight), check=True, capture_output=True)
    took = time.monotonic() - began
    kills = 0
    for share in (0.11, 0.23, 0.31, 0.17):
        process = subprocess.Popen(
            command(class_folder, killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=took * share)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    subprocess.run(command(class_folder, killed), check=True, capture_output=True)
    one, other = (json.loads((f / "statistics.json").read_text()) for f in (straight, killed))
    assert one == other
    values = [
        {r.key: r.value for r in read_records(f / "results.jsonl")} for f in (straight, killed)
    ]
    assert values[0] == values[1]
    for record in read_records(killed / "results.jsonl"):
        assert record.budget["steps"] == 6
        assert (record.budget["seconds"] or 0) > 0
        assert (record.budget["peak_memory_bytes"] or 0) > 1e6
    assert not list(killed.rglob("*.part"))


@pytest.mark.slow
def test_a_cell_that_dies_leaves_a_code_and_a_sentence(class_folder: Path, tmp_path: Path) -> None:
    """A third party's task that crashes: exit code 1, the others' table, and where its log is."""
    (tmp_path / "crashing.py").write_text(
        "from hotstart.pretext.context.rotation import Rotation\n"
        "class Crash(Rotation):\n"
        "    def forward(self, views, progress, player):\n"
        "        raise RuntimeError('planted')\n"
    )
    words = command(class_folder, tmp_path / "league")
    words[words.index("rotation")] = "rotation,crashing:Crash"
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "rotation" in done.stdout
    assert "planted" in done.stderr
    log = tmp_path / "league" / "logs" / "Crash-0.log"
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()
