"""The function behind `hotstart demo`: the lecture in small, in a world rendered on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotstart.errors import UsageError

if TYPE_CHECKING:
    from hotstart.league.records import Record

WORLD = "world:objects?n=1000&size=48&seed=0&samples=12"
THINGS = "things"
"""Folder of the world, beside the runs."""
CAMERA = "frames=9&hz=8&degrees=0&shift=0.25"
"""How a camera moves over its pictures, where clips are asked for."""
SIZE, BATCH = 32, 64
"""Small, so that half a minute of two cores is several thousand pictures."""
LABELS = (0.1, 1.0)


@dataclass(frozen=True)
class Lesson:
    """What the demo trains once: a pretext task, or the control that reads every label.

    about: its family, for people; clips: whether it sees what a moving camera sees of each picture
    """

    about: str
    task: str
    question: str
    clips: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float | None = None
    """Where the task's own, which is for long runs, is too careful for a hundred steps."""


LESSONS = (
    Lesson("Generation", "autoencoder", "What is this picture, told in a few numbers?"),
    Lesson("Context", "rotation", "By which quarter was this picture turned?"),
    Lesson(
        "Free labels",
        "rendered",
        "How far is it, where does it face, where does it end?",
        learning_rate=0.016,
    ),
    Lesson(
        "Cross-modal",
        "egomotion",
        "How did the camera move between these frames?",
        clips=True,
        settings={"seconds": 1.0},
        learning_rate=0.016,
    ),
    Lesson("Control", "supervised", "Which shape is it? All labels are told: the ceiling."),
)


def demo(
    out: str | Path = "runs/demo",
    *,
    minutes: float = 0.6,
    listener: Callable[[dict[str, Any]], None] | None = None,
    working: Callable[[str, int, int], None] | None = None,
    telling: Callable[[str], None] | None = None,
) -> Path:
    """The whole loop on 1,000 small pictures, rendered on the spot; returns the report.

    One task of each family of the lecture and the ceiling are trained; then each encoder has to
    tell shapes apart from few labels, beside the same network at random.

    minutes: of each pretraining. What is finished is not done again.
    telling: called with each sentence on what happens and came out.
    Raises UsageError without the extra `hotstart[world]`.
    """
    from hotstart import api
    from hotstart.league.records import read_records
    from hotstart.training.folder import ENCODER, RESULTS, SETTINGS

    if minutes <= 0:
        raise UsageError(f"--minutes {minutes:g}: each task needs some, as 0.6")
    folder, say = Path(out), telling or (lambda _: None)
    things = folder / THINGS
    say(f"A small world, rendered once: pictures of single things, in {things}")
    api.render(WORLD, things, progress=working)
    found: list[Record] = []
    for lesson in LESSONS:
        say(f"\n{lesson.about}: {lesson.task}. {lesson.question}")
        run = folder / lesson.task
        if not (run / SETTINGS).exists():
            api.pretrain(
                f"camera:{things}?{CAMERA}" if lesson.clips else str(things),
                task=lesson.task,
                minutes=minutes,
                size=SIZE,
                batch_size=BATCH,
                learning_rate=lesson.learning_rate,
                out=run,
                task_settings={lesson.task: lesson.settings} if lesson.settings else None,
                listener=listener,
                caching=working,
            )
        elif not (run / ENCODER).exists() or not (run / RESULTS).exists():
            api.pretrain(resume=run, listener=listener, caching=working)
        api.evaluate(
            run,
            data=str(things),
            labels=LABELS,
            controls=lesson is LESSONS[0],
            listener=working,
            caching=working,
        )
        found += read_records(run / RESULTS)
    for sentence in summary(found):
        say(sentence)
    return api.report(folder)


def summary(records: Sequence[Record]) -> list[str]:
    """What came out, and how much of it may be chance."""
    from hotstart.report.words import trivial_name

    told = ["\nOn pictures that were held out, each task's own question:"]
    for lesson in LESSONS:
        for own in records:
            if own.downstream != "pretext" or own.task != lesson.task:
                continue
            beside = "" if own.chance is None else f" ({trivial_name(own.metric)} {own.chance:.3f})"
            told.append(f"  {lesson.task}: {own.metric} {own.value:.3f}{beside}")
    probes = [r for r in records if r.protocol == "linear" and r.stage == "last"]
    chance = max((r.chance or 0.0 for r in probes), default=0.0)
    told.append(
        "Telling shapes apart with a linear probe, from 10 % and from all of the labels "
        f"(the most frequent one alone: {chance:.0%}):"
    )
    for task in ("random", *(lesson.task for lesson in LESSONS)):
        values = sorted((r.labels or 0, r.value) for r in probes if r.task == task)
        told.append(f"  {task}: " + ", ".join(f"{value:.0%}" for _, value in values))
    told.append(
        "So little time, so few pictures and one seed show how it works, not what it is worth: "
        "where 200 are asked, differences below seven points may be chance. `hotstart compare` "
        "with more pictures, minutes and seeds tells which task is worth most."
    )
    return told
