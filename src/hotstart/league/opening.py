"""Opens every data set of a league."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hotstart.data import Dataset, open_dataset
from hotstart.data.leaks import check_leaks, exclude, in_test_split
from hotstart.errors import DataError
from hotstart.league.measures import data_key, open_for
from hotstart.league.settings import DOWNSTREAM, LeagueSettings

Caching = Callable[[str, int, int], None] | None


def open_all(asked: LeagueSettings, caching: Caching) -> dict[str, Dataset]:
    """Every data set by its `data_key`; those that are evaluated on have what that needs."""
    first = open_first(asked, caching)
    datasets = {asked.data: first}
    for kind, data, _ in asked.evaluations:
        key = data_key(kind, data)
        if key not in datasets:
            datasets[key] = open_for(
                kind,
                data,
                size=first.size,
                progress=caching,
                **asked.reading_for(data, kind),
            )
        missing = set(DOWNSTREAM[kind].needs) - datasets[key].keys
        if missing:
            raise DataError(
                f"{data} has no {', '.join(sorted(missing))}, which {kind} needs: give labelled "
                f"data by `--on {kind}=DIR`"
            )
    if any(data_key(one.kind, one.data) == asked.data for one in asked.evaluations):
        check_leaks(first, allowed=asked.allow_leak)
    return datasets


def open_first(asked: LeagueSettings, caching: Caching) -> Dataset:
    """What is pretrained on."""
    return open_dataset(
        asked.data,
        size=asked.size,
        label=asked.label_of(asked.data),
        group=asked.group,
        audio_offset_seconds=asked.audio_offset_seconds,
        real=asked.real,
        progress=caching,
    )


def exclude_tests(asked: LeagueSettings, datasets: Mapping[str, Dataset]) -> list[str]:
    """Keep what is in a test split of `--on` out of pretraining; one sentence on it, if anything.

    What the data's own test split holds is never pretrained on, and does not count.
    """
    first = datasets[asked.data]
    found = {
        f"{one.kind}={one.data}": in_test_split(first, datasets[data_key(one.kind, one.data)])
        for one in asked.evaluations
    }
    excluded = np.unique(np.concatenate([*found.values()]))
    if not len(excluded):
        return []
    exclude(first, excluded)
    items = np.flatnonzero(np.isin(first.hashes, excluded))
    real = len(np.setdiff1d(excluded, first.hashes))
    noun = "pictures" if first.stretches is None else "videos or parts of such"
    counts = [f"{len(items):,} {noun}"] * bool(len(items)) + [f"{real:,} of --real"] * bool(real)
    tests = ", ".join(name for name, one in found.items() if len(one))
    shown = f": {first.path(int(items[0]))}" if len(items) else ""
    return [
        f"{first.name}: {' and '.join(counts)} left out of pretraining, being in the test split of "
        f"{tests}{shown}{', ...' if len(items) > 1 else ''}"
    ]


def fingerprints_of(datasets: Mapping[str, Dataset], asked: LeagueSettings) -> dict[str, str]:
    """Of each data set, and of the real pictures that are read beside the first one."""
    found = {name: dataset.fingerprint for name, dataset in datasets.items()}
    real = datasets[asked.data].real
    if real is not None:
        found[f"real={asked.real}"] = real.fingerprint
    return found
