"""From an encoder and labelled pictures to records, with its controls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from hotstart.config import Protocol, Split
from hotstart.data import Dataset
from hotstart.data.draws import Draws
from hotstart.downstream import Outcome, Progress, classify, recalibrate_batchnorm
from hotstart.encoders import build_encoder
from hotstart.errors import UsageError
from hotstart.league.map import write_maps
from hotstart.league.pretraining import pretext_record, run_hash
from hotstart.league.rebuild import rebuild_task
from hotstart.league.records import Record, settings_hash, write_records
from hotstart.league.subject import Subject
from hotstart.league.versions import versions
from hotstart.training import folder as files
from hotstart.training.train import heldout_batches

PREDICTIONS = "predictions"


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
    if on == "pretext":
        records = [_pretext(subject, dataset, device)]
    else:
        records = []
        for contender, asked in _contenders(subject, dataset, protocols, controls):
            contender.encoder.to(device)
            if contender.task == "random":
                recalibrate_batchnorm(contender.encoder, dataset, dataset.indices("train"))
            outcomes = classify(
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
                record = _record(contender, dataset, outcome)
                records.append(record)
                if subject.run is not None:
                    _keep(subject.run, record, outcome)
        if subject.run is not None:
            # Never the test split's pictures: a map is looked at again and again.
            shown = dataset.indices("val")
            write_maps(
                subject.run,
                subject.encoder,
                dataset,
                shown[dataset.labels[shown] >= 0],
                task=subject.task,
                split="val",
                seed=subject.seed,
                device=device,
                labels=True,
            )
    if subject.run is not None:
        write_records(subject.run / files.RESULTS, records)
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


def _record(subject: Subject, dataset: Dataset, outcome: Outcome) -> Record:
    settings = subject.settings
    if settings:
        pretrained = run_hash(settings, subject.fingerprints.get("pretrain", ""))
    else:
        pretrained = subject.encoder.spec.model_dump_json()
    return Record(
        task=subject.task,
        encoder=subject.encoder.spec.name,
        data=dataset.name,
        downstream="classify",
        protocol=outcome.protocol,
        stage=outcome.stage,
        labels=outcome.labels,
        split=outcome.split,
        seed=outcome.seed,
        metric=outcome.metric,
        value=outcome.value,
        chance=outcome.chance,
        settings_hash=settings_hash(
            {"encoder": pretrained, "encoder_seed": subject.seed, "data": dataset.fingerprint}
        ),
        data_fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
        budget=subject.budget,
        detail=outcome.detail,
        versions=versions(),
    )


def _keep(run: Path, record: Record, outcome: Outcome) -> None:
    """Write the prediction for every item, for paired comparison."""
    folder = run / PREDICTIONS
    folder.mkdir(exist_ok=True)
    name = "-".join(
        str(part)
        for part in (record.task, record.downstream, record.protocol, record.stage)
        + (f"{record.labels:g}", record.split, record.seed)
    )
    safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
    predictions = outcome.predictions
    np.savez_compressed(
        folder / f"{safe}.npz",
        hashes=predictions.hashes,
        labels=predictions.labels,
        predicted=predictions.predicted,
    )


def _note_test_read(run: Path, data: str, seed: int) -> None:
    """Nobody reads a test split twice unnoticed: each read is a line of `log.jsonl`."""
    event = {"kind": "test_read", "time": round(time.time(), 3), "data": data, "seed": seed}
    with (run / files.LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def _pretext(subject: Subject, dataset: Dataset, device: torch.device) -> Record:
    """The run's own pretext metric on the pictures of `dataset`, none of them trained on."""
    if subject.run is None:
        raise UsageError("--on pretext needs a run folder: its heads are in the checkpoint")
    rebuilt = rebuild_task(subject.run, dataset)
    task, settings = rebuilt.task.to(device), rebuilt.settings
    rng = Draws(settings.seed, 0, total=1, names=("score",))
    asked = heldout_batches(rebuilt.material, tuple(task.needs), device)
    score = task.score(asked, rng)
    return pretext_record(
        settings,
        score,
        data=dataset.name,
        split="heldout" if rebuilt.own_pictures else "all",
        fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
        budget=subject.budget,
    )
