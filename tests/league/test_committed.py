"""What is committed under docs/results says what its records say; nothing is typed in by hand."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from hotstart.downstream.search import search_ended
from hotstart.league.measured import MARKED, read_leagues, rewritten
from hotstart.league.records import read_records
from hotstart.league.table import markdown
from hotstart.league.verify import verify

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGES = sorted((RESULTS.parent / "tasks").glob("*.md"))
LEAGUES = sorted(path.parent for path in RESULTS.glob("*/statistics.json"))


def test_status_is_what_the_committed_leagues_prove() -> None:
    shipped = json.loads(files("hotstart.league").joinpath("status.json").read_text())
    assert shipped == json.loads(json.dumps(verify(LEAGUES)))
    assert shipped


@pytest.mark.parametrize("folder", LEAGUES, ids=lambda folder: folder.name)
def test_table_and_statistics_are_those_of_the_records(folder: Path) -> None:
    statistics = json.loads((folder / "statistics.json").read_text())
    assert (folder / "table.md").read_text() == markdown(statistics)
    records = {
        (
            *(r.task, r.variant, r.encoder, r.data, r.protocol),
            *(r.labels, str(r.stage), r.split, r.metric, r.seed),
        ): r.value
        for r in read_records(folder / "results.jsonl")
    }
    told = 0
    for arena in statistics["arenas"]:
        for column in arena["columns"]:
            for one in column["standings"]:
                for seed, value in one["values"].items():
                    # `scratch` is the same network at random, trained as `finetune` trains.
                    scratch = one["task"] == "scratch"
                    protocol = "scratch" if scratch else column["protocol"]
                    who = ("random" if scratch else one["task"], one.get("variant"), one["encoder"])
                    asked = (
                        *(arena["data"], protocol, column["labels"]),
                        *(str(column["stage"]), arena["split"], arena["metric"]),
                    )
                    assert records[(*who, *asked, int(seed))] == value
                    told += 1
    assert told == sum(r.downstream != "pretext" for r in read_records(folder / "results.jsonl"))


def test_a_known_rate_counts_where_todays_search_would_have_ended() -> None:
    def ended(folder: str) -> set[bool]:
        records = read_records(RESULTS / folder / "results.jsonl")
        return {search_ended(r.detail) for r in records if r.protocol in ("finetune", "scratch")}

    assert ended("cifar10-regimes") == {True}
    assert ended("cifar10-hot-start") == {False}, "two rates, the better one at the edge"


@pytest.mark.parametrize("folder", LEAGUES, ids=lambda folder: folder.name)
def test_every_result_has_its_command(folder: Path) -> None:
    assert "hotstart " in (folder / "README.md").read_text()


def test_pages_tell_what_the_committed_leagues_measured() -> None:
    leagues = read_leagues(RESULTS)
    assert sum(len(MARKED.findall(page.read_text())) for page in PAGES) >= len(PAGES) / 2
    for page in PAGES:
        assert rewritten(page.read_text(), leagues, "../results") == page.read_text(), (
            f"{page.name}: run `python -m hotstart.league.measured docs/results docs/tasks`"
        )


def test_the_page_of_regimes_tells_what_its_league_measured() -> None:
    statistics = json.loads((RESULTS / "cifar10-regimes" / "statistics.json").read_text())
    told = {
        (one["task"], one.get("variant"), column["labels"]): f"{one['mean']:.3f} "
        f"± {one['deviation']:.3f}"
        for column in statistics["arenas"][0]["columns"]
        if (column["protocol"], column["stage"]) == ("linear", "last")
        for one in column["standings"]
    }
    for column in statistics["arenas"][0]["columns"]:
        if column["protocol"] == "finetune":
            for one in column["standings"]:
                start = None if one["task"] == "scratch" else "fine-tuned"
                told[one["task"], start, column["labels"]] = f"{one['mean']:.3f}"
    page = (RESULTS.parent / "regimes.md").read_text()
    shown = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[2].startswith("`"):
            task, _, variant = cells[2].removeprefix("`").partition("`")
            for share, cell in zip((0.01, 0.1, 1.0), cells[3:], strict=True):
                shown[task, variant.removeprefix(", ") or None, share] = cell
    assert shown == told
