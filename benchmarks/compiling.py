"""What `torch.compile`, the channels-last format and bfloat16 each save in a step of the encoder.

    python benchmarks/compiling.py [--rounds 6] [--json]

Forward, backward and SGD step of `resnet10t` with timm's stem on one fixed batch, in one thread,
contenders in turn; seconds of CPU time, medians, and what compiling costs at first.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import Tensor

from common import Row, machine, parser_of

ENCODER = "resnet10t"
CASES = ((32, 512), (96, 64))
"""Side in pixels, pictures."""
CONTENDERS = {
    "as PyTorch comes": (False, False, False),
    "channels-last": (True, False, False),
    "compiled": (False, True, False),
    "channels-last, compiled": (True, True, False),
    "channels-last, bfloat16": (True, False, True),
}


def stepping(images: Tensor, channels_last: bool, compiled: bool, half: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    model = timm.create_model(ENCODER, num_classes=128)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    if compiled:
        model.compile()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = model(images).float().pow(2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def seconds_of(step: Callable[[], None]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for size, pictures in CASES:
        images = torch.randn(pictures, 3, size, size)
        steps = {name: stepping(images, *how) for name, how in CONTENDERS.items()}
        first = {name: seconds_of(step) for name, step in steps.items()}
        spent: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(options.rounds):
            for name, step in steps.items():
                spent[name].append(seconds_of(step))
        rows += [
            {
                "benchmark": "compiling",
                "size": size,
                "pictures": pictures,
                "contender": name,
                "first_step_seconds": round(first[name], 2),
                "step_seconds": round(statistics.median(each), 4),
            }
            for name, each in spent.items()
        ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "timm"))
    for row in rows:
        print(
            f"{row['size']:4} px x {row['pictures']:4}  {row['contender']:26} first step "
            f"{row['first_step_seconds']:6.2f} s, then {row['step_seconds']:7.4f} s"
        )


if __name__ == "__main__":
    main()
