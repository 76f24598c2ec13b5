"""Segmentation as a downstream task: a class for every pixel.

Protocols: `linear` reads the frozen encoder by 1x1 convolutions on its upsampled maps (stage
`last`: those of all stages together, as one convolution); `finetune` trains it on under a light
pyramid head, and `scratch` trains the same from random weights on the same labels.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.data.panel import Panel
from hotstart.downstream.linear import LinearProbe, fit_linear_probe
from hotstart.downstream.mask_pictures import mask_panel
from hotstart.downstream.outcome import Outcome, Progress, Stage, panel_names
from hotstart.downstream.pixel_probe import (
    PixelFeatures,
    ProbedMaps,
    draw_pixels,
    stage_columns,
)
from hotstart.downstream.pixels import Read, answer, best_constant, coarsest_stride, counting
from hotstart.downstream.predictions import MaskPredictions
from hotstart.downstream.search import train_with_best_rate
from hotstart.downstream.segment_task import SegmentTask, prepare
from hotstart.downstream.segmenter import (
    Segmenter,
    SegmentSettings,
    fit_segmenter,
    reader,
    segmented,
)
from hotstart.encoders.build import build_encoder
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]


def segment(
    encoder: Encoder,
    dataset: Dataset,
    *,
    protocols: Sequence[Protocol] = ("linear",),
    labels: Sequence[float] = (1.0,),
    split: Split = "val",
    seed: int = 0,
    device: torch.device | str = "cpu",
    stages: bool = True,
    settings: SegmentSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Mean IoU on `split` for each share of the training pictures and each protocol.

    dataset: a `MaskedDataset`; labels: shares of the pictures of its split `train`; stages: also a
    linear probe of every stage by itself. Pictures are read whole, with a short side of up to 240
    px; answers are counted in the resolution of the label maps. `seed` draws the pictures in use,
    the pixels, the folds, and where weights are trained, those. Settings are chosen within the
    pictures in use; `settings` are those of `finetune` and `scratch`. The encoder is left bit for
    bit as it was.

    `value` is the mean over classes of intersection over union, pixels of all pictures added up;
    `detail` has each class's (`iou`; null for one that is nowhere), `pixel_accuracy`, and how many
    pictures or annotations were left out. `chance` is what the best constant answer reaches.

    Raises UsageError for an argument that is not allowed, DataError for data without label maps,
    without pictures in a split, or with a class to be found that no picture to learn from has.
    """
    task = prepare(encoder, dataset, split, protocols, labels)
    device = torch.device(device)
    encoder = copy.deepcopy(encoder).to(device)

    def panel(protocol: Protocol, fraction: float, read: Read) -> Panel | None:
        if split != "val":
            return None
        with torch.inference_mode():
            return mask_panel(
                read,
                task.dataset,
                task.asked,
                coarsest_stride(encoder),
                device,
                **panel_names("segment", "Segmentation of", dataset, protocol, fraction),
            )

    for fraction in sorted(set(labels), reverse=True):
        items = task.subset(fraction, seed)

        def outcome(
            protocol: Protocol,
            stage: Stage,
            found: MaskPredictions,
            detail: dict[str, Any],
            read: Read,
            fraction: float = fraction,
        ) -> Outcome:
            return Outcome(
                protocol=protocol,
                stage=stage,
                labels=fraction,
                split=split,
                seed=seed,
                metric="miou",
                value=found.value("miou"),
                chance=best_constant(task.dataset, task.asked),
                predictions=found,
                detail={**task.described(found), **detail},
                panel=panel(protocol, fraction, read) if stage == "last" else None,
            )

        if "linear" in protocols:
            for stage, found, detail, read in _probe(
                encoder, task, items, seed=seed, device=device, stages=stages, progress=progress
            ):
                yield outcome("linear", stage, found, detail, read)
        for protocol in (one for one in protocols if one in ("finetune", "scratch")):
            start = encoder if protocol == "finetune" else build_encoder(encoder.spec, seed)
            found, detail, read = _train(
                start,
                task,
                items,
                protocol,
                settings=settings or SegmentSettings(),
                seed=seed,
                device=device,
                progress=progress,
            )
            yield outcome(protocol, "last", found, detail, read)


def _probe(
    encoder: Encoder,
    task: SegmentTask,
    items: Int64s,
    *,
    seed: int,
    device: torch.device,
    stages: bool,
    progress: Progress | None,
) -> Iterator[tuple[Stage, MaskPredictions, dict[str, Any], Read]]:
    """The answers of a linear probe of all stages together, then (`stages`) of each."""
    dataset = task.dataset
    told = counting(progress, f"pixels of {len(items)} pictures", len(items))
    drawn = draw_pixels(encoder, dataset, items, seed=seed, device=device, progress=told)
    parts = _folds(drawn, task.folds(items, seed))
    columns = stage_columns(encoder)
    wanted: list[Stage] = list(columns) if stages else ["last"]
    probes: dict[Stage, LinearProbe] = {}
    details: dict[Stage, dict[str, Any]] = {}
    for number, stage in enumerate(wanted, start=1):
        began = time.perf_counter()
        table = drawn.table[:, columns[stage]].to(device)
        probe = fit_linear_probe(table, drawn.labels.to(device), len(dataset.mask_classes), parts)
        probes[stage] = probe
        details[stage] = {
            "label_count": len(items),
            "pixels": len(table),
            "dim": table.shape[1],
            "penalty": probe.penalty,
            "inner_accuracy": probe.inner_accuracy,
            "seconds": time.perf_counter() - began,
        }
        if progress is not None:
            progress(f"probes of {len(items)} pictures", number, len(wanted))
    read = ProbedMaps(encoder, probes, device)
    asked = counting(progress, "asked pictures", len(task.asked))

    with torch.inference_mode():
        found = answer(
            read, len(probes), dataset, task.asked, coarsest_stride(encoder), device, asked
        )
    for stage, predictions in zip(probes, found, strict=True):
        yield stage, predictions, details[stage], read


def _train(
    encoder: Encoder,
    task: SegmentTask,
    items: Int64s,
    protocol: Protocol,
    *,
    settings: SegmentSettings,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> tuple[MaskPredictions, dict[str, Any], Read]:
    """The answers of the network after training on `items`, its learning rate chosen in them."""
    dataset = task.dataset
    scratch = protocol == "scratch"
    rates = settings.scratch_learning_rates if scratch else settings.learning_rates
    steps = settings.steps_for(len(items))
    parts = task.folds(items, seed)[: settings.trial_folds]

    def fit(
        items: Int64s, rate: float, steps: int, tick: Callable[[], None], *, final: bool
    ) -> Segmenter:
        return fit_segmenter(
            encoder,
            dataset,
            items,
            learning_rate=rate,
            steps=steps,
            settings=settings,
            seed=seed,
            device=device,
            tick=tick,
        )

    def score(model: Segmenter, items: Int64s) -> float:
        return segmented(model, dataset, items, device).value("miou")

    found = train_with_best_rate(
        fit,
        score,
        items,
        parts,
        rates,
        steps=steps,
        trial_steps=max(1, round(settings.trial_length * steps)),
        name=f"{protocol} on {len(items)} pictures",
        progress=progress,
    )
    told = counting(progress, f"{protocol}: asked pictures", len(task.asked))
    detail = found.detail(steps, len(items), max(1, len(parts)))
    return segmented(found.model, dataset, task.asked, device, told), detail, reader(found.model)


def _folds(drawn: PixelFeatures, pictures: Sequence[Int64s]) -> list[Int64s]:
    """Rows of the pixels that lie in one validation part of the pictures: one fifth of them.

    One part is enough of so many pixels. A single picture is parted by its pixels.
    """
    if not pictures:
        return [np.arange(0, len(drawn.labels), 5)]
    return [np.flatnonzero(np.isin(drawn.picture, pictures[0]))]
