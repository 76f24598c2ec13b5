"""What the C library does with memory that is freed: keep it for the next step, or give it back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1
LARGEST = 2**30


def keep_memory() -> bool:
    """Have glibc reuse large blocks; True where it could be told so.

    By default each large tensor is mapped anew and given back when freed, so that every step of a
    CPU run pays for the same page faults again.
    """
    library = _glibc()
    if library is None:
        return False
    mallopt = library.mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


def give_back() -> None:
    """Have glibc return to the system what has been freed: after work that is not repeated."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError):  # another C library
        return None
