"""Result records: one line of `results.jsonl` for each number that was measured."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hotstart.errors import DataError

CLASSES = {"miou": "iou", "ap": "per_class"}
"""Metrics that are a mean over classes, and under what name the detail has that of each class."""


@dataclass(frozen=True)
class Record:
    """One measured number and everything needed to believe it.

    Every key is always there; `None` where it has no meaning. `value` and `chance` are fractions
    in 0..1 for accuracies; other metrics keep their unit (dB for PSNR).
    """

    task: str
    """Pretext task, or `random`, `supervised` for the controls."""
    encoder: str
    data: str
    downstream: str
    """`classify`, `segment`, `detect`, `action`, or `pretext`."""
    protocol: str | None
    """`knn`, `linear`, `finetune`, `scratch`; None for `pretext`."""
    stage: str | int | None
    """`last`, or 1, 2, ... counted from the input."""
    labels: float | None
    """Share of the training labels used, 0.01 to 1."""
    split: str
    seed: int
    metric: str
    value: float
    chance: float | None
    variant: str | None = None
    """How its settings differ from the league's for that task, as `permutations=10`; None: not."""
    settings_hash: str = ""
    """Equal for two records made with the same settings on the same data."""
    data_fingerprints: dict[str, str] = field(default_factory=dict)
    """`pretrain` and `evaluate` data."""
    budget: dict[str, float | int | None] = field(default_factory=dict)
    """What pretraining spent: `steps`, `seconds`, `images`, `peak_memory_bytes`."""
    detail: dict[str, Any] = field(default_factory=dict)
    """What the measurement found on its way: chosen regularisation, label count, seconds."""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def by_class(self) -> dict[str, float | None]:
        """Of each class what `value` is the mean of; None for one that is nowhere.

        Empty where it is no mean over classes.
        """
        name = CLASSES.get(self.metric)
        told = self.detail.get(name) if name and isinstance(self.detail, dict) else None
        return dict(told) if isinstance(told, dict) else {}

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two records answers to the same question."""
        return (
            self.settings_hash,
            self.task,
            self.data,
            self.downstream,
            self.protocol,
            self.stage,
            self.labels,
            self.split,
            self.seed,
            self.metric,
        )


def settings_hash(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of a canonical JSON of `settings`."""
    canonical = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def read_records(path: Path) -> list[Record]:
    """All records of a `results.jsonl`, oldest first; an absent file has none.

    Raises DataError naming a line that holds no record.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_read(line, path, n) for n, line in enumerate(lines, 1) if line.strip()]


def _read(line: str, path: Path, number: int) -> Record:
    try:
        return Record(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}, line {number}: no record, as `hotstart evaluate` and `compare` write them "
            f"({error}); delete the line, and what it told will be measured again"
        ) from None


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Add `records` to `path`; one that answers the same question replaces the older answer.

    The file is replaced in one step, so a reader never sees half a line.
    """
    merged = {record.key: record for record in read_records(path)}
    for record in records:
        merged.pop(record.key, None)
        merged[record.key] = record
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        for record in merged.values():
            file.write(json.dumps(asdict(record)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
