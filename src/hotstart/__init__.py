"""Hotstart: learn visual features from unlabelled pictures, and prove what they are worth.

The functions behind the commands live in `hotstart.api`; they are named here too, and loaded when
first used, so that `import hotstart` costs nothing.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "calibrate",
    "compare",
    "demo",
    "embed",
    "evaluate",
    "gallery",
    "pretrain",
    "race",
    "render",
    "report",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from hotstart import api

        return getattr(api, name)
    raise AttributeError(f"module 'hotstart' has no attribute {name!r}; public: {__all__}")
