"""One process at a time works on a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hotstart.errors import UsageError

PATIENCE_SECONDS = 10.0
"""How long to wait for the processes of a command that was just killed to end."""


@contextlib.contextmanager
def alone(folder: Path, name: str, command: str) -> Iterator[TextIO]:
    """Hold the lock `name` in `folder`, a file that tells the machine and process that does.

    Processes that are begun with it share the lock, so it is free only when all have ended.
    Raises UsageError where another `hotstart command` holds it.
    """
    with (folder / name).open("a+", encoding="utf-8") as handle:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{folder} is being worked on by another `hotstart {command}`; wait for "
                        "it, or give another --out"
                    ) from None
                time.sleep(0.1)
        handle.truncate(0)
        handle.write(f"{socket.gethostname()} {os.getpid()} {time.time()}\n")
        handle.flush()
        os.fsync(handle.fileno())
        yield handle
