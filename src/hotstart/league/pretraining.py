"""One pretraining run as a folder: settings, data, training, its record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from hotstart.config import PretrainSettings, Settings, parse
from hotstart.data import Dataset, open_dataset
from hotstart.data.leaks import exclude, read_hashes
from hotstart.encoders import load_encoder, resolve_spec
from hotstart.encoders.build import filed
from hotstart.errors import DataError, UsageError
from hotstart.league.beginning import begun_with, check_init, open_beginning, seen_before, unseen
from hotstart.league.heldout import write_heldout
from hotstart.league.map import write_maps
from hotstart.league.material import material_of
from hotstart.league.records import Record, settings_hash, write_records
from hotstart.league.subject import DEFAULT_ENCODER
from hotstart.league.trained_on import write_trained_on
from hotstart.league.variants import SETTINGS
from hotstart.league.versions import versions
from hotstart.pretext.registry import find, own_settings, parts, task_class
from hotstart.pretext.setting_names import check_asked
from hotstart.pretext.task import Score
from hotstart.training import checkpoint
from hotstart.training import folder as files
from hotstart.training.beginning import Beginning
from hotstart.training.log import Listener
from hotstart.training.train import Material, check_encoder, fix_steps, make_fabric, train

DEFAULTS = {"cnn": DEFAULT_ENCODER, "vit": "vit_narrow_depth4", "video": "r3d10_narrow"}
# What a run is, as against where and how often it is saved: these do not change the result.
MACHINE = ("checkpoint_seconds", "accelerator", "devices", "nodes", "compile")
OUTSIDE_THE_HASH = (*MACHINE, "minutes", "epochs", "variant", "init")
# What the hash takes resolved, in place of the words that it was asked for with.
RESOLVED = ("data", "task_settings", "optimizer", "learning_rate", "weight_decay", "warmup")

Caching = Callable[[str, int, int], None] | None


def start(
    values: dict[str, Any], out: Path | None, listener: Listener | None, caching: Caching
) -> Path:
    """Settle what is open, make the run folder, train."""
    settings, dataset = _prepare(values, caching)
    short = "+".join(part.rpartition(":")[2] for part in parts(settings.task))
    folder = out or Path("runs") / f"{short}-{settings.seed}"
    fabric = make_fabric(settings)
    fabric.launch()
    if fabric.is_global_zero:
        if (folder / files.SETTINGS).exists():
            raise UsageError(
                f"{folder} holds a run already: give another --out, or `--resume {folder}`"
            )
        folder.mkdir(parents=True, exist_ok=True)
        files.write_settings(folder, settings)
    fabric.barrier()
    return run_in(settings, dataset, folder, fabric, listener)


def go_on(folder: Path, listener: Listener | None, caching: Caching) -> Path:
    """Continue the run in `folder`, killed at whatever moment."""
    settings = files.load_run(folder)
    dataset = _open(settings.model_dump(), caching)
    fabric = make_fabric(settings)
    fabric.launch()
    return run_in(settings, dataset, folder, fabric, listener)


def calibrate(values: dict[str, Any], caching: Caching) -> int:
    """Steps that the budget of `values` comes to, timed where it is in minutes; trains nothing."""
    settings, dataset = _prepare(values, caching)
    fabric = make_fabric(settings)
    fabric.launch()
    steps = fix_steps(settings, material_of(settings.task, dataset), fabric).steps
    assert steps is not None
    return steps


def _prepare(values: dict[str, Any], caching: Caching) -> tuple[PretrainSettings, Dataset]:
    """Settings with every default filled in, and the pictures."""
    check_names(values)
    dataset = _open(values, caching)
    return settle(values, dataset), dataset


def _open(values: Mapping[str, Any], caching: Caching) -> Dataset:
    """What is pretrained on, read as the settings `values` say."""
    dataset = open_dataset(
        values["data"],
        size=values.get("size"),
        label=values.get("label"),
        group=values.get("group"),
        audio_offset_seconds=values.get("audio_offset_seconds") or 0.0,
        real=values.get("real"),
        progress=caching,
    )
    exclude(dataset, read_hashes(values.get("exclude") or ()))
    return dataset


def settle(values: dict[str, Any], dataset: Dataset) -> PretrainSettings:
    """Fill in every default that depends on task or pictures."""
    cls = task_class(values["task"])
    size = dataset.size
    if values.get("init"):
        begun = open_beginning(values, size)
        spec = filed(begun.encoder).spec
        named = {"encoder": values.get("encoder") or begun.encoder.spec.name, "stem": spec.stem}
        values = {**values, **named, "init_digest": begun.digest}
    else:
        values = {**values, "init": None, "init_digest": None}
    name = values.get("encoder") or default_encoder(values["task"])
    check_encoder(values["task"], name)
    stem = resolve_spec(name, size, values.get("stem") or "auto").stem
    train = material_of(values["task"], dataset).train
    batch = min(values.get("batch_size") or cls.batch_size, len(train))
    processes = values.get("devices", 1) * values.get("nodes", 1)
    batch -= batch % processes
    settled = {**values, "encoder": name, "size": size, "stem": stem, "batch_size": batch}
    return parse(PretrainSettings, settled, "settings")


def default_encoder(task: str) -> str:
    """The only one that it can fill; of clips a small 3-D CNN; or a small CNN, or a small ViT."""
    cls = task_class(task)
    kinds = sorted(DEFAULTS, key=lambda kind: kind == "video", reverse="clip" in cls.needs)
    fitting = (*cls.encoders, *(DEFAULTS[kind] for kind in kinds if kind in cls.accepts))
    return find(task).encoder or next(iter(fitting), DEFAULT_ENCODER)


def check_names(values: dict[str, Any]) -> None:
    """Find every wrong name and value before any data is touched, or a folder made."""
    cls = task_class(values["task"])
    for task in values["task_settings"]:
        check_asked(task, values["task"])
    parse(cls.Settings, own_settings(values["task"], values["task_settings"]), values["task"])
    check_init(values.get("init"))
    if values.get("encoder"):
        check_encoder(values["task"], values["encoder"])
    probe = {"encoder": "x", "size": 32, "stem": "timm", "batch_size": 2}
    parse(PretrainSettings, {**probe, **values}, "settings")


def run_in(
    settings: PretrainSettings,
    dataset: Dataset,
    folder: Path,
    fabric: Fabric,
    listener: Listener | None,
) -> Path:
    """Train the run in `folder` from where it is to its end, with all its files."""
    material, begun = make_ready(settings, dataset, folder, fabric)
    outcome = train(settings, material, folder, fabric, listener, begun)
    if outcome is not None:
        write_maps(
            folder,
            load_encoder(folder / files.ENCODER).to(fabric.device),
            dataset,
            material.heldout,
            task=settings.task,
            split="heldout",
            seed=settings.seed,
            device=fabric.device,
        )
        budget: dict[str, float | int | None] = {
            "steps": outcome.steps,
            "seconds": round(outcome.seconds, 3),
            "images": outcome.images,
            "peak_memory_bytes": outcome.peak_memory_bytes,
        }
        records = [
            pretext_record(
                outcome.settings,
                one,
                data=settings.data,
                split="heldout",
                fingerprints={"pretrain": dataset.fingerprint},
                budget=budget,
            )
            for one in outcome.score.each
        ]
        write_records(folder / files.RESULTS, records)
    return folder


def make_ready(
    settings: PretrainSettings, dataset: Dataset, folder: Path, fabric: Fabric
) -> tuple[Material, Beginning | None]:
    """What the run in `folder` is trained on, also told in its files, and what it begins with."""
    if fabric.is_global_zero:
        dataset.write_quarantine(folder / files.QUARANTINE)
        free = shutil.disk_usage(folder).free
        if free < 200 * 2**20:
            raise DataError(f"{folder}: {free // 2**20} MB of disk are free, a run needs 200")
    # A run that goes on knows by itself what its beginning saw.
    earlier = [seen_before(name) for name in (settings.init, settings.init and str(folder))]
    material = unseen(material_of(settings.task, dataset), np.concatenate(earlier))
    if fabric.is_global_zero:
        write_heldout(folder, dataset.hashes[material.heldout])
        beside = [] if dataset.real is None else [dataset.real.hashes]
        seen = np.concatenate([dataset.hashes[material.train], *beside, *earlier])
        write_trained_on(folder, seen)
    begun = None
    if settings.init and checkpoint.newest(folder / files.CHECKPOINTS) is None:
        begun = open_beginning(settings.model_dump(), settings.size)
    return material, begun


def run_hash(settings: PretrainSettings, pictures: str) -> str:
    """Equal for two runs that must give the same encoder, wherever their pictures lie.

    pictures: the fingerprint of the data. Defaults count by their values, so that a task whose
    defaults change is another task.
    """
    cls, own = task_class(settings.task), settled_own(settings)
    optimiser = cls.optimiser.model_copy(update=settings.optimiser_changes)
    resolved = {"pictures": pictures, "own": own.model_dump(), "optimiser": optimiser.model_dump()}
    asked = settings.model_dump(exclude={*OUTSIDE_THE_HASH, *RESOLVED})
    if not settings.audio_offset_seconds:  # runs from before there was sound keep their hash
        del asked["audio_offset_seconds"]
    for later in ("real", "exclude", "init_digest"):  # and those from before there were these
        if asked[later] is None:
            del asked[later]
    return settings_hash(asked | resolved)


def settled_own(settings: PretrainSettings) -> Settings:
    """All settings of its task, defaults filled in."""
    cls = task_class(settings.task)
    return parse(cls.Settings, own_settings(settings.task, settings.task_settings), settings.task)


def pretext_record(
    settings: PretrainSettings,
    score: Score,
    *,
    data: str,
    split: str,
    fingerprints: dict[str, str],
    budget: dict[str, float | int | None],
) -> Record:
    """The record of a task's own metric on pictures that it was not trained on."""
    return Record(
        task=settings.task,
        encoder=settings.encoder,
        data=data,
        downstream="pretext",
        protocol=None,
        stage=None,
        labels=None,
        split=split,
        seed=settings.seed,
        metric=score.metric,
        value=score.value,
        chance=score.trivial,
        variant=settings.variant,
        settings_hash=run_hash(settings, fingerprints.get("pretrain", "")),
        data_fingerprints=fingerprints,
        budget=budget,
        detail={
            "examples": score.examples,
            **({} if score.among is None else {"among": list(score.among)}),
            **begun_with(settings),
            SETTINGS: settled_own(settings).model_dump(mode="json"),
        },
        versions=versions(),
    )
