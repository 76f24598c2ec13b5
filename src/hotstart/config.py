"""Frozen settings: an unknown key is an error that lists the valid ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hotstart.errors import UsageError

Stem = Literal["auto", "timm", "small"]
Split = Literal["val", "test"]
Protocol = Literal["knn", "linear", "finetune", "scratch"]


class Settings(BaseModel):
    """Base of every settings class: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=Settings)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed names, the nearest ones first, for an error message."""
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    head = f"nearest: {', '.join(close)}; " if close else ""
    return f"{head}valid: {', '.join(names)}"


def parse(cls: type[SettingsT], values: Mapping[str, Any], where: str) -> SettingsT:
    """`cls(**values)`, its complaints turned into one `UsageError`.

    `where` names the values' place for the reader ("rotation", "run.toml").
    """
    for key in values:
        if key not in cls.model_fields:
            raise UsageError(f"{where}: no setting {key!r}; {nearest(key, cls.model_fields)}")
    try:
        return cls(**values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}, got {item['input']!r}"
            for item in error.errors()
        )
        raise UsageError(f"{where}: {problems}") from None


__all__ = ["Field", "Protocol", "Settings", "Split", "Stem", "nearest", "parse"]
