"""From an encoder and labelled pictures to records, with its controls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from hotstart.config import Protocol, Split
from hotstart.data import Dataset
from hotstart.data.draws import Draws
from hotstart.downstream import (
    FROZEN,
    FinetuneSettings,
    Outcome,
    Progress,
    classify,
    recalibrate_batchnorm,
)
from hotstart.encoders import build_encoder
from hotstart.errors import UsageError
from hotstart.league.predictions import write_predictions
from hotstart.league.pretraining import material_of, pretext_record, run_hash
from hotstart.league.records import Record, settings_hash, write_records
from hotstart.league.subject import Subject
from hotstart.league.versions import versions
from hotstart.training import checkpoint
from hotstart.training import folder as files
from hotstart.training.train import build_task, heldout_batches

MEASURES: dict[str, Callable[..., Iterable[Outcome]]] = {"classify": classify}
"""How each downstream task is measured, by the name that `--on` gives it."""


def evaluate_subject(
    subject: Subject,
    dataset: Dataset,
    *,
    on: str,
    protocols: Sequence[Protocol],
    labels: Sequence[float],
    split: Split,
    seed: int,
    controls: bool,
    stages: bool,
    accelerator: str,
    listener: Progress | None = None,
) -> list[Record]:
    """Records of `subject` (then of its controls), each written as soon as it is known."""
    if split == "test" and subject.run is not None:
        _note_test_read(subject.run, dataset.name, seed)
    device = Fabric(accelerator=accelerator, devices=1).device
    records: list[Record] = []

    def keep(record: Record) -> None:
        records.append(record)
        if subject.run is not None:
            write_records(subject.run / files.RESULTS, [record])

    if on == "pretext":
        keep(_pretext(subject, dataset, device))
    else:
        for contender, asked in _contenders(subject, dataset, protocols, controls):
            contender.encoder.to(device)
            if contender.task == "random":
                recalibrate_batchnorm(contender.encoder, dataset, dataset.indices("train"))
            outcomes = MEASURES[on](
                contender.encoder,
                dataset,
                protocols=asked,
                labels=labels,
                split=split,
                seed=seed,
                device=device,
                stages=stages,
                progress=listener,
            )
            for outcome in outcomes:
                record = _record(contender, dataset, on, outcome)
                if subject.run is not None:
                    kept = outcome.predictions
                    write_predictions(subject.run, record, kept.hashes, kept.labels, kept.predicted)
                keep(record)
    return records


def _contenders(
    subject: Subject, dataset: Dataset, protocols: Sequence[Protocol], controls: bool
) -> Iterable[tuple[Subject, Sequence[Protocol]]]:
    """The subject, and with `controls` the same network at random, and trained from scratch."""
    yield subject, protocols
    if controls and subject.task != "random":
        spec = subject.encoder.spec
        at_random = Subject("random", build_encoder(spec, subject.seed), seed=subject.seed)
        own: list[Protocol] = [p for p in protocols if p in ("knn", "linear")]
        if "finetune" in protocols:
            own.append("scratch")
        yield at_random, own


def evaluation_hash(pretrained: str, encoder_seed: int, pictures: str, protocol: Protocol) -> str:
    """Equal for evaluations of the same encoder on the same pictures, in the same way.

    pretrained: `pretraining.run_hash` of its run; pictures: fingerprint of the labelled data.
    """
    values = {"encoder": pretrained, "encoder_seed": encoder_seed, "data": pictures}
    if protocol not in FROZEN:
        values["training"] = FinetuneSettings().model_dump_json()
    return settings_hash(values)


def _record(subject: Subject, dataset: Dataset, on: str, outcome: Outcome) -> Record:
    settings = subject.settings
    if settings:
        pretrained = run_hash(settings, subject.fingerprints.get("pretrain", ""))
    else:
        pretrained = subject.encoder.spec.model_dump_json()
    return Record(
        task=subject.task,
        encoder=subject.encoder.spec.name,
        data=dataset.name,
        downstream=on,
        protocol=outcome.protocol,
        stage=outcome.stage,
        labels=outcome.labels,
        split=outcome.split,
        seed=outcome.seed,
        metric=outcome.metric,
        value=outcome.value,
        chance=outcome.chance,
        settings_hash=evaluation_hash(
            pretrained, subject.seed, dataset.fingerprint, outcome.protocol
        ),
        data_fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
        budget=subject.budget,
        detail=outcome.detail,
        versions=versions(),
    )


def _note_test_read(run: Path, data: str, seed: int) -> None:
    """Nobody reads a test split twice unnoticed: each read is a line of `log.jsonl`."""
    event = {"kind": "test_read", "time": round(time.time(), 3), "data": data, "seed": seed}
    with (run / files.LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def _pretext(subject: Subject, dataset: Dataset, device: torch.device) -> Record:
    """The run's own pretext metric on the pictures of `dataset`, none of them trained on."""
    if subject.run is None or subject.settings is None:
        raise UsageError("--on pretext needs a run folder: its heads are in the checkpoint")
    settings = subject.settings
    saved = checkpoint.newest(subject.run / files.CHECKPOINTS)
    if saved is None:
        raise UsageError(f"{subject.run}: no checkpoint left, so the task's heads are gone")
    material = material_of(settings.task, dataset)
    own_pictures = subject.fingerprints.get("pretrain") == dataset.fingerprint
    if not own_pictures:
        material = replace(material, heldout=np.arange(len(dataset)))
    state = checkpoint.load(saved)
    # Buffers that grow with the training set (cluster assignments) keep that set's size.
    trained_on = replace(material, train=np.arange(int(state["items"])))
    task = build_task(settings, trained_on, settings.steps or 1)
    task.load_state_dict(state["task"])
    task.to(device).eval()
    rng = Draws(settings.seed, 0, total=1, names=("score",))
    score = task.score(heldout_batches(material, tuple(task.needs), device), rng)
    return pretext_record(
        settings,
        score,
        data=dataset.name,
        split="heldout" if own_pictures else "all",
        fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
        budget=subject.budget,
    )
