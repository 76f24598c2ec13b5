"""What a person reads while a run goes on."""

from __future__ import annotations

import pytest

from hotstart.progress import RunDisplay


@pytest.mark.parametrize(
    ("metric", "value", "trivial", "told"),
    [
        ("accuracy", 0.5, 0.25, "accuracy on held-out pictures: 0.500 (chance 0.250)"),
        ("psnr_db", 18.25, 16.5, "held-out pictures: 18.25 dB (trivial answer 16.50 dB)"),
        ("psnr_db", 18.25, None, "held-out pictures: 18.25 dB after"),
    ],
)
def test_the_score_beside_what_costs_nothing(
    metric: str, value: float, trivial: float | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"kind": "end", "metric": metric, "value": value, "trivial": trivial, "seconds": 3.0}
    RunDisplay().event(event)
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_among_how_many_the_right_one_was_sought(capsys: pytest.CaptureFixture[str]) -> None:
    other = {"metric": "sound_recall5", "value": 0.25, "trivial": 0.125, "among": [40, 40]}
    event = {"kind": "end", "metric": "accuracy", "value": 0.5, "trivial": 0.5, "seconds": 3.0}
    RunDisplay().event({**event, "others": [other]})
    told = capsys.readouterr().err.replace("\n", " ")
    assert "sound_recall5 among 40: 0.250 (chance 0.125)" in told


def test_what_is_passed_over_is_said_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    event = {
        "kind": "start",
        "task": "sound_prediction",
        "encoder": "resnet10_narrow",
        "data": "clips/",
        "images": 30,
        "total_steps": 10,
        "batch_size": 8,
        "machine": "cpu",
        "passed_over": {"audio": 3, "pose": 1},
    }
    RunDisplay().event(event)
    told = capsys.readouterr().err
    assert "passed over: 3 items without sound\n" in told
    assert "passed over: 1 item without camera poses\n" in told
