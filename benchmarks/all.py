"""Every benchmark, one after the other, and the table in `docs/performance.md`.

    python benchmarks/all.py [DATA] [--only views,step]

DATA: labelled pictures (CIFAR-10 for the numbers in the documentation), for `time_to_accuracy`,
which is left out without; the others generate their pictures. What each printed with `--json` is
kept in `docs/performance/`; the table is made of these files, so `--only` renews a part of it. Run
it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from common import machine
from targets import LINES, Line

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
KEPT = PAGE.with_suffix("")
BEGIN, END = "<!-- table: made by benchmarks/all.py -->", "<!-- end of table -->"
NEEDS_DATA = ("time_to_accuracy",)
PACKAGES = ("torch", "torchvision", "timm", "lightly", "albumentations", "kornia", "scikit-learn")


def run(name: str, data: str | None) -> None:
    """Run one and keep its rows."""
    given = [data] if name in NEEDS_DATA and data is not None else []
    command = [sys.executable, str(HERE / f"{name}.py"), *given, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    told = {
        "machine": machine(*PACKAGES),
        "date": date.today().isoformat(),
        "seconds": round(time.perf_counter() - began),
        "rows": json.loads(done.stdout),
    }
    (KEPT / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {told['seconds']} s", flush=True)


def table(kept: Path) -> str:
    """The lines of all benchmarks whose rows are in `kept`, as Markdown."""
    parts = []
    for name, lines in LINES.items():
        file = kept / f"{name}.json"
        if not file.exists():
            continue
        told = json.loads(file.read_text(encoding="utf-8"))
        rows = "\n".join(map(row_of, lines(told["rows"])))
        parts.append(
            f"`benchmarks/{name}.py`, {told['seconds']} s on {told['date']}; {told['machine']}\n\n"
            f"| what | measured | to reach | met |\n|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts)


def row_of(line: Line) -> str:
    return f"| {line.what} | {line.measured} | {line.wanted} | {'yes' if line.met else '**no**'} |"


def with_table(page: str, new: str) -> str:
    """The page with what is between the marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", nargs="?", help="labelled pictures")
    parser.add_argument("--only", help="names with commas")
    options = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    for name in options.only.split(",") if options.only else LINES:
        if name in NEEDS_DATA and options.data is None:
            print(f"{name}: left out, it needs DATA (labelled pictures)", flush=True)
        else:
            run(name, options.data)
    page = with_table(PAGE.read_text(encoding="utf-8"), table(KEPT))
    PAGE.write_text(page, encoding="utf-8")
    print(f"Table: {PAGE}")


if __name__ == "__main__":
    main()
