"""How long a command takes to answer, and until the first step of training.

    python benchmarks/startup.py [--rounds 5] [--json]

`hotstart --help`, `hotstart tasks` and a usage error, as processes of their own, beside a bare
`python -c pass` and, where lightly-train is installed, its `--help`; then the wall time from the
start of `hotstart pretrain` with a warm cache to the end of the first step, beside a process that
does nothing but import torch and timm.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import Row, machine, medians, parser_of, take_turns, write_jpegs

HOTSTART = [sys.executable, "-m", "hotstart"]
PICTURES = 2_000


def running(command: list[str], expected: int = 0) -> Callable[[], object]:
    def work() -> None:
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != expected:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()}")

    return work


def answers(rounds: int) -> dict[str, float]:
    contenders = {
        "hotstart --help": running([*HOTSTART, "--help"]),
        "hotstart tasks": running([*HOTSTART, "tasks"]),
        "hotstart usage error": running([*HOTSTART, "pretrain", "--no-such-option"], expected=2),
        "python -c pass": running([sys.executable, "-c", "pass"]),
    }
    peer = shutil.which("lightly-train")
    if peer is not None:
        contenders["lightly-train --help"] = running([peer, "--help"])
    return medians(take_turns(contenders, rounds))


def first_step(folder: Path, scratch: Path, rounds: int) -> dict[str, float]:
    """Seconds until the first step has ended, and those of the imports that none can avoid."""
    number = 0
    until: list[float] = []

    def pretrain() -> None:
        nonlocal number
        number += 1
        out = scratch / f"run{number}"
        command = [*HOTSTART, "pretrain", str(folder), "--task", "rotation", "--steps", "1"]
        began = time.time()
        running([*command, "--batch-size", "64", "--size", "32", "--out", str(out)])()
        events = map(json.loads, (out / "log.jsonl").read_text(encoding="utf-8").splitlines())
        until.append(next(event["time"] for event in events if event["kind"] == "step") - began)

    pretrain()
    until.clear()
    imports = running([sys.executable, "-c", "import torch, timm"])
    spent = take_turns({"pretrain": pretrain, "import torch, timm": imports}, rounds)
    return medians(
        {
            "hotstart pretrain: first step": until,
            "import torch, timm": spent["import torch, timm"],
        }
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch) / "cache")
        folder = write_jpegs(Path(scratch) / "pictures", PICTURES, 32, 32)
        spent = {**answers(arguments.rounds), **first_step(folder, Path(scratch), arguments.rounds)}
    rows: list[Row] = [
        {"benchmark": "startup", "contender": name, "seconds": round(seconds, 3)}
        for name, seconds in spent.items()
    ]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "timm"))
    for row in rows:
        print(f"{row['contender']:32} {row['seconds']:8.3f} s")


if __name__ == "__main__":
    main()
