"""The lecture's families: by what tasks are grouped, and by what many of them share a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.pretext.registry import TASKS, parts
from hotstart.report.charts import DASHES, MARKERS, TONES, Style
from hotstart.report.standings import CONTROL_ROLES, Contender

CONTROL_STYLES = {
    "random": Style("random", "dash", "ring"),
    "scratch": Style("scratch", "dot", "ring"),
    "supervised": Style("supervised", "dashdot", "ring"),
    # The floor as grey as `random`, what has labels as dark as `supervised`.
    "pca": Style("random", "dot", "square"),
    "kmeans": Style("random", "dashdot", "diamond"),
    "weakly_supervised": Style("supervised", "dot", "square"),
}
"""By task, where that is what the control is told by, else by role."""


@dataclass(frozen=True)
class Group:
    """A family as the table names it; tone: its colour where tasks share colours."""

    title: str
    tone: str


GENERATION = Group("Generation", "c1")
PREDICTIVE = Group("Context, predictive", "c0")
CONTRASTIVE = Group("Context, contrastive", "c3")
FREE_LABELS = Group("Free semantic labels", "c2")
CROSS_MODAL = Group("Cross-modal", "c6")
SEVERAL = Group("Several families at once", "c4")
THIRD_PARTY = Group("Third party", "c5")
WEIGHTS = Group("Weights from elsewhere", "c7")
CONTROLS = Group("Controls", "random")
"""The lecture's order; `WEIGHTS` are encoders that no task of this package trained."""


def group_of(who: Contender) -> Group:
    """The family of its task; of several tasks trained together, the one that they share."""
    if who.role in CONTROL_ROLES:
        return CONTROLS
    found = {_group(part) for part in parts(who.task)}
    return found.pop() if len(found) == 1 else SEVERAL


def _group(task: str) -> Group:
    entry = TASKS.get(task)
    if entry is None:
        # `package.module:Class` is somebody's task; `timm:resnet18` or a file, somebody's weights.
        return THIRD_PARTY if ":" in task and not task.startswith("timm:") else WEIGHTS
    if entry.family == "context":
        return CONTRASTIVE if "contrastive" in entry.kind else PREDICTIVE
    families = {
        "generation": GENERATION,
        "free_labels": FREE_LABELS,
        "cross_modal": CROSS_MODAL,
        "control": CONTROLS,
    }
    return families[entry.family]


def paper_of(who: Contender) -> str:
    """The paper behind its task, or those behind its tasks; empty for a third party's."""
    entries = [TASKS[part] for part in parts(who.task) if part in TASKS]
    return "; ".join(dict.fromkeys(entry.paper for entry in entries))


def styles_of(contenders: Sequence[Contender]) -> dict[Contender, Style]:
    """A colour, dash and marker for each; controls keep theirs on every page.

    Up to eight tasks have a colour each. More of them share their family's, and differ within it
    by dash and marker, 24 of which are distinct.
    """
    tasks = [who for who in contenders if who.role not in CONTROL_ROLES]
    shared = len(tasks) > TONES
    styles: dict[Contender, Style] = {}
    seen: dict[str, int] = {}
    for i, who in enumerate(tasks):
        tone = group_of(who).tone if shared else f"c{i}"
        k = seen[tone] = seen.get(tone, -1) + 1
        place = k if shared else i
        dash = DASHES[place % len(DASHES)] if shared else DASHES[0]
        styles[who] = Style(tone, dash, MARKERS[place % len(MARKERS)])
    for who in contenders:
        if who.role in CONTROL_ROLES:
            styles[who] = CONTROL_STYLES[who.task if who.role == "control" else who.role]
    return styles
