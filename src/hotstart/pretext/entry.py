"""What is said of a pretext task or control before it is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["generation", "context", "free_labels", "cross_modal", "control", "several"]
"""The lecture's; `several` of tasks of different ones that are trained at once."""


@dataclass(frozen=True)
class Entry:
    """Where a task is, and what a reader of the list wants to know."""

    path: str
    """`module:Class`."""
    family: Family
    kind: str
    """The lecture's: predictive, generative, contrastive, or a mix; `control`."""
    needs: tuple[str, ...]
    """Sample keys that it reads."""
    paper: str
    encoder: str = ""
    """The only encoder that it can fill; empty for the many that leave the choice."""
