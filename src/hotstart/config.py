"""Frozen settings: an unknown key is an error that lists the valid ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hotstart.errors import UsageError

Stem = Literal["auto", "timm", "small"]
Split = Literal["val", "test"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
ContentHash = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
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

    `where` names the values' place for the reader ("rotation", "run.toml"). A nested table changes
    what it names and leaves the rest of that setting's default.
    """
    merged = dict(values)
    for key, value in values.items():
        if key not in cls.model_fields:
            raise UsageError(f"{where}: no setting {key!r}; {nearest(key, cls.model_fields)}")
        default = cls.model_fields[key].default
        if isinstance(default, Settings) and isinstance(value, Mapping):
            merged[key] = parse(type(default), {**default.model_dump(), **value}, f"{where}.{key}")
    try:
        return cls(**merged)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}, got {item['input']!r}"
            for item in error.errors()
        )
        raise UsageError(f"{where}: {problems}") from None


class PretrainSettings(Settings):
    """Everything that decides how a run goes; `run.toml` holds them and `--config` reads them."""

    data: str
    task: str
    encoder: str
    size: int = Field(ge=8)
    """Picture side in pixels."""
    stem: Literal["timm", "small"]
    seed: int = Field(default=0, ge=0)
    steps: int | None = Field(default=None, ge=1)
    """Steps to train; it counts as soon as it is known, however the budget was given."""
    epochs: float | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0)
    batch_size: int = Field(ge=2)
    """Rows of the global batch, over all processes."""
    optimizer: Literal["sgd", "adamw", "lars"] | None = None
    """None, here and below: what the task itself has found to be good."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak, for a batch of 256."""
    weight_decay: float | None = Field(default=None, ge=0)
    warmup: float | None = Field(default=None, ge=0, lt=1)
    """Share of the run."""
    precision: Precision = "32-true"
    accelerator: str = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    compile: Literal["auto", "on", "off"] = "auto"
    """`torch.compile` of the encoder; auto: on a GPU, where the run is long enough to earn it."""
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    label: str | None = None
    group: str | None = None
    audio_offset_seconds: float = 0.0
    """By how much the sound of videos comes after the frames that it belongs to."""
    real: str | None = None
    """Real pictures that are read beside rendered ones."""
    init: str | None = None
    """Weights to begin with: a run, or whatever else `evaluate` takes. None: random ones."""
    init_digest: ContentHash | None = None
    """Which weights these were."""
    exclude: tuple[ContentHash, ...] | None = None
    """Items that are left out, told by content: those that are in another set's test split."""
    task_settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """One table for each task: `{"rotation": {"all_four": True}}`."""
    variant: str | None = None
    """What its records call it beside others of the same task, as `permutations=10`."""

    @property
    def optimiser_changes(self) -> dict[str, Any]:
        """What the user asked to be other than the task's own defaults."""
        asked = {
            "name": self.optimizer,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "warmup": self.warmup,
        }
        return {name: value for name, value in asked.items() if value is not None}


__all__ = ["Field", "PretrainSettings", "Protocol", "Settings", "Split", "Stem", "nearest", "parse"]
