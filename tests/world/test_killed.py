"""A generation that is killed leaves no process behind, and goes on where it stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from hotstart import api
from hotstart.world.shards import Shards
from tests.world.test_generate import digests

WORLD = "world:images?n=40&size=32&samples=64"
PATIENCE_SECONDS = 120


@pytest.mark.slow
def test_workers_end_with_a_killed_parent_and_the_rest_is_made_later(tmp_path: Path) -> None:
    out = tmp_path / "killed"
    words = ["render", WORLD, "--out", str(out), "--processes", "2"]
    process = subprocess.Popen([sys.executable, "-m", "hotstart", *words])
    begun = time.monotonic()
    while not list((out / "labels").glob("*.json")):
        assert time.monotonic() - begun < PATIENCE_SECONDS
        assert process.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    for worker in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    assert not alive
    made = 40 - len(list(Shards(out / "shards", 40, 256).missing()))
    assert 0 < made < 40
    api.render(WORLD, out, processes=1)
    whole = api.render(WORLD, tmp_path / "whole", processes=1)
    assert digests(out) == digests(whole)
