"""Versions that a record names, without importing what it names."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

NAMED = ("hotstart", "torch", "torchvision", "timm", "lightning-fabric", "numpy")


def versions() -> dict[str, str]:
    """Package versions and Python's."""
    found = {"python": platform.python_version()}
    for name in NAMED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
