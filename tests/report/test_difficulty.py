"""Settings that a league swept: every value told apart, on its axis, and in true words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hotstart.league.records import read_records, write_records
from hotstart.league.statistics import holm
from hotstart.report.difficulty import Difficulty, difficulties
from hotstart.report.page import write_report
from hotstart.report.plot import plot
from hotstart.report.reading import Reading, main_question, read
from hotstart.report.runs import read_runs

from .fake_leagues import write_league
from .fake_runs import HOSTILE, record
from .fake_sweeps import GUARD, PERMUTATIONS, Came, write_contender, write_sweeps
from .test_report_page import Page


def reading_of(folder: Path) -> Reading:
    return read(read_runs(folder))


def swept(folder: Path, table: dict[Any, Came], setting: str = "permutations") -> Difficulty:
    """What the report says of one setting, of one seed."""
    write_sweeps(folder, {setting: table}, seeds=1, others=(), steps=3)
    (found,) = difficulties(reading_of(folder))
    return found


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweeps(tmp_path_factory.mktemp("sweeps"))


def test_the_section_is_there_with_sweeps_alone(league: Path, tmp_path: Path) -> None:
    page = Page(write_report(league))
    ids = [attributes.get("id") for attributes in page.all_of("section")]
    assert ids.index("difficulty") == ids.index("scores") - 1
    assert "jigsaw, permutations otherwise 100" in page.words
    plain = Page(write_report(write_league(tmp_path, 1)))
    assert "difficulty" not in {attributes.get("id") for attributes in plain.all_of("section")}


def test_every_value_is_a_contender_of_its_own_everywhere(league: Path) -> None:
    reading = reading_of(league)
    variants = [f"permutations={p}" for p in (2, 10, 1000)] + ["guard=false"]
    names = {"jigsaw", "rotation", *(f"jigsaw, {one}" for one in variants)}
    assert {reading.names[who] for who in reading.tasks} == names
    assert reading.arena is not None
    table = reading.standings.arenas[reading.arena]
    for who in reading.tasks:
        assert {cell.n for cell in table[who].values()} == {2}
        (own,) = reading.standings.pretext[who].values()
        assert own.n == 2
    words = Page(write_report(league)).words
    for section in ("scores", "training", "pictures"):
        assert f'id="{section}"' in (league / "report.html").read_text()
    assert words.count("jigsaw, permutations=1000") > 8


def test_merged_records_alone_tell_the_same(league: Path, tmp_path: Path) -> None:
    """As committed results are: no run folder, no setting but what the records say."""
    found = read_records(league / "results.jsonl")
    write_records(tmp_path / "results.jsonl", found)
    whole, merged = (difficulties(reading_of(folder)) for folder in (league, tmp_path))
    assert [one.title for one in merged] == [one.title for one in whole]
    for one, other in zip(whole, merged, strict=True):
        assert [c.values for c in one.charts] == [c.values for c in other.charts]
        assert other.plain == one.plain
    assert "Without predictions nobody can say" in merged[0].sentences[1]


def test_numbers_stand_on_a_logarithmic_axis_where_they_span_decades(league: Path) -> None:
    permutations, guard = difficulties(reading_of(league))
    own, gain = permutations.charts
    assert own.x_kind == "log"
    assert own.positions == ["2", "10", "100", "1,000"]
    assert dict(own.values)["jigsaw"][0] == "97.0"
    assert dict(own.values)["chance"] == ["50.0", "10.0", "1.0", "0.1"]
    places = [x for x, _ in plot(own, 200).lines[0].points]
    assert places[2] - places[1] == pytest.approx(places[3] - places[2])
    (line,) = gain.lines
    assert all(low is not None and low < y for y, low in zip(line.y, line.low, strict=True))
    assert gain.reference == (0.0, "")
    assert [chart.x_kind for chart in guard.charts] == ["category"] * 2
    for chart in guard.charts:
        assert chart.positions == ["false", "true"]
        assert {drawn.path for drawn in plot(chart, 200).lines} == {""}, "nothing joins dots"


def test_close_numbers_stand_on_a_linear_axis_with_round_ticks_if_crowded(tmp_path: Path) -> None:
    came = (0.5, 0.1, 0.1)
    wide = swept(tmp_path / "wide", {20: came, 100: came, 180: came}).charts[0]
    assert (wide.x_kind, wide.positions) == ("linear", ["20", "100", "180"])
    assert [text for _, text in plot(wide, 200).x_ticks] == ["20", "100", "180"]
    crowded = swept(tmp_path / "crowded", {96: came, 100: came, 180: came}).charts[0]
    assert crowded.positions == ["96", "100", "180"]
    assert "96" not in [text for _, text in plot(crowded, 200).x_ticks]


def test_a_value_between_the_ends_that_is_surely_best(league: Path) -> None:
    permutations, guard = difficulties(reading_of(league))
    own, transfer = permutations.sentences
    assert "from 97.0\u202f% (chance 50.0\u202f%) at permutations=2 to" in own
    assert own.endswith("At 1000 nothing better than chance was learnt in this budget.")
    assert transfer.startswith("Neither too hard nor too easy: the gain over random")
    assert "points at permutations=100, " in transfer
    assert "That is beyond chance" in transfer
    assert guard.sentences[0].endswith("guard=true; chance is 1.0\u202f%.")
    assert guard.sentences[1].startswith("guard=true serves best: ")
    assert guard.sentences[2].startswith("So guard=false is answered better and teaches less")


@pytest.mark.parametrize(
    ("gains", "lead", "surety"),
    [
        ((0.0, 0.1, 0.2), "The largest value serves best, and nothing beyond", "is beyond chance"),
        ((0.2, 0.1, 0.0), "The smallest value serves best, and nothing beyond", "is beyond chance"),
        ((0.1, 0.11, 0.1), "A value between the ends leads", "may be chance"),
        ((-0.2, -0.1, -0.2), "A value between the ends leads", "No value beats random"),
        ((-0.2, 0.01, -0.2), "A value between the ends leads", "random may be chance too"),
        ((0.1, 0.1), "All values serve alike: the gain over random", "points."),
    ],
)
def test_words_claim_no_more_than_the_numbers(
    tmp_path: Path, gains: tuple[float, ...], lead: str, surety: str
) -> None:
    values = (10, 100, 1000)
    table = {value: (0.5, 0.1, gain) for value, gain in zip(values, gains, strict=False)}
    _, transfer = swept(tmp_path, table).sentences
    assert transfer.startswith(lead)
    assert surety in transfer


def test_no_shortcut_is_claimed_where_chance_explains_it(tmp_path: Path) -> None:
    found = swept(tmp_path, {True: (0.4, 0.01, 0.1), False: (0.9, 0.01, 0.095)}, "guard")
    assert len(found.sentences) == 2
    assert "That may be chance" in found.sentences[1]


def test_leagues_of_other_budgets_are_not_mixed(tmp_path: Path) -> None:
    for steps in (3, 5):
        table = {value: PERMUTATIONS[value] for value in (10, 100)}
        write_sweeps(tmp_path / f"{steps}", {"permutations": table}, seeds=1, steps=steps)
        for file in (tmp_path / f"{steps}").glob("*/results.jsonl"):
            found = [
                replace(r, settings_hash=f"{steps}{r.settings_hash}") for r in read_records(file)
            ]
            file.unlink()
            write_records(file, found)
        (tmp_path / f"{steps}" / "results.jsonl").unlink()
    both = difficulties(reading_of(tmp_path))
    assert [one.title for one in both] == ["jigsaw, permutations"] * 2
    for one in both:
        assert one.charts[0].positions == ["10", "100"]


def test_budgets_in_minutes_come_to_other_steps_for_every_value(tmp_path: Path) -> None:
    for steps, (value, came) in enumerate(GUARD.items(), 3):
        variant = None if value else "guard=false"
        write_contender(tmp_path, "jigsaw", variant, came, steps=steps)
    (found,) = difficulties(reading_of(tmp_path))
    assert found.charts[0].positions == ["false", "true"]


def test_what_was_asked_for_and_is_missing_is_named_in_full(tmp_path: Path) -> None:
    write_sweeps(tmp_path, {"permutations": PERMUTATIONS}, seeds=1, steps=3)
    found = [r for r in read_records(tmp_path / "results.jsonl") if r.variant != "permutations=10"]
    for file in (tmp_path / "results.jsonl", tmp_path / "jigsaw-permutations=10-0/results.jsonl"):
        file.unlink()
    write_records(tmp_path / "results.jsonl", found)
    words = Page(write_report(tmp_path)).words
    assert "without any result: jigsaw, permutations=10 (seed 0)." in words


def test_variants_have_no_part_in_what_is_said_of_the_tasks(league: Path) -> None:
    words = Page(write_report(league)).words
    assert "Both tasks gain over random beyond chance" in words
    assert "jigsaw wins: " in words
    reading = reading_of(league)
    assert reading.arena is not None
    question = main_question(reading.standings, reading.arena)
    gains = {who: reading.evidence.gain(reading.arena, who, question) for who in reading.tasks}
    raw = {who: gain.paired.p for who, gain in gains.items() if gain and gain.paired}
    told = {who: gain.p for who, gain in gains.items() if gain}
    everyone, tasks = holm(raw), holm({who: p for who, p in raw.items() if who.plain})
    assert len(tasks) == 2 < len(everyone) == 6
    assert told == {**everyone, **tasks} != everyone


def test_damaged_and_hostile_variants(tmp_path: Path) -> None:
    odd = {"variant": f"{HOSTILE}={HOSTILE}", "settings_hash": "odd", "value": 0.6}
    found = [record("simclr", 0), record("simclr", 0, **odd), record("random", 0, value=0.4)]
    found += [record("simclr", 0, **{**odd, "variant": "no value", "settings_hash": "none"})]
    write_records(tmp_path / "results.jsonl", found)
    with (tmp_path / "results.jsonl").open("a", encoding="utf-8") as file:
        line = (tmp_path / "results.jsonl").read_text().splitlines()[0]
        file.write(line.replace('"variant": null', '"variant": [1]') + "\n")
    page = Page(write_report(tmp_path))
    assert "1 line(s) of results.jsonl left out: the variant of simclr is no text" in page.words
    assert "simclr, no value" in page.words
    assert not any("alert" in script for script in page.scripts)
