"""From committed leagues to `status.json`: which tasks are `verified`, by the rules of evidence.

`python -m hotstart.league.verify docs/results/cifar10 ...` reads leagues and writes the file that
is shipped with the package. A task is `verified` by a linear probe of the last stage, on all
labels, on the validation split of a real data set, where it gains over `random` in every one of at
least three seeds, and where p, of the bootstrap over seeds and items and corrected by Holm over the
tasks of that league, is below 0.05. It `runs` where it finished a league without that. Variants of
a task prove nothing of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hotstart.data.sample import RENDERED
from hotstart.errors import DataError, HotstartError
from hotstart.league.arena import Arena, Standing, Who, is_control
from hotstart.league.kinds import ranks_by
from hotstart.league.summary import league_statistics

STATISTICS = "statistics.json"
SIGNIFICANT = 0.05
LEAST_SEEDS = 3
NO_EVIDENCE = ("world:", "digits:")
"""The rendered world, and pictures of 8 x 8 px. A world given by its folder's path is told by the
fingerprint of its data."""
DOWNSTREAM = ("classify", "action")


def verify(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Status and evidence of every task in the leagues of `folders`.

    Each holds a `results.jsonl`; p comes from its `predictions/` (up to two levels below), or,
    where only numbers were committed, from the `statistics.json` that `compare` wrote beside it,
    as far as its values are those of the records. Raises DataError where one holds no records.
    """
    seen: set[str] = set()
    best: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for arena, one in _standings(folder):
            if is_control(one.task) or one.variant is not None:
                continue
            seen.add(one.task)
            evidence = _evidence(folder, arena, one)
            if _proves(arena, one) and (
                one.task not in best or evidence["gain"] > best[one.task]["gain"]
            ):
                best[one.task] = evidence
    return {
        task: {"status": "verified", "evidence": best[task]} if task in best else {"status": "runs"}
        for task in sorted(seen)
    }


def _proves(arena: Arena, one: Standing) -> bool:
    """Whether the rules of evidence hold."""
    return (
        arena.split == "val"
        and arena.downstream in DOWNSTREAM
        and not arena.data.startswith(NO_EVIDENCE)
        and not arena.fingerprint.startswith(RENDERED)
        and one.control == "random"
        and len(one.gain_by_seed) >= LEAST_SEEDS
        and min(one.gain_by_seed.values()) > 0
        and one.resampled == "seeds and items"
        and one.p_holm is not None
        and one.p_holm < SIGNIFICANT
    )


def _evidence(folder: Path, arena: Arena, one: Standing) -> dict[str, Any]:
    # A folder on somebody's disk tells its last name alone.
    return {
        "league": folder.name,
        "data": arena.data if arena.data.endswith(":") else Path(arena.data).name,
        "downstream": arena.downstream,
        "encoder": one.encoder,
        "value": one.mean,
        "gain": one.gain,
        "interval": [one.low, one.high],
        "p_holm": one.p_holm,
        "seeds": len(one.gain_by_seed),
    }


def _standings(folder: Path) -> Iterator[tuple[Arena, Standing]]:
    """Every standing in a column of evidence: linear probe, all labels, last stage."""
    kept = _kept(folder)
    for arena in league_statistics(folder).arenas:
        # What one frame of a video tells is no evidence.
        if not ranks_by(arena.downstream, "linear", arena.metric):
            continue
        for column in arena.columns:
            if (column.protocol, column.labels, column.stage) == ("linear", 1.0, "last"):
                for one in column.standings:
                    known = kept.get((arena.downstream, arena.fingerprint, one.who))
                    same = known is not None and known.values == one.values
                    missing = one.resampled == "seeds"
                    yield arena, known if missing and same and known else one


def _kept(folder: Path) -> dict[tuple[str, str, Who], Standing]:
    """Standings of those columns in the `statistics.json` of `folder`; none where it has none."""
    path = folder / STATISTICS
    if not path.exists():
        return {}
    try:
        return {
            (
                arena["downstream"],
                arena["fingerprint"],
                Who(one["task"], one["encoder"], one.get("variant")),
            ): Standing(
                **{
                    **one,
                    "values": {int(seed): value for seed, value in one["values"].items()},
                    "gain_by_seed": {int(s): gain for s, gain in one["gain_by_seed"].items()},
                }
            )
            for arena in json.loads(path.read_text(encoding="utf-8"))["arenas"]
            if arena["split"] == "val" and ranks_by(arena["downstream"], "linear", arena["metric"])
            for column in arena["columns"]
            if (column["protocol"], column["labels"], column["stage"]) == ("linear", 1.0, "last")
            for one in column["standings"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not what `hotstart compare` writes ({error!r})") from None


def main() -> None:
    """`python -m hotstart.league.verify FOLDER...` writes `status.json` and prints it."""
    folders = [Path(word) for word in sys.argv[1:]]
    if not folders:
        sys.exit("hotstart: give folders of committed leagues, as docs/results/cifar10")
    try:
        found = verify(folders)
    except HotstartError as error:
        sys.exit(f"hotstart: {error}")
    text = json.dumps(found, indent=1) + "\n"
    Path(str(files("hotstart.league").joinpath("status.json"))).write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
