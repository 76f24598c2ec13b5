"""Two gloo processes equal one, in weights after some steps and in gradient."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run(data: Path, out: Path, task: str, processes: int) -> dict[str, dict[str, torch.Tensor]]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["-m", "tests.training.two_processes", str(data), str(out), task, str(processes)]
    subprocess.run([*launcher, "--nproc-per-node", str(processes), *script], check=True, cwd=ROOT)
    found: dict[str, dict[str, torch.Tensor]] = torch.load(out, weights_only=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        *("simclr", "rotation", "byol", "deep_cluster", "inpainting", "supervised"),
        *("rotation+simclr", "inpainting+deep_cluster"),
    ],
)
def test_two_processes_equal_one(task: str, class_folder: Path, tmp_path: Path) -> None:
    one = run(class_folder, tmp_path / "one.pt", task, 1)
    two = run(class_folder, tmp_path / "two.pt", task, 2)
    torch.testing.assert_close(two["grad"], one["grad"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["state"], one["state"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["features"], one["features"], atol=1e-5, rtol=1e-5)
