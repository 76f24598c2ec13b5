"""From an encoder and labelled pictures to records, with its controls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from hotstart.config import Protocol, Split
from hotstart.data import Dataset
from hotstart.data.draws import Draws
from hotstart.downstream.features import recalibrate_batchnorm
from hotstart.downstream.outcome import Outcome, Progress
from hotstart.encoders import build_encoder
from hotstart.errors import UsageError
from hotstart.league.beginning import begun_with
from hotstart.league.map import write_maps
from hotstart.league.measures import MEASURES
from hotstart.league.predictions import write_predictions
from hotstart.league.pretraining import pretext_record, run_hash
from hotstart.league.rebuild import rebuild_task
from hotstart.league.records import Record, settings_hash, write_records
from hotstart.league.subject import Subject
from hotstart.league.versions import versions
from hotstart.training import folder as files
from hotstart.training.device import pick_device
from hotstart.training.heldout import HeldoutBatches


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
    device = pick_device(accelerator)
    records: list[Record] = []

    def keep(record: Record) -> None:
        records.append(record)
        if subject.run is not None:
            write_records(subject.run / files.RESULTS, [record])

    if on == "pretext":
        for record in _pretext(subject, dataset, device):
            keep(record)
    else:
        for contender, asked in _contenders(subject, dataset, protocols, controls):
            contender.encoder.to(device)
            if contender.task == "random" and contender.run is None:  # a run has done it already
                recalibrate_batchnorm(contender.encoder, dataset, dataset.indices("train"))
            outcomes = MEASURES[on].run(
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
                    write_predictions(subject.run, record, outcome.predictions)
                    if outcome.panel is not None and contender is subject:
                        files.write_panel(subject.run, subject.task, outcome.panel)
                keep(record)
        if subject.run is not None and not subject.part and MEASURES[on].maps:
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


def evaluation_hash(
    pretrained: str, encoder_seed: int, pictures: str, on: str, protocol: Protocol
) -> str:
    """Equal for evaluations of the same encoder on the same pictures, in the same way.

    pretrained: `pretraining.run_hash` of its run; pictures: fingerprint of the labelled data.
    """
    values = {"encoder": pretrained, "encoder_seed": encoder_seed, "data": pictures}
    training = MEASURES[on].training.get(protocol)
    if training is not None:
        values["training"] = training.model_dump_json()
    return settings_hash(values)


def _record(subject: Subject, dataset: Dataset, on: str, outcome: Outcome) -> Record:
    settings = subject.settings
    if settings:
        pretrained = run_hash(settings, subject.fingerprints.get("pretrain", "")) + subject.part
    else:
        pretrained = subject.encoder.spec.model_dump_json(exclude_none=True)
    if subject.encoder.kind == "audio" and dataset.audio_offset_seconds:
        pretrained += f" {dataset.audio_offset_seconds:g} s later"
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
        variant=settings.variant if settings else None,
        settings_hash=evaluation_hash(
            pretrained, subject.seed, dataset.fingerprint, on, outcome.protocol
        ),
        data_fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
        budget=subject.budget,
        detail={**outcome.detail, **(begun_with(settings) if settings else {})},
        versions=versions(),
    )


def _note_test_read(run: Path, data: str, seed: int) -> None:
    """Nobody reads a test split twice unnoticed: each read is a line of `log.jsonl`."""
    event = {"kind": "test_read", "time": round(time.time(), 3), "data": data, "seed": seed}
    with (run / files.LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def _pretext(subject: Subject, dataset: Dataset, device: torch.device) -> list[Record]:
    """The run's own pretext metric on the pictures of `dataset`, none of them trained on."""
    if subject.run is None:
        raise UsageError("--on pretext needs a run folder: its heads are in the checkpoint")
    rebuilt = rebuild_task(subject.run, dataset)
    task, settings = rebuilt.task.to(device), rebuilt.settings
    rng = Draws(settings.seed, 0, total=1, names=("score",))
    asked = HeldoutBatches(rebuilt.material, task.needs, device)
    score = task.score(asked, rng)
    if "audio" in task.needs:  # sound that comes otherwise is another question than the run's own
        changes = {"audio_offset_seconds": dataset.audio_offset_seconds}
        settings = settings.model_copy(update=changes)
    return [
        pretext_record(
            settings,
            one,
            data=dataset.name,
            split="heldout" if rebuilt.own_pictures else "all",
            fingerprints={**subject.fingerprints, "evaluate": dataset.fingerprint},
            budget=subject.budget,
        )
        for one in score.each
    ]
