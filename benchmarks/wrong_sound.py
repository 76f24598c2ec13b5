"""Is the sound what a run answers by? Its score with each video's own sound, and with another's.

    python benchmarks/wrong_sound.py RUN [RUN ...]

RUN is of `audio_visual_correspondence` or `audio_visual_synchronization`. Both
scores are of the videos that were held out from it; with the sound of another one they are to fall
to chance. Where all sentences of a speaker begin and end alike, silence tells the time of any of
them: so synchronization is also asked of moments alone in which neither sound is ever silent. A
JSON object for each run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from hotstart import api
from hotstart.pretext.registry import task_class
from hotstart.pretext.task import Batch, Draws, PretextTask
from hotstart.training.folder import load_run

PIECE = 3_200
"""Samples, a fifth of a second, of which none may be silent."""
SILENCE = 0.05
"""Of the loudest piece: what is softer is silence."""


def score(run: Path) -> dict[str, Any]:
    return {r.metric: (round(r.value, 4), r.chance) for r in api.evaluate(run, on="pretext")}


def sounding(sound: Tensor) -> Tensor:
    """Whether a thing is heard in every piece of all sounds of a row: (B, 2, n) -> bool (B,)."""
    whole = sound.shape[-1] // PIECE * PIECE
    pieces = sound[..., :whole].unflatten(-1, (-1, PIECE)).square().mean(-1).sqrt()
    heard: Tensor = pieces.amin((1, 2)) > SILENCE * pieces.amax((1, 2))
    return heard


def score_by(run: Path, *, other: bool, everywhere: bool) -> dict[str, Any]:
    """`score`, by the own sounds or by other ones; everywhere, or where both are never silent."""
    cls = task_class(load_run(run).task)
    own = cls.views

    def views(task: PretextTask, batch: Batch, rng: Draws) -> dict[str, Tensor]:
        # A batch holds no video twice.
        strange: Batch = {**batch, "audio": batch["audio"].roll(len(batch["audio"]) // 2, 0)}
        both = [dict(own(task, each, rng)) for each in (batch, strange)]
        if not everywhere:
            both[other]["whole"] &= sounding(both[0]["sound"]) & sounding(both[1]["sound"])
        return both[other]

    cls.views = views  # type: ignore[method-assign, assignment]
    try:
        return score(run)
    finally:
        cls.views = own  # type: ignore[method-assign]


def main() -> None:
    for run in map(Path, sys.argv[1:]):
        task = load_run(run).task
        told: dict[str, Any] = {"run": run.name, "task": task}
        for everywhere in (True, False):
            if everywhere or task == "audio_visual_synchronization":
                told["everywhere" if everywhere else "never silent"] = {
                    name: score_by(run, other=name == "other sound", everywhere=everywhere)
                    for name in ("own sound", "other sound")
                }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
