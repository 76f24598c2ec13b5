"""Recipes run as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotstart.pretext.registry import TASKS
from hotstart.training.folder import read_settings

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_headed_by_its_command_and_names_what_exists(recipe: Path) -> None:
    first = recipe.read_text().splitlines()[0]
    assert first.startswith("# hotstart pretrain ")
    assert f"--config recipes/{recipe.name}" in first
    settings = read_settings(recipe)
    assert settings["task"] in TASKS
    assert "data" not in settings
