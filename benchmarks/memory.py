"""Peak resident memory of pretraining as the data grow 1x, 4x and 16x.

    python benchmarks/memory.py [--pictures 2000] [--steps 20] [--json]

Each run is a process of its own with a warm cache: Hotstart's loop, and the same encoder trained on
lightly's `LightlyDataset` through PyTorch's `DataLoader` in the main process, whose resident memory
is told alike. Pages of a memory-mapped file that are still in memory count as resident although the
system takes them back when it needs room, so beside the peak stands the part that is not of files.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from common import Row, apart, machine, parser_of, write_jpegs

GROWTH = (1, 4, 16)
BATCH = 128

TOLD = """
import threading, time
import psutil
me, highest, ended = psutil.Process(), [0, 0], threading.Event()
def watch():
    while not ended.is_set():
        told = me.memory_info()
        highest[0] = max(highest[0], told.rss)
        highest[1] = max(highest[1], told.rss - told.shared)
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
{work}
ended.set()
print(highest[0], highest[1])
"""
HOTSTART = """
import sys
import hotstart
data, steps, batch, out = sys.argv[1:]
hotstart.pretrain(data, task="simclr", encoder="resnet10t", size=32, batch_size=int(batch),
                  steps=int(steps), out=out)
"""
LIGHTLY = """
import sys
import timm, torch
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.transforms.simclr_transform import SimCLRTransform
from torch.utils.data import DataLoader
dataset = LightlyDataset(sys.argv[1], transform=SimCLRTransform(input_size=32))
model = timm.create_model("resnet10t", num_classes=128)
optimiser = torch.optim.SGD(model.parameters(), 0.06)
batches = iter(DataLoader(dataset, int(sys.argv[3]), shuffle=True, drop_last=True))
criterion = NTXentLoss()
for _ in range(min(int(sys.argv[2]), len(dataset) // int(sys.argv[3]))):
    (first, second), *_ = next(batches)
    loss = criterion(model(first), model(second))
    optimiser.zero_grad(); loss.backward(); optimiser.step()
"""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--pictures", type=int, default=2_000, help="of the smallest set")
    parser.add_argument("--steps", type=int, default=15)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch) / "cache")
        for growth in GROWTH:
            count = growth * arguments.pictures
            folder = write_jpegs(Path(scratch) / f"pictures{growth}", count, 32, 32)
            given = (str(folder), str(arguments.steps), str(BATCH))
            # The first run builds the cache, the second is measured.
            for turn in ("cold", "warm"):
                out = str(Path(scratch) / f"run{growth}{turn}")
                ours = apart(TOLD.format(work=HOTSTART), *given, out)
            lightlys = apart(TOLD.format(work=LIGHTLY), *given)
            for name, told in (("hotstart", ours), ("lightly", lightlys)):
                peak, own = map(int, told.split()[-2:])
                rows.append(
                    {
                        "benchmark": "memory",
                        "pictures": count,
                        "contender": name,
                        "peak_megabytes": round(peak / 2**20, 1),
                        "without_files_megabytes": round(own / 2**20, 1),
                    }
                )
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "lightly"))
    print(f"{'pictures':>9} {'contender':10} {'peak MB':>9} {'without files':>14}")
    for row in rows:
        print(
            f"{row['pictures']:9,} {row['contender']:10} {row['peak_megabytes']:9.0f} "
            f"{row['without_files_megabytes']:14.0f}"
        )


if __name__ == "__main__":
    main()
