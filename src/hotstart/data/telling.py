"""What was found in a data set, in sentences for whoever asked for its evaluation."""

from __future__ import annotations

from hotstart.data.dataset import Dataset

SHOWN = 20
"""Lines on what was left out; the others are counted."""


def found_words(dataset: Dataset) -> list[str]:
    """What it is, what must be known of it, and a line for each thing that was left out."""
    told = dataset.describe()
    splits = ", ".join(f"{name} {count:,}" for name, count in told["splits"].items())
    head = f"{told['data']}: {told['kind']}, {told['pictures']:,} pictures ({splits})"
    names = told.get("class_names", [])
    if names:
        noun = "class" if len(names) == 1 else "classes"
        head += f", {len(names)} {noun}: {', '.join(names[:SHOWN])}"
        head += ", ..." if len(names) > SHOWN else ""
    if "boxes" in told:
        head += f"; {told['boxes']:,} boxes"
    sizes = [f"{width} x {height}" for width, height in told.get("sizes", [])]
    if sizes:
        head += f"; {sizes[0]}" + (f" to {sizes[-1]} px" if len(sizes) > 1 else " px")
    sentences = [head, *told["notes"]]
    silent = told.get("without_sound", 0)
    if 0 < silent < told.get("videos", 0):
        sentences.append(
            f"{silent:,} of {told['videos']:,} videos have no sound: who listens hears silence"
        )
    missing = told.get("without_examples", [])
    if missing:
        sentences.append(
            f"warning: no example in train of {', '.join(missing)}: nobody can learn what is never "
            "shown"
        )
    left_out = [f"left out: {path}: {reason}" for path, reason in dataset.quarantine]
    if len(left_out) > SHOWN:
        left_out[SHOWN:] = [f"left out: {len(left_out) - SHOWN} more"]
    return sentences + left_out
