"""Numbers and names as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from hotstart.league.naming import told_apart

MISSING = "\u2013"
"""En dash: not measured."""
MINUS = "\u2212"
THIN = "\u202f"
"""Narrow no-break space: between a number and its unit."""

FRACTIONS = frozenset({"top1", "top5", "miou", "ap", "ap50", "ap75", "accuracy", "positive_first"})
"""Metrics whose values are fractions in 0..1 and are shown in percent; higher is better. So are
those whose names end in `accuracy`, and recalls."""
RECALL = re.compile(r"(?:(\w+)_)?recall(\d+)")
"""`recall5`, or `sound_recall5` where what is sought is a sound."""

ONE_FRAME = "_one_frame"
"""Ends the name of a metric of one frame of each video."""

PROTOCOLS = {
    "knn": "k-NN",
    "linear": "linear probe",
    "finetune": "fine-tuning",
    "scratch": "from scratch",
}
DOWNSTREAM = {
    "classify": "Classification",
    "segment": "Segmentation",
    "detect": "Detection",
    "action": "Action recognition",
}
METRICS = {
    "top1": "top-1 accuracy",
    "miou": "mean IoU",
    "ap": "average precision",
    "ap50": "average precision at IoU 0.5",
    "ap75": "average precision at IoU 0.75",
    "positive_first": "positive ranked first",
    "psnr_db": "PSNR",
    "reconstruction_psnr_db": "PSNR of the reconstruction",
    "corner_error": "corner error (sides of the picture, less is better)",
    "chroma_error": "chroma error",
    "end_point_error": "end-point error (sides of the picture, less is better)",
    "cross_entropy": "cross-entropy (nats, less is better)",
    "best_f": "best F-measure",
    "iou": "IoU",
    "frechet_random_conv": "Fréchet distance (random convolutions)",
    "nmi": "NMI of the last two clusterings",
}
SPLITS = {"val": "validation split", "test": "test split", "heldout": "held-out pictures"}


def is_fraction(metric: str) -> bool:
    """Whether values of `metric` are shares, to be shown in percent."""
    bare = metric.rpartition(".")[2].removesuffix(ONE_FRAME)
    return bare in FRACTIONS or bare.endswith("accuracy") or RECALL.fullmatch(bare) is not None


def unit(metric: str) -> str:
    """`%` for shares, `dB` for what is named `..._db`, nothing for what has none."""
    return "%" if is_fraction(metric) else "dB" if metric.endswith("_db") else ""


def trivial_name(metric: str) -> str:
    """What a record's `chance` is: chance for shares, else what a trivial answer reaches."""
    return "chance" if is_fraction(metric) else "trivial answer"


def number(value: float | None, metric: str, sign: bool = False) -> str:
    """A value of `metric` without its unit: 0.5123 -> 51.2 for fractions, 2 decimals of dB."""
    if value is None:
        return MISSING
    digits = {"%": ".1f", "dB": ".2f"}.get(unit(metric), ".3g")
    shown = f"{100 * value if is_fraction(metric) else value:{digits}}"
    if float(shown) == 0:
        shown = shown.removeprefix("-")
    if shown.startswith("-"):
        return MINUS + shown[1:]
    return f"+{shown}" if sign else shown


def signed(tau: float) -> str:
    """A coefficient in -1..1 with two digits: `0.83`."""
    shown = f"{tau:.2f}"
    return "0.00" if float(shown) == 0 else shown.replace("-", MINUS)


def quantity(value: float, metric: str) -> str:
    """A value of `metric` with its unit, for a sentence."""
    return number(value, metric) + (f"{THIN}{unit(metric)}" if unit(metric) else "")


def difference(value: float, metric: str) -> str:
    """The size of a difference with its unit, for a sentence: `12.1 points`."""
    shown = number(abs(value), metric)
    if is_fraction(metric):
        return f"{shown} {'point' if shown == '1.0' else 'points'}"
    return f"{shown}{THIN}{unit(metric)}" if unit(metric) else f"{shown} {metric}"


def interval(low: float, high: float, metric: str) -> str:
    """Both ends of an interval of a difference, short: `[1.2, 3.4]`."""
    ends = (number(end, metric) for end in (low, high))
    return f"[{', '.join(ends)}]"


def between(low: float, high: float, metric: str) -> str:
    """Both ends in a sentence: `between 1.2 and 3.4 points`."""
    ends = " and ".join(number(end, metric) for end in (low, high))
    return f"between {ends} {'points' if is_fraction(metric) else metric}"


def label_count(counts: Iterable[int | None]) -> str:
    """The number of labels behind a share, where all that tell it tell the same one."""
    known = {told for told in counts if told is not None}
    return count(known.pop()) if len(known) == 1 else ""


def share(labels: float) -> str:
    """A share of the labels: `1 %`, `0.5 %`."""
    return f"{100 * labels:g}{THIN}%"


def protocol(name: str | None) -> str:
    return PROTOCOLS.get(name or "", name or MISSING)


def heading(text: str) -> str:
    """With a capital, unless it is a name that has none."""
    return text if text.startswith("k-NN") else text[:1].upper() + text[1:]


def metric_name(name: str) -> str:
    """`psnr_db` -> PSNR; `sound_recall5` -> recall at 5 of the right sound.

    `rotation.accuracy`, of several tasks at once -> accuracy of rotation.
    """
    task, _, bare = name.rpartition(".")
    plain = bare.removesuffix(ONE_FRAME)
    recall = RECALL.fullmatch(plain)
    if recall is not None:
        what, rank = recall.groups()
        told = f"recall at {rank}" + (f" of the right {what.replace('_', ' ')}" if what else "")
    else:
        told = METRICS.get(plain, plain.replace("_", " "))
    told += " of one frame" if plain != bare else ""
    return f"{told} of {task}" if task else told


def sought_among(told: Mapping[str, Any]) -> str:
    """` among 32`, ` among 20 to 32`: of a retrieval, by its record's detail; else nothing."""
    among = told.get("among")
    if not among:
        return ""
    least, most = among
    return f" among {count(least)}" + (f" to {count(most)}" if most != least else "")


def data_name(typed: str, others: Iterable[str] = ()) -> str:
    """A data set in a sentence: `digits:` -> digits, an absolute path -> its last part.

    Of an absolute path, as many parts as are needed to tell it apart from `others`.
    """
    end = told_apart([typed, *others])[typed]
    return (end if PurePath(typed).is_absolute() else typed).rstrip(":") or typed


def split_name(name: str) -> str:
    return SPLITS.get(name, f"split {name!r}")


def count(value: float | None) -> str:
    """A whole number with thousands apart."""
    return f"{value:,.0f}" if isinstance(value, int | float) else MISSING


def seconds(value: float | None) -> str:
    """A duration at the precision that a reader wants."""
    if value is None:
        return MISSING
    if value < 10:
        return f"{value:.1f}{THIN}s"
    if value < 120:
        return f"{value:.0f}{THIN}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s" if rest else f"{minutes}{THIN}min"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours}{THIN}h {minutes}{THIN}min" if minutes else f"{hours}{THIN}h"


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    if value is None:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            digits = 1 if value < 100 * scale and unit == "GB" else 0
            return f"{value / scale:.{digits}f}{THIN}{unit}"
    return f"{value:.0f}{THIN}B"


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def listing(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`; semicolons where an item has a comma of its own."""
    if len(items) < 2:
        return "".join(items)
    commas = any(", " in item.partition(" (")[0] for item in items)
    return f"{('; ' if commas else ', ').join(items[:-1])} and {items[-1]}"
