"""The function behind `hotstart evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hotstart.config import PretrainSettings, Protocol, Split, Stem
from hotstart.data_names import check_data
from hotstart.errors import UsageError
from hotstart.league.kinds import DOWNSTREAM
from hotstart.league.records import Record

if TYPE_CHECKING:
    from hotstart.data import Dataset

Progress = Callable[[str, int, int], None]


def evaluate(
    subject: str | Path,
    *,
    data: str | None = None,
    on: str = "classify",
    protocols: Sequence[Protocol] = ("knn", "linear"),
    labels: Sequence[float] = (0.01, 0.1, 1.0),
    split: Split = "val",
    seed: int | None = None,
    controls: bool = False,
    stages: bool = True,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float | None = None,
    allow_leak: bool = False,
    ignore_index: Sequence[int] = (),
    class_names: Sequence[str] = (),
    accelerator: str = "auto",
    listener: Progress | None = None,
    caching: Progress | None = None,
    telling: Callable[[str], None] | None = None,
) -> list[Record]:
    """Measure what an encoder is worth on a downstream task; returns its records.

    subject: a run folder, `timm:NAME`, a file of weights, or `random`.
    data: labelled pictures; a run's own data by default. on: `classify`, `action` (videos),
    `segment` (pictures with label maps, see `data.masked`), `detect` (pictures with boxes, see
    `data.boxes`) or `pretext`. protocols: those that `on` knows count.
    labels: shares of the training labels, 0 < share <= 1. seed: draws the subset; the run's own.
    label, group, audio_offset_seconds: how `data` is read, see `open_dataset`; where a run is
    evaluated on its own data, as it was trained, unless said.
    controls: `random` (and `scratch`, where `finetune` is asked) on the same labels too.
    allow_leak: whether a picture (by its bytes) may be in two splits, or in the test split and in
    what the run was pretrained on; an error else.
    ignore_index, class_names: values of label maps that are no class, and names of the others.
    telling: called with each sentence on what was found in the data.
    A run's records are also written to its `results.jsonl`, predictions to `predictions/`, and what
    was left out of the data to `quarantine-<on>-<data>.csv`.
    """
    if on not in (*DOWNSTREAM, "pretext"):
        raise UsageError(f"--on {on!r}: valid are {', '.join(DOWNSTREAM)}, pretext")
    if on in DOWNSTREAM:
        protocols = DOWNSTREAM[on].known(on, protocols)
    check_data(data)
    from hotstart.league.evaluation import evaluate_subject
    from hotstart.league.found import tell_found
    from hotstart.league.measures import open_for
    from hotstart.league.subject import open_subject, reading_for
    from hotstart.league.trained_on import check_trained_on

    def read(data: str, size: int | None, run: PretrainSettings | None = None) -> Dataset:
        return open_for(
            on,
            data,
            size=size,
            allow_leak=allow_leak,
            ignore_index=ignore_index,
            class_names=class_names,
            progress=caching,
            **reading_for(run, data, label, group, audio_offset_seconds),
        )

    if data is not None and size is None and not (Path(subject) / "run.toml").exists():
        size = read(data, None).size
    opened = open_subject(str(subject), encoder, size, stem, seed or 0)
    source = data or (opened.settings.data if opened.settings else None)
    if source is None:
        raise UsageError("--data is missing: a folder of labelled pictures")
    dataset = read(source, opened.encoder.spec.size, opened.settings)
    if split == "test" and on in DOWNSTREAM and opened.run is not None:
        check_trained_on(opened.run, dataset, allowed=allow_leak)
    for sentence in tell_found(dataset, on, opened.run):
        if telling is not None:
            telling(sentence)
    return evaluate_subject(
        opened,
        dataset,
        on=on,
        protocols=protocols,
        labels=labels,
        split=split,
        seed=opened.seed if seed is None else seed,
        controls=controls,
        stages=stages,
        accelerator=accelerator,
        listener=listener,
    )
