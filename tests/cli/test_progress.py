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
