"""What one may ask of the world, and what is said where one may not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hotstart import api
from hotstart.errors import UsageError
from hotstart.world import engines
from hotstart.world.asked import parse_world


def test_what_is_not_said_has_its_default_and_the_text_says_all() -> None:
    short = parse_world("world:images?n=7")
    assert (short.n, short.size, short.seed) == (7, 64, 0)
    assert parse_world(short.text) == short
    assert "frames" not in short.text
    clips = parse_world("world:videos?seed=3&frames=5")
    assert (clips.seed, clips.frames) == (3, 5)
    assert parse_world(clips.text) == clips


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("world:", "world:images"),
        ("world:image?n=1", "nearest: images"),
        ("world:images?m=1", "no setting 'm'"),
        ("world:images?n=0", "greater than or equal to 1, got '0'"),
        ("world:images?n=many", "got 'many'"),
        ("world:images?n", "name=value"),
        ("world:images?n=1&n=2", "twice"),
        ("world:images?frames=4", "a setting of world:videos"),
        ("world:objects?hz=4", "not of world:objects"),
        ("world:images?kind=videos", "before the ?"),
    ],
)
def test_a_world_that_there_is_not_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match="world") as error:
        parse_world(text)
    assert told in str(error.value)


def test_other_settings_and_other_engines_are_other_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    world = parse_world("world:images?n=5")
    assert world.fingerprint != parse_world("world:images?n=5&seed=1").fingerprint
    before = world.fingerprint
    monkeypatch.setattr(engines, "versions", lambda: "mujoco 0, mitsuba 0")
    assert world.fingerprint != before


@pytest.mark.parametrize("name", engines.PACKAGES)
def test_without_an_engine_one_sentence_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    load = getattr(engines, name)
    load.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'hotstart\[world\]'"):
        api.render("world:images?n=1&size=16", tmp_path, processes=1)
    load.cache_clear()
