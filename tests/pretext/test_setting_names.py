"""Names of settings without torch are those of the classes."""

from __future__ import annotations

import pytest

from hotstart.pretext.registry import TASKS, task_class
from hotstart.pretext.setting_names import setting_names


@pytest.mark.parametrize("task", TASKS)
def test_names_from_the_source_are_those_of_the_class(task: str) -> None:
    names = setting_names(task)
    assert names is not None
    assert sorted(names) == sorted(task_class(task).Settings.model_fields)


def test_of_a_third_party_s_class_nothing_is_said() -> None:
    assert setting_names("package.module:Class") is None
