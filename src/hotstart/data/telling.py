"""What was found in a data set, in sentences for whoever asked for its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hotstart.data.dataset import Dataset

SHOWN = 20
"""Names in a list, and lines on what was left out; of these, the others are counted."""


def found_words(dataset: Dataset) -> list[str]:
    """What it is, what must be known of it, and a line for each thing that was left out."""
    told = dataset.describe()
    splits = ", ".join(f"{name} {count:,}" for name, count in told["splits"].items())
    head = f"{told['data']}: {told['kind']}, {_items(told)} ({splits})"
    names = told["class_names"]
    if names:
        noun = "class" if len(names) == 1 else "classes"
        head += f", {len(names)} {noun}: {_some(names)}"
    if "boxes" in told:
        head += f"; {told['boxes']:,} boxes"
    sizes = [f"{width} x {height}" for width, height in told["sizes"]]
    if sizes:
        head += f"; {' to '.join(sizes)} px"
        head += f" in {told['sizes_of']} looked at" if told["sizes_of"] < len(dataset) else ""
    sentences = [head, *told["notes"]]
    silent = told.get("without_sound", 0)
    if 0 < silent < told.get("videos", 0):
        sentences.append(
            f"{silent:,} of {told['videos']:,} videos have no sound: who listens hears silence"
        )
    missing = told["without_examples"]
    if missing:
        sentences.append(
            f"warning: no example in train of {_some(missing)}: nobody can learn what is never "
            "shown"
        )
    left_out = [f"left out: {path}: {reason}" for path, reason in dataset.quarantine]
    if len(left_out) > SHOWN:
        left_out[SHOWN:] = [f"left out: {len(left_out) - SHOWN} more"]
    return sentences + left_out


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])


def _items(told: dict[str, Any]) -> str:
    """`5 pictures`; of videos, long ones of which are cut into parts, `3 videos in 5 parts`."""
    if "videos" not in told:
        return f"{told['pictures']:,} pictures"
    parts = "" if told["videos"] == told["pictures"] else f" in {told['pictures']:,} parts"
    return f"{told['videos']:,} videos{parts}"
