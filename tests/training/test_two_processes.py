"""Two gloo processes equal one, in weights after some steps and in gradient."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hotstart.pretext.entries import TASKS

ROOT = Path(__file__).parents[2]


def run(
    data: Path, out: Path, task: str, processes: int, own: dict[str, Any]
) -> dict[str, dict[str, torch.Tensor]]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["-m", "tests.training.two_processes", str(data), str(out), task, str(processes)]
    script.append(json.dumps(own))
    subprocess.run([*launcher, "--nproc-per-node", str(processes), *script], check=True, cwd=ROOT)
    found: dict[str, dict[str, torch.Tensor]] = torch.load(out, weights_only=True)
    return found


# As in the conformance suite, no more dimensions than the rows of a batch.
OWN: dict[str, dict[str, Any]] = {
    "barlow_twins": {"projection": 16},
    "vicreg": {"projection": 16},
}
FITTED = "fitted before training, by each process to all pictures; nothing moves in a step"
LEFT_OUT = {
    "random": "the control at random has no weights that learn",
    "pca": FITTED,
    "kmeans": FITTED,
}
MORE: list[tuple[str, dict[str, Any]]] = [
    ("triplet", {"positives": "cluster"}),
    ("rotation+simclr", {}),
    ("rotation+jigsaw", {}),
    ("inpainting+deep_cluster", {}),
]


def test_what_is_left_out_are_tasks() -> None:
    assert set(LEFT_OUT) <= set(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "own"),
    [*((name, OWN.get(name, {})) for name in TASKS if name not in LEFT_OUT), *MORE],
)
def test_two_processes_equal_one(
    task: str, own: dict[str, Any], class_folder: Path, tmp_path: Path
) -> None:
    one = run(class_folder, tmp_path / "one.pt", task, 1, own)
    two = run(class_folder, tmp_path / "two.pt", task, 2, own)
    torch.testing.assert_close(two["grad"], one["grad"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["state"], one["state"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["features"], one["features"], atol=1e-5, rtol=1e-5)
