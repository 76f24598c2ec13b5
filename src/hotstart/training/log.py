"""The run's log: `log.jsonl`, TensorBoard, and whoever listens (the progress bar)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Listener = Callable[[dict[str, Any]], None]


class Log:
    """Writes events of rank 0; on other ranks it is silent.

    Kinds: `start`, `resume`, `step`, `health`, `diagnosis`, `end`; see `docs/run-folder.md`.
    """

    def __init__(self, folder: Path | None, listener: Listener | None = None) -> None:
        self.listener = listener
        self._file = None
        self._board: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._file = (folder / "log.jsonl").open("a", encoding="utf-8")
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, kind: str, **values: Any) -> None:
        """One event, one line."""
        event = {"kind": kind, "time": round(time.time(), 3), **values}
        if self._file is not None:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
            step = values.get("step")
            if step is not None:
                self._scalars(kind, values, int(step))
        if self.listener is not None:
            self.listener(event)

    def _scalars(self, kind: str, values: dict[str, Any], step: int) -> None:
        flat = {**values, **values.get("metrics", {})}
        for name, value in flat.items():
            if isinstance(value, int | float) and name not in ("step", "kind"):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._board.close()
            self._file = None
