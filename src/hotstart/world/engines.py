"""The two engines: MuJoCo moves things, Mitsuba 3 draws them. Both come with an extra."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

from hotstart.errors import UsageError

PACKAGES = ("mujoco", "mitsuba")


def versions() -> str:
    """As "mujoco 3.3.0, mitsuba 3.7.0". Raises `UsageError` where one is absent."""
    try:
        return ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    except metadata.PackageNotFoundError:
        raise UsageError(absent()) from None


def absent() -> str:
    """What to do without the engines."""
    return (
        f"world: needs {' and '.join(PACKAGES)}, and they are not installed; "
        "pip install 'hotstart[world]'"
    )


@functools.cache
def mujoco() -> Any:
    """The physics engine. Raises `UsageError` where it is absent."""
    try:
        import mujoco
    except ImportError:
        raise UsageError(absent()) from None
    return mujoco


@functools.cache
def mitsuba() -> Any:
    """The renderer, one path of light at a time and on one core: processes are the cores.

    Raises `UsageError` where it is absent.
    """
    try:
        import drjit
        import mitsuba
    except ImportError:
        raise UsageError(absent()) from None
    mitsuba.set_variant("scalar_rgb")
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(1)
    return mitsuba
