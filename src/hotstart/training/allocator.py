"""Keeping the C library from handing memory back to the kernel between training steps."""

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
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
