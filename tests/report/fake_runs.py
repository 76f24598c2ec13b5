"""Run folders as pretraining and evaluation leave them, with invented numbers and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image

from hotstart.downstream.predictions import ClassPredictions
from hotstart.league.predictions import write_predictions
from hotstart.league.records import Record, write_records

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)> </script> {{ 7*7 }} ß漢字🙂"""

STRENGTH = {
    "simclr": 0.14,
    "byol": 0.135,
    "deep_cluster": 0.11,
    "rotation": 0.09,
    "jigsaw": 0.07,
    "relative_position": 0.05,
    "inpainting": 0.03,
    "bigan": -0.01,
    "supervised": 0.3,
}
"""How far above random each task is in the linear probe with all labels."""
ITEMS = 500
LABELS = (0.01, 0.1, 1.0)
START = 1_760_000_000.0


def record(task: str, seed: int, **values: Any) -> Record:
    """A record of the linear probe with all labels, changed as asked."""
    told: dict[str, Any] = {
        "encoder": "resnet10_narrow",
        "data": "cifar10",
        "downstream": "classify",
        "protocol": "linear",
        "stage": "last",
        "labels": 1.0,
        "split": "val",
        "metric": "top1",
        "value": 0.5,
        "chance": 0.1,
        "settings_hash": f"{task}-{seed}",
        "data_fingerprints": {"pretrain": "aa11", "evaluate": "bb22"},
        "versions": {"python": "3.13.1", "torch": "2.15.0", "hotstart": "0.1.0"},
    }
    return Record(task=task, seed=seed, **{**told, **values})


def records(
    task: str,
    seed: int,
    *,
    labels: Sequence[float] = LABELS,
    protocols: Sequence[str] = ("knn", "linear", "finetune"),
    **values: Any,
) -> list[Record]:
    """Everything that one run and its evaluation write down; the control `random` has no score."""
    rng = np.random.default_rng([seed, len(task)])
    found = []
    budget = {"steps": 1200, "seconds": 61.2 + seed, "images": 307_200}
    if task != "random":
        own = {"value": 0.55 + rng.normal(0, 0.01), "chance": 0.25 if task == "rotation" else 0.004}
        found.append(
            record(
                task,
                seed,
                downstream="pretext",
                protocol=None,
                stage=None,
                labels=None,
                split="heldout",
                metric="accuracy",
                **{"budget": {**budget, "peak_memory_bytes": 1_234_567_890}, **own, **values},
            )
        )
        values = {"budget": {**budget, "peak_memory_bytes": 1_234_567_890}, **values}
    for share in labels:
        floor = 0.37 + 0.075 * math.log10(share)
        gain = STRENGTH.get(task, 0.0) * (1 + 0.15 * math.log10(1 / share))
        for protocol in protocols:
            extra = {"knn": -0.04, "linear": 0.0, "finetune": 0.12}[protocol]
            name = "scratch" if protocol == "finetune" and task == "random" else protocol
            stages: list[int | str] = ["last"]
            if protocol == "linear":
                stages = [1, 2, 3, 4, "last"]
            for stage in stages:
                depth = 4 if stage == "last" else int(stage)
                bend = (depth - 4) * (0.03 if task == "random" else 0.055 + gain / 5)
                value = floor + extra + gain + bend + rng.normal(0, 0.006)
                found.append(
                    record(
                        task,
                        seed,
                        protocol=name,
                        stage=stage,
                        labels=share,
                        **{
                            "value": min(max(value, 0.0), 1.0),
                            "detail": detail(name, value, share),
                            **values,
                        },
                    )
                )
    return found


def detail(protocol: str, value: float, share: float) -> dict[str, Any]:
    """What a protocol tells beside its value; fine-tuning its curve, which begins high or low."""
    told: dict[str, Any] = {"label_count": round(40_000 * share)}
    if protocol in ("finetune", "scratch"):
        slow = 120 if protocol == "scratch" else 25
        steps = [1, 2, 4, 8, 16, 32, 64, 128, 256, 400]
        asked = [0.1 + (value - 0.1) * (1 - math.exp(-(step + 3) / slow)) for step in steps]
        gaps = [(0.45 - value / 3) * (1 - math.exp(-step / 80)) for step in steps]
        told["curve"] = [
            {"step": step, "train": min(a + gap, 1.0), "asked": a}
            for step, a, gap in zip(steps, asked, gaps, strict=True)
        ]
    return told


def with_predictions(folder: Path, found: Sequence[Record]) -> list[Record]:
    """Keep an answer for each of `ITEMS` pictures behind each record of a last stage.

    Hard pictures are hard for everyone, so contenders differ less than by chance. The record's
    value becomes the share of right answers.
    """
    hashes = np.arange(ITEMS, dtype=np.uint64)
    labels = np.arange(ITEMS, dtype=np.int64) % 10
    ease = np.random.default_rng(7).normal(size=ITEMS)
    kept = []
    for number, one in enumerate(found):
        if one.downstream == "pretext" or one.stage != "last":
            kept.append(one)
            continue
        rng = np.random.default_rng([number, one.seed, len(one.task + (one.variant or ""))])
        right = np.zeros(ITEMS, dtype=bool)
        right[np.argsort(-ease - rng.normal(size=ITEMS))[: round(one.value * ITEMS)]] = True
        one = replace(one, value=float(right.mean()))
        answer = np.where(right, labels, (labels + 1) % 10)
        write_predictions(folder, one, ClassPredictions(hashes, labels, answer))
        kept.append(one)
    return kept


def write_run(
    folder: Path,
    task: str,
    seed: int = 0,
    *,
    steps: int = 300,
    finished: bool = True,
    collapsed: bool = False,
    resumed: bool = False,
    panels: int = 1,
    quarantine: Sequence[tuple[str, str]] = (),
    settings: dict[str, Any] | None = None,
    evaluated: bool = True,
    predictions: bool = False,
    **values: Any,
) -> Path:
    """A whole run folder; `values` are `records`'s."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "data": "cifar10",
        "task": task,
        "encoder": "resnet10_narrow",
        "size": 32,
        "stem": "small",
        "seed": seed,
        "steps": steps,
        "batch_size": 256,
        "precision": "32-true",
        "checkpoint_seconds": 60.0,
    }
    tables = {"run": {**told, **(settings or {})}, "task": {task: {"all_four": True}}}
    (folder / "run.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    write_log(folder / "log.jsonl", task, seed, steps, finished, collapsed, resumed)
    if evaluated:
        found = records(task, seed, **values)
        told_by = with_predictions(folder, found) if predictions else found
        write_records(folder / "results.jsonl", told_by)
    rows = "".join(f'"{path.replace(chr(34), chr(34) * 2)}",{why}\n' for path, why in quarantine)
    (folder / "quarantine.csv").write_text("path,reason\n" + rows, encoding="utf-8")
    for number in range(panels):
        write_panel(folder, f"sheet{number}", task)
    return folder


def write_log(
    path: Path, task: str, seed: int, steps: int, finished: bool, collapsed: bool, resumed: bool
) -> None:
    """A plausible training: a falling loss with noise, health checks, perhaps a diagnosis."""
    rng = np.random.default_rng([seed, steps, len(task)])
    first, trivial = {"rotation": (1.386, 0.25)}.get(task, (6.236, 0.002))
    events: list[dict[str, Any]] = [
        {
            "kind": "start",
            "task": task,
            "encoder": "resnet10_narrow",
            "data": "cifar10",
            "total_steps": steps,
            "batch_size": 256,
            "images": 47_500,
            "metric": "accuracy",
            "trivial": trivial,
        }
    ]
    last = steps if finished else steps // 2
    for step in range(last):
        done = step / steps
        warm = min(done / 0.05, 1.0)
        events.append(
            {
                "kind": "step",
                "step": step,
                "epoch": round(step / 185, 3),
                "loss": first * (0.55 + 0.45 * math.exp(-4 * done)) + rng.normal(0, 0.05),
                "learning_rate": 0.001 * warm * (1 + math.cos(math.pi * done)) / 2,
                "images_per_second": 5000.0,
                "seconds": 0.05 * step,
                "metrics": {
                    "accuracy": trivial + 0.3 * (1 - math.exp(-4 * done)) + rng.normal(0, 0.02)
                },
            }
        )
        if step % max(steps // 20, 1) == 0:
            rank = 1.2 if collapsed and done > 0.5 else 20 + 40 * done
            events.append(
                {
                    "kind": "health",
                    "step": step,
                    "effective_rank": rank,
                    "dimension_std": 0.9,
                    "dim": 256,
                }
            )
            if rank < 1.5:
                sentence = "The representation has collapsed: effective rank 1.2 of 256 dimensions."
                events.append({"kind": "diagnosis", "step": step, "message": sentence})
        if resumed and step == last // 2:
            events.append({"kind": "resume", "resumed_at": step - 10})
    if finished:
        events.append(
            {
                "kind": "end",
                "seconds": 61.2 + seed,
                "steps": steps,
                "images": steps * 256,
                "peak_memory_bytes": 1_234_567_890,
            }
        )
    lines = [json.dumps({**event, "time": START + i}) for i, event in enumerate(events)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_panel(
    folder: Path, name: str, task: str, *, title: str = "", caption: str = "", side: int = 128
) -> None:
    """A sheet of coloured noise, 5 columns by 3 rows of `side` pixels, and its words."""
    rng = np.random.default_rng(len(task) + len(name))
    (folder / "panels").mkdir(exist_ok=True)
    small = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
    sheet = Image.fromarray(small).resize((5 * side, 3 * side), Image.Resampling.BICUBIC)
    sheet.save(folder / "panels" / f"{name}.png")
    words = {
        "task": task,
        "title": title or f"What {task} sees",
        "caption": caption or "One row a picture; under each, what the task must say of it.",
        "columns": ["picture", "0°", "90°", "180°", "270°"],
        "kind": "views",
    }
    (folder / "panels" / f"{name}.json").write_text(json.dumps(words), encoding="utf-8")
