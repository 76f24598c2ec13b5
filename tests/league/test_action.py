"""A league of videos: contenders that read pictures and clips meet on `action` and `classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

import hotstart
from hotstart.league.compare import Comparison, run_league
from hotstart.league.records import Record
from hotstart.league.settings import check
from tests.downstream.moving import write_actions
from tests.league.test_compare import Pretence

ONE_FRAME = "_one_frame"
pytestmark = pytest.mark.slow


class Here(Pretence):
    """Cells are run for real, in this process."""

    functions: ClassVar[dict[str, Any]] = {
        "pretrain": lambda **values: str(hotstart.pretrain(**values)) and None,
        "evaluate": lambda **values: hotstart.evaluate(**values) and None,
    }


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actions(tmp_path_factory.mktemp("actions"), each=10)


@pytest.fixture(scope="module")
def found(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    asked = check(
        {
            "data": str(videos),
            "tasks": ["rotation"],
            "on": ["action", "classify"],
            "encoder": "resnet10_narrow",
            "seeds": [0],
            "steps": 1,
            "batch_size": 8,
            "size": 32,
            "labels": [1.0],
            "stages": False,
        }
    )
    return run_league(asked, tmp_path_factory.mktemp("league"), executor=Here())


def measured(found: Comparison, **wanted: Any) -> list[Record]:
    return [r for r in found.records if all(getattr(r, k) == v for k, v in wanted.items())]


def test_every_number_has_its_controls_and_one_frame_beside_it(found: Comparison) -> None:
    assert found.problems == {}
    for task in ("random", "rotation", "supervised"):
        metrics = [(r.protocol, r.metric) for r in measured(found, task=task, downstream="action")]
        assert metrics == [
            (protocol, metric + end)
            for protocol, own in (("knn", ("recall1", "recall5")), ("linear", ("top1",)))
            for end in ("", ONE_FRAME)
            for metric in own
        ]


def test_an_image_encoder_sees_one_frame_as_classify_does(found: Comparison) -> None:
    for task in ("random", "rotation", "supervised"):
        (frame,) = measured(found, task=task, metric="top1" + ONE_FRAME)
        (picture,) = measured(found, task=task, downstream="classify", protocol="linear")
        assert frame.value == picture.value


def test_answers_are_kept_by_metric(found: Comparison) -> None:
    assert found.statistics is not None
    assert found.statistics.notes == []
    gains = [
        one.resampled
        for arena in found.statistics.arenas
        for column in arena.columns
        for one in column.standings
        if one.task != "random"
    ]
    assert set(gains) == {"items"}


def test_tasks_are_ranked_by_one_metric_a_protocol(found: Comparison) -> None:
    assert found.statistics is not None
    words = [column.split() for column in found.statistics.agreement.columns]
    assert {(w[0], w[-3], w[-2]) for w in words} == {
        ("action", "recall1", "knn"),
        ("action", "top1", "linear"),
        ("classify", "top1", "knn"),
        ("classify", "top1", "linear"),
    }
