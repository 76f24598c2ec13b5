"""What was found in the data of an evaluation: told in sentences, what was left out as a file."""

from __future__ import annotations

from pathlib import Path

from hotstart.data import Dataset
from hotstart.data.sample import RENDERED
from hotstart.data.telling import found_words


def tell_found(dataset: Dataset, on: str, folder: Path | None) -> list[str]:
    """The sentences of `found_words`, and where the whole list of what was left out lies.

    folder: a run's or a league's. Where anything was left out, it gets
    `quarantine-<on>-<data>.csv`, with `path,reason` in each line and 8 digits of the data's
    fingerprint in its name; None writes nothing.
    """
    told = found_words(dataset)
    if folder is None:
        return told
    short = dataset.fingerprint.removeprefix(RENDERED)[:8]
    path = folder / f"quarantine-{on}-{short}.csv"
    if not dataset.quarantine:
        path.unlink(missing_ok=True)  # of a time when there was something
        return told
    dataset.write_quarantine(path)
    return [*told, f"everything that was left out ({len(dataset.quarantine):,}): {path}"]
