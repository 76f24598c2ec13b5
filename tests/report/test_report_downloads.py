"""What the page lets its reader take along, and what it says of settings and of times."""

from __future__ import annotations

import base64
import csv
import gzip
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hotstart.league.records import Record, read_records, write_records
from hotstart.report.downloads import records_of, table_of
from hotstart.report.page import write_report
from hotstart.report.price import price_of
from hotstart.report.provenance import settings_of
from hotstart.report.reading import Reading, read
from hotstart.report.runs import read_runs

from .fake_leagues import write_league
from .fake_runs import HOSTILE, record, write_run


class Links(HTMLParser):
    """File -> bytes of every link that saves one."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "a" and "download" in told:
            _, _, text = (told["href"] or "").partition(";base64,")
            self.files[told["download"] or ""] = base64.b64decode(text, validate=True)


def reading_of(folder: Path) -> Reading:
    return read(read_runs(folder))


def write(folder: Path, *found: Record) -> Path:
    write_records(folder / "results.jsonl", found)
    return folder


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_record_of_every_run_is_in_the_page_once(tmp_path: Path) -> None:
    write_league(tmp_path / "runs", 2, panels=0, steps=30)
    merged = [r for path in sorted(tmp_path.rglob("results.jsonl")) for r in read_records(path)]
    write(tmp_path / "runs", *merged)
    files = Links(write_report(tmp_path / "runs")).files
    assert sorted(files) == ["league.csv", "results.jsonl.gz"]
    (tmp_path / "taken.jsonl").write_bytes(gzip.decompress(files["results.jsonl.gz"]))
    taken = read_records(tmp_path / "taken.jsonl")
    assert len(taken) == len(merged)
    assert {one.key: one for one in taken} == {one.key: one for one in merged}


def test_the_table_has_what_the_page_shows(tmp_path: Path) -> None:
    write_league(tmp_path, 2, predictions=True, panels=0, steps=30)
    reading = reading_of(tmp_path)
    assert reading.arena is not None
    rows = rows_of(table_of(reading))
    assert len(rows) == sum(map(len, reading.standings.arenas[reading.arena].values()))
    (row,) = [
        row
        for row in rows
        if (row["contender"], row["protocol"], row["labels"], row["stage"])
        == ("simclr", "linear", "1.0", "last")
    ]
    assert (row["control"], row["family"], row["seeds"]) == ("False", "Context, contrastive", "2")
    assert row["gain_over"] == "random"
    assert float(row["low"]) < float(row["gain"]) < float(row["high"])
    assert 0 < float(row["p"]) <= float(row["p_holm"]) <= 1
    assert float(row["seconds"]) == pytest.approx(61.7)
    found = [r for r in read_records(tmp_path / "simclr/seed0/results.jsonl") if r.stage == "last"]
    one = next(r for r in found if (r.protocol, r.labels) == ("linear", 1.0))
    other = next(
        r
        for r in read_records(tmp_path / "simclr/seed1/results.jsonl")
        if (r.protocol, r.labels, r.stage) == ("linear", 1.0, "last")
    )
    assert float(row["mean"]) == pytest.approx((one.value + other.value) / 2)
    early = next(row for row in rows if row["stage"] == "1" and row["contender"] == "simclr")
    assert early["mean"]
    assert early["low"] == early["p_holm"] == ""


def test_what_is_not_known_is_empty_and_names_run_nowhere(tmp_path: Path) -> None:
    write(
        tmp_path, record("=cmd|calc", 0, data="lone \ud800"), record(HOSTILE, 0, data="lone \ud800")
    )
    rows = rows_of(table_of(reading_of(tmp_path)))
    assert {row["contender"] for row in rows} == {"'=cmd|calc", HOSTILE}
    assert {row["gain"] for row in rows} == {row["deviation"] for row in rows} == {""}
    files = Links(write_report(tmp_path)).files
    assert b"lone ?" in files["league.csv"]
    assert len(gzip.decompress(files["results.jsonl.gz"]).splitlines()) == 2


def test_nothing_measured_nothing_to_take(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr", evaluated=False, panels=0)
    assert records_of(read_runs(tmp_path)) == ""
    assert Links(write_report(tmp_path)).files == {}


def test_settings_that_differ_stand_by_experiment_and_the_unusual_are_marked(
    tmp_path: Path,
) -> None:
    for task, batch in (("simclr", 512), ("rotation", 256), ("byol", 256)):
        for seed in range(2):
            folder = tmp_path / f"{task}-{seed}"
            write_run(folder, task, seed, panels=0, settings={"batch_size": batch})
    told = settings_of(reading_of(tmp_path))
    assert told.told == 6
    assert told.differing == ["seed", "batch_size"]
    assert dict(told.shared)["encoder"] == "resnet10_narrow"
    assert dict(told.shared)["task settings"] == "all_four True"
    values = {row.name: row.values for row in told.rows}
    assert values == {
        "simclr": [("0, 1", False), ("512", True)],
        "rotation": [("0, 1", False), ("256", False)],
        "byol": [("0, 1", False), ("256", False)],
    }


def test_one_run_has_nothing_that_differs(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr", panels=0)
    told = settings_of(reading_of(tmp_path))
    assert (told.differing, told.rows, dict(told.shared)["task"]) == ([], [], "simclr")


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"simclr": (60, 62), "rotation": (61, 61)}, "All tasks took about the same time"),
        ({"simclr": (300, 310), "rotation": (60, 62)}, "The tasks did not have the same time"),
        ({"simclr": (60, 240), "rotation": (61, 61)}, "do not tell who is cheap"),
    ],
)
def test_whether_times_are_alike_and_to_be_believed(
    tmp_path: Path, times: dict[str, tuple[int, int]], said: str
) -> None:
    write(
        tmp_path,
        *(
            record(task, seed, value=0.5, budget={"steps": 100, "seconds": spent})
            for task, pair in times.items()
            for seed, spent in enumerate(pair)
        ),
    )
    reading = reading_of(tmp_path)
    assert reading.arena is not None
    sentences = price_of(reading, reading.arena).sentences
    assert said in sentences[0]
    if "cheap" in said:
        assert "simclr took 60\u202fs to 4\u202fmin" in sentences[0]
        assert len(sentences) == 1
    if "not have" in said:
        assert "5.0 times as long as rotation" in sentences[0]


def test_costs_are_drawn_beside_each_other_and_random_costs_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        *(
            record(task, 0, budget={"steps": 10, "seconds": spent})
            for task, spent in (("simclr", 80), ("rotation", 20), ("random", 800))
        ),
    )
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert [part.split("%")[0] for part in text.split('class="amount" style="width:')[1:]] == [
        "100",
        "25",
    ]
