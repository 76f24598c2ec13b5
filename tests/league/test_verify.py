"""Status by the rules of evidence: each rule, when broken, takes `verified` away."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from hotstart.downstream.predictions import ClassPredictions
from hotstart.league.arena import Standing, Who
from hotstart.league.predictions import write_predictions
from hotstart.league.records import Record, write_records
from hotstart.league.summary import league_statistics
from hotstart.league.verify import verify

ITEMS = 500
PICTURES = Record(
    task="random",
    encoder="resnet10_narrow",
    data="/somewhere/cifar10",
    downstream="classify",
    protocol="linear",
    stage="last",
    labels=1.0,
    split="val",
    seed=0,
    metric="top1",
    value=0.0,
    chance=0.1,
    data_fingerprints={"evaluate": "f"},
)


def league(folder: Path, right: dict[str, list[int]], **changes: object) -> Path:
    """Records and predictions. right: for each task and seed, how many of the first are right."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = np.arange(ITEMS, dtype=np.uint64)
    labels = np.zeros(ITEMS, np.int64)
    for task, counts in right.items():
        for seed, count in enumerate(counts):
            record = replace(
                PICTURES,
                task=task,
                seed=seed,
                value=count / ITEMS,
                settings_hash=f"{changes.get('variant', '')}{task}{seed:08d}",
                **changes,  # type: ignore[arg-type]
            )
            predicted = (np.arange(ITEMS) >= count).astype(np.int64)
            write_predictions(folder, record, ClassPredictions(hashes, labels, predicted))
            write_records(folder / "results.jsonl", [record])
    return folder


CONTROL = [200, 205, 210]
GOOD = {"random": CONTROL, "rotation": [300, 310, 320]}


def test_verified_with_evidence_and_without_anyone_s_path(tmp_path: Path) -> None:
    folder = league(tmp_path / "league", {**GOOD, "simclr": [199, 300, 300]})
    found = verify([folder])
    assert found["rotation"]["status"] == "verified"
    evidence = found["rotation"]["evidence"]
    assert evidence["gain"] == pytest.approx(105 / ITEMS)
    assert evidence["seeds"] == 3
    assert evidence["data"] == "cifar10"
    assert found["simclr"] == {"status": "runs"}, "it lost in one seed"
    assert set(found) == {"rotation", "simclr"}, "a control has no status"


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "test"},
        {"labels": 0.1},
        {"stage": 2},
        {"protocol": "knn"},
        {"data": "digits:"},
        {"data": "world:images?n=5000"},
        {"data": "/somewhere/made", "data_fingerprints": {"evaluate": "rendered-f"}},
        {"downstream": "segment"},
        {"downstream": "action", "metric": "top1_one_frame"},
    ],
)
def test_other_columns_are_no_evidence(changes: dict[str, object], tmp_path: Path) -> None:
    found = verify([league(tmp_path / "league", GOOD, **changes)])
    assert found.get("rotation", {"status": "runs"}) == {"status": "runs"}


def test_of_videos_clips_are_evidence_and_one_frame_is_none(tmp_path: Path) -> None:
    folder = league(tmp_path / "league", GOOD, downstream="action")
    better = {"random": CONTROL, "rotation": [350, 360, 370]}
    league(folder, better, downstream="action", metric="top1_one_frame")
    assert verify([folder])["rotation"]["evidence"]["gain"] == pytest.approx(105 / ITEMS)


@pytest.mark.parametrize(
    "right",
    [
        {"random": CONTROL[:2], "rotation": [300, 310]},
        {"random": CONTROL, "rotation": [201, 206, 211]},
    ],
    ids=["two seeds", "a gain that chance explains"],
)
def test_too_little_is_no_evidence(right: dict[str, list[int]], tmp_path: Path) -> None:
    assert verify([league(tmp_path / "league", right)])["rotation"] == {"status": "runs"}


def test_records_alone_need_the_statistics_that_were_made_with_predictions(tmp_path: Path) -> None:
    """Resampling three seeds alone says p = 0.0001 to whoever wins three times."""
    folder = league(tmp_path / "league", GOOD)
    told = json.dumps(asdict(league_statistics(folder)))
    for file in (folder / "predictions").iterdir():
        file.unlink()
    assert verify([folder])["rotation"] == {"status": "runs"}
    (folder / "statistics.json").write_text(told)
    assert verify([folder])["rotation"]["status"] == "verified"
    other = league(tmp_path / "other", {**GOOD, "rotation": [301, 310, 320]})
    for file in (other / "predictions").iterdir():
        file.unlink()
    (other / "statistics.json").write_text(told)
    assert verify([other])["rotation"] == {"status": "runs"}, "statistics of other records"


def test_variants_prove_nothing_and_take_nothing_away(tmp_path: Path) -> None:
    """A task below its own variants keeps its p; a variant has the p of a larger family."""
    right = {"random": CONTROL, "rotation": [201, 206, 211], "simclr": [300, 310, 320]}
    folder = league(tmp_path / "league", right)
    before = {one.who: one for one in standings(folder)}
    league(folder, {"rotation": [330, 340, 350]}, variant="all_four=false")
    assert verify([folder])["rotation"] == {"status": "runs"}
    after = {one.who: one for one in standings(folder)}
    assert {who: after[who] for who in before} == before
    varied = after[Who("rotation", "resnet10_narrow", "all_four=false")]
    smallest = 1 / 10_001
    assert after[Who("simclr", "resnet10_narrow")].p_holm == pytest.approx(2 * smallest)
    assert varied.p_holm == pytest.approx(3 * smallest)
    ranks = league_statistics(folder).mean_rank
    assert ranks == {"simclr": 1.0, "rotation": 2.0}, "nobody is ranked twice"


def standings(folder: Path) -> list[Standing]:
    return league_statistics(folder).arenas[0].columns[0].standings


def test_several_leagues_and_the_larger_gain(tmp_path: Path) -> None:
    small = league(tmp_path / "small", {"random": CONTROL, "rotation": [260, 265, 270]})
    assert verify([small, league(tmp_path / "large", GOOD)])["rotation"]["evidence"]["league"] == (
        "large"
    )
