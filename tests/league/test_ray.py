"""Leagues whose cells are tasks of a Ray cluster: of this machine, begun by the test."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import psutil  # type: ignore[import-untyped]
import pytest
import ray

import hotstart
from hotstart.errors import UsageError
from hotstart.league import alone as locks
from hotstart.league import compare as league
from hotstart.league.cell import Cell
from hotstart.league.compare import Comparison
from hotstart.league.executor import check_executor
from hotstart.league.process import Ended, Told
from hotstart.league.ray_cluster import divide
from hotstart.league.ray_executor import Place, RayExecutor, lost, run_on_node

PATIENCE_SECONDS = 120.0
FAILING = """
from hotstart.pretext.context.rotation import Rotation
class Fails(Rotation):
    def forward(self, views, progress, player):
        raise RuntimeError("planted")
"""


def eventually(what: Callable[[], Any]) -> Any:
    """What it gives, as soon as that is something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return found


def place(folder: Path, mark: str = "this league") -> Place:
    lock = folder / league.LOCK
    lock.write_text("this league")
    return Place(folder / "logs", lock, mark, folder, threads=1, environment={})


def own_lock(folder: Path) -> contextlib.AbstractContextManager[TextIO]:
    return locks.alone(folder, league.LOCK, "compare")


UNKNOWN = Cell("one", "one", "pretrain", {"data": "digits:", "task": "rotatoin"})


def test_a_name_of_no_executor_lists_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"slurm.*local.*ray.*ray:HOST:PORT"):
        hotstart.compare("digits:", tasks=["rotation"], executor="slurm")
    with pytest.raises(UsageError, match="machine of the cluster"):
        check_executor("ray://10.0.0.1:10001")
    check_executor("local")
    check_executor("ray:10.0.0.1:6379")


def test_where_no_cluster_answers_it_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / league.LOCK).touch()
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127\.0\.0\.1:9.*ray start"):
        RayExecutor(tmp_path / "logs", tmp_path / league.LOCK, "127.0.0.1:9")
    assert not ray.is_initialized()


def test_without_ray_a_sentence_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'hotstart\[ray\]'"):
        hotstart.compare("digits:", tasks=["rotation"], executor="ray")
    check_executor("local")


@pytest.mark.parametrize(
    ("nodes", "workers", "gpus", "divided"),
    [
        ([(2, 0)], None, 0, (2, 1)),
        ([(16, 0)], 3, 0, (3, 5)),
        ([(16, 0), (4, 0)], 2, 0, (2, 8)),
        ([(16, 0), (4, 0)], 5, 0, (5, 4)),
        ([(4, 0)], 9, 0, (9, 1)),
        ([(32, 4), (64, 0), (8, 2)], None, 1, (6, 4)),
        ([(32, 4), (64, 0)], 2, 1, (2, 16)),
    ],
)
def test_cells_share_what_the_cluster_has(
    nodes: list[tuple[int, int]], workers: int | None, gpus: int, divided: tuple[int, int]
) -> None:
    assert divide(nodes, workers, gpus) == divided


def test_a_cluster_without_room_is_said() -> None:
    with pytest.raises(UsageError, match="no node of the cluster has a CPU and a GPU"):
        divide([(8, 0), (0, 4)], None, 1)


def test_a_node_does_the_cell_and_shares_the_lock(tmp_path: Path) -> None:
    there = place(tmp_path)
    heard = run_on_node(UNKNOWN, there)
    ended = next(heard)
    with there.lock.open("r+") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert list(heard) == []
    assert isinstance(ended, Ended)
    assert "rotation" in str(ended.problem)
    assert not list((tmp_path / "logs").iterdir())


def test_a_node_that_sees_another_folder_of_that_name_says_so(tmp_path: Path) -> None:
    for elsewhere in (place(tmp_path, "another league"), place(tmp_path)):
        if elsewhere.mark == "this league":
            elsewhere.lock.unlink()
        [ended] = run_on_node(UNKNOWN, elsewhere)
        assert isinstance(ended, Ended)
        assert "file system that all nodes share" in str(ended.problem)
        assert str(tmp_path) in str(ended.problem)
    assert not (tmp_path / "logs").exists()


def test_a_league_is_not_begun_while_a_node_shares_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.1)
    with (tmp_path / league.LOCK).open("w+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(UsageError, match="worked on by another"), own_lock(tmp_path):
            pass
    with own_lock(tmp_path), (tmp_path / league.LOCK).open() as lock:
        assert str(os.getpid()) in lock.read()
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_what_ray_loses_is_told_in_one_sentence() -> None:
    assert "memory" in lost(ray.exceptions.OutOfMemoryError("many\nlines"))
    assert lost(ray.exceptions.WorkerCrashedError()).startswith("its node or its Ray worker was")


class Both(NamedTuple):
    """The same league here and on Ray."""

    local: Comparison
    ray: Comparison
    events: list[dict[str, Any]]


@contextlib.contextmanager
def two_cpus() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A league with a task that fails in its cell."""
    root = tmp_path_factory.mktemp("both")
    (root / "failing.py").write_text(FAILING)
    events: list[dict[str, Any]] = []
    asked: dict[str, Any] = {
        "tasks": ["rotation", "failing:Fails"],
        "seeds": 1,
        "steps": 2,
        "batch_size": 16,
        "labels": [1.0],
        "protocols": ["knn"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root), prepend=os.pathsep)
        patch.syspath_prepend(root)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")
        here = hotstart.compare("digits:", **asked, out=root / "local", workers=2)
        with two_cpus():
            there = hotstart.compare(
                "digits:", **asked, out=root / "ray", executor="ray", listener=events.append
            )
            assert ray.is_initialized(), "who began it ends it"
    return Both(here, there, events)


@pytest.mark.slow
def test_ray_gives_the_records_that_this_machine_gives(both: Both) -> None:
    of_local, of_ray = (
        {(one.key, one.settings_hash): one.value for one in found.records}
        for found in (both.local, both.ray)
    )
    assert {one.task for one in both.local.records} == {"random", "rotation", "supervised"}
    assert of_ray == of_local


@pytest.mark.slow
def test_progress_and_what_the_cluster_has_are_told(both: Both) -> None:
    told = [event["told"] for event in both.events if event["kind"] == "cell_told"]
    kinds = {one[0]["kind"] for one in told if len(one) == 1}
    assert {"start", "step", "end"} <= kinds
    [sentence] = [event["sentence"] for event in both.events if event["kind"] == "cluster"]
    assert sentence == "Ray: 1 node, 2 cells at once of 1 CPU"


@pytest.mark.slow
def test_a_cell_that_fails_on_ray_is_told_with_its_log(both: Both) -> None:
    assert set(both.ray.problems) == {"Fails-0", "Fails-0-classify"} == set(both.local.problems)
    problem = both.ray.problems["Fails-0"]
    assert "planted" in problem
    log = both.ray.folder / "logs" / "Fails-0.log"
    assert str(log) in problem
    assert "Traceback" in log.read_text()


def cells(folder: Path) -> list[psutil.Process]:
    """Cells whose relative paths begin in `folder`."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "hotstart.league.cell" in one.cmdline() and one.cwd() == str(folder):
                found.append(one)
    return found


@pytest.mark.slow
def test_a_lost_worker_ends_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its process ends with it; on standard output nothing of it is to be read."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.chdir(tmp_path)
    (tmp_path / league.LOCK).write_text("this league")
    executor = RayExecutor(tmp_path / "logs", tmp_path / league.LOCK, workers=1)
    try:
        settings = {"data": "digits:", "task": "rotation", "steps": 100000, "out": "run"}
        executor.start(Cell("one", "one", "pretrain", settings))
        assert isinstance(executor.wait(), Told)
        [cell] = cells(tmp_path)
        worker = cell.parent()
        assert worker is not None
        worker.kill()
        heard: Told | Ended = Told("one", [])
        while isinstance(heard, Told):
            heard = executor.wait()
        assert "its node or its Ray worker was lost" in str(heard.problem)
        eventually(lambda: not cells(tmp_path))
    finally:
        executor.stop()
    assert not ray.is_initialized()
    assert capfd.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_driver_leaves_nothing_behind(tmp_path: Path, by: signal.Signals) -> None:
    words = [sys.executable, "-m", "hotstart", "compare", "digits:", "--tasks", "rotation"]
    words += ["--seeds", "1", "--steps", "100000", "--executor", "ray", "--workers", "1", "--json"]
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    driver = subprocess.Popen(
        [*words, "--out", "league"],
        cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored by all that they begin.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        eventually(lambda: cells(tmp_path) or driver.poll() is not None)
        everyone = psutil.Process(driver.pid).children(recursive=True)
    finally:
        driver.send_signal(by)
    said, complained = driver.communicate()
    assert said == ""
    assert "Traceback" not in complained
    eventually(lambda: not cells(tmp_path))
    _, alive = psutil.wait_procs(everyone, timeout=PATIENCE_SECONDS)
    assert not alive
    assert len(everyone) > 2, "Ray's own were among them"
