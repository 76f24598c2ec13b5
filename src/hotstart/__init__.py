"""Hotstart: learn visual features from unlabelled pictures, and prove what they are worth.

The functions behind the commands live in `hotstart.api`; they are named here too, and loaded when
first used, so that `import hotstart` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "calibrate",
    "compare",
    "demo",
    "embed",
    "evaluate",
    "export",
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


class _Package(ModuleType):
    """`report` and `export` are functions and rooms: here they are the functions.

    Python would put the room in the function's place as soon as a file of it is imported.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
