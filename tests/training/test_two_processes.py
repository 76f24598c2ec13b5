"""Two gloo processes equal one, in weights after some steps and in gradient."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hotstart.pretext.entries import TASKS
from tests.conformance.material import kind_of

ROOT = Path(__file__).parents[2]


Case = tuple[str, dict[str, Any]]
Found = dict[str, dict[str, torch.Tensor]]


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
    ("rendered", {"adapt": "adversarial"}),
]


def test_what_is_left_out_are_tasks() -> None:
    assert set(LEFT_OUT) <= set(TASKS)


CASES: list[Case] = [
    *((name, OWN.get(name, {})) for name in TASKS if name not in LEFT_OUT),
    *MORE,
]


def launch(folders: dict[str, str], out: Path, processes: int, cases: list[Case]) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = ["-m", "tests.training.two_processes", json.dumps(folders)]
    script += [str(out), str(processes), json.dumps(cases)]
    out.mkdir()
    # A case that fails ends the launch: it, and those after it, leave no file.
    subprocess.run([*launcher, "--nproc-per-node", str(processes), *script], check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Case, int], Found]:
    """What came of a case with so many processes; the cases that were asked for, trained once."""
    mine = [item for item in request.session.items if item.path == request.path]
    params = [item.callspec.params for item in mine if hasattr(item, "callspec")]
    cases = [CASES[case["number"]] for case in params]
    kinds = {kind_of(task) for task, _ in cases} | {"class_folder"}
    folders = {kind: str(request.getfixturevalue(kind)) for kind in kinds}
    folder = tmp_path_factory.mktemp("two")
    for processes in (1, 2):
        launch(folders, folder / str(processes), processes, cases)

    def read(case: Case, processes: int) -> Found:
        found: Found = torch.load(
            folder / str(processes) / f"{cases.index(case)}.pt", weights_only=True
        )
        return found

    return read


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(CASES)), ids=["-".join([t, *o]) for t, o in CASES])
def test_two_processes_equal_one(number: int, trained: Callable[[Case, int], Found]) -> None:
    one, two = (trained(CASES[number], processes) for processes in (1, 2))
    torch.testing.assert_close(two["grad"], one["grad"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["state"], one["state"], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(two["features"], one["features"], atol=1e-5, rtol=1e-5)
