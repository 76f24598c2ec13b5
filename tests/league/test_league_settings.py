"""What is asked of a league is looked at before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest

from hotstart.errors import UsageError
from hotstart.league.settings import check


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tasks": ["rotatoin"]}, "nearest: rotation"),
        ({"tasks": ["rotation", "rotation"]}, "more than once"),
        ({"task_settings": {"simclr": {"temprature": 1}}}, "nearest: temperature"),
        ({"task_settings": {"jigsaw": {"grid": 3}}}, "the tasks here are"),
        ({"on": ["clasify=photos"]}, "nearest: classify"),
        ({"labels": [1.5]}, "a share above 0"),
        ({"minutes": 1.0}, "one budget"),
        ({"seeds": [0, 0]}, "different whole numbers"),
    ],
)
def test_a_wrong_word_is_answered_before_anything_is_opened(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        check({"tasks": ["rotation", "simclr"], "steps": 2, "data": "/nowhere", **wrong})
