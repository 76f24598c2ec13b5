"""What counts as the same experiment, the same data, the same measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotstart.league.records import Record, write_records
from hotstart.report.cells import Question
from hotstart.report.evidence import Evidence
from hotstart.report.runs import read_runs
from hotstart.report.standings import Standings, compute_standings, labels_of
from hotstart.report.ticks import scale

from .fake_runs import record, write_run

LINEAR = Question("linear", 1.0, "last")


def standings_of(folder: Path) -> Standings:
    return compute_standings(read_runs(folder))


def write(folder: Path, *records: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_records(folder / "results.jsonl", records)


def test_mean_deviation_and_paired_gain(tmp_path: Path) -> None:
    values = {"simclr": (0.50, 0.52, 0.57), "random": (0.40, 0.41, 0.39)}
    write(tmp_path, *(record(t, s, value=v) for t, vs in values.items() for s, v in enumerate(vs)))
    found = standings_of(tmp_path)
    (arena,) = found.arenas
    simclr = next(who for who in found.contenders if who.task == "simclr")
    cell, gain = found.cell(arena, simclr, LINEAR), Evidence(found).gain(arena, simclr, LINEAR)
    assert cell is not None
    assert gain is not None
    assert cell.mean == pytest.approx(0.53)
    assert cell.deviation == pytest.approx(0.036056, abs=1e-6)
    assert gain.mean == pytest.approx(0.13)
    assert gain.pairs == pytest.approx((0.10, 0.11, 0.18))


def test_a_record_that_two_folders_hold_counts_once(tmp_path: Path) -> None:
    write(tmp_path, record("simclr", 0), record("simclr", 1, value=0.6))
    write(tmp_path / "a" / "b", record("simclr", 0))
    (cells,) = next(iter(standings_of(tmp_path).arenas.values())).values()
    assert cells[LINEAR].n == 2


def test_random_beside_each_run_and_on_its_own_is_one_control(tmp_path: Path) -> None:
    for task in ("simclr", "rotation", "random"):
        run = write_run(tmp_path / task, task, evaluated=False)
        own = [] if task == "random" else [record(task, 0, value=0.5)]
        write(run, *own, record("random", 0, value=0.4, settings_hash=f"beside {task}"))
    table = next(iter(standings_of(tmp_path).arenas.values()))
    controls = [cells for who, cells in table.items() if who.role == "random"]
    assert [cells[LINEAR].n for cells in controls] == [1]


def test_other_pictures_of_the_same_name_are_another_table(tmp_path: Path) -> None:
    write(tmp_path / "a", record("simclr", 0, data_fingerprints={"evaluate": "11"}))
    write(tmp_path / "b", record("random", 0, data_fingerprints={"evaluate": "22"}))
    found = standings_of(tmp_path)
    assert len(found.arenas) == 2
    assert all(
        Evidence(found).gain(arena, who, LINEAR) is None
        for arena, t in found.arenas.items()
        for who in t
    )


def test_the_same_pictures_by_another_name_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, record("simclr", 0, data="photos"), record("random", 0, data="/x/photos/"))
    assert [arena.data for arena in standings_of(tmp_path).arenas] == ["photos"]


def test_a_budget_in_minutes_makes_one_experiment_whatever_the_steps(tmp_path: Path) -> None:
    for seed, steps in enumerate((300, 310)):
        write_run(tmp_path / f"{seed}", "simclr", seed, steps=steps, settings={"minutes": 1.0})
    table = next(iter(standings_of(tmp_path).arenas.values()))
    assert [cells[LINEAR].n for cells in table.values()] == [2]


def test_the_steps_that_a_budget_in_minutes_came_to_repeat_it(tmp_path: Path) -> None:
    write_run(tmp_path / "0", "simclr", 0, steps=300, settings={"minutes": 1.0})
    write_run(tmp_path / "1", "simclr", 1, steps=300)
    write_run(tmp_path / "2", "simclr", 2, steps=290)
    table = next(iter(standings_of(tmp_path).arenas.values()))
    assert [cells[LINEAR].n for cells in table.values()] == [2, 1]


def test_one_task_in_two_ways_is_two_contenders_named_by_what_differs(tmp_path: Path) -> None:
    for rate in (0.1, 0.3):
        settings = {"learning_rate": rate}
        run = write_run(tmp_path / f"{rate}", "simclr", settings=settings, evaluated=False)
        write(run, record("simclr", 0, value=rate, settings_hash=str(rate)))
    names = labels_of(standings_of(tmp_path).contenders).values()
    assert sorted(names) == ["simclr · learning_rate 0.1", "simclr · learning_rate 0.3"]


def test_fine_tuning_is_measured_against_scratch(tmp_path: Path) -> None:
    write(
        tmp_path,
        record("simclr", 0, protocol="finetune", value=0.7),
        record("random", 0, protocol="scratch", value=0.6),
        record("random", 0, value=0.4),
    )
    found = standings_of(tmp_path)
    (arena,) = found.arenas
    simclr = next(who for who in found.contenders if who.task == "simclr")
    gain = Evidence(found).gain(arena, simclr, Question("finetune", 1.0, "last"))
    assert gain is not None
    assert gain.mean == pytest.approx(0.1)
    assert gain.baseline.role == "scratch"


def test_another_network_is_no_control(tmp_path: Path) -> None:
    write(tmp_path, record("simclr", 0), record("random", 0, encoder="resnet18", value=0.4))
    found = standings_of(tmp_path)
    (arena,) = found.arenas
    assert all(Evidence(found).gain(arena, who, LINEAR) is None for who in found.contenders)


def test_a_resumed_run_shows_each_step_once(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr", steps=100, resumed=True)
    (run,) = read_runs(tmp_path)
    assert run.events("resume")
    before = [e["step"] for e in run.log[: run.log.index(run.events("resume")[0])] if "step" in e]
    assert max(before) == 39


def test_folders_deeper_than_three_levels_and_insides_of_runs_are_left_alone(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a" / "b" / "c", record("simclr", 0))
    write(tmp_path / "a" / "b" / "c" / "d", record("simclr", 1))
    write(tmp_path / "predictions", record("simclr", 2))
    assert [run.name for run in read_runs(tmp_path)] == ["a/b/c"]


@pytest.mark.parametrize("values", [[0.5], [0.224, 0.671], [0.0, 1.0], [-3.0, 40.0], [0.0]])
def test_a_scale_holds_its_values_between_round_ticks(values: list[float]) -> None:
    low, high, ticks = scale(values)
    assert low <= min(values) <= max(values) <= high
    assert low < high
    assert 2 <= len(ticks) <= 9
