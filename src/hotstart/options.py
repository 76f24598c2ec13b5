"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class StemChoice(StrEnum):
    """Values of --stem."""

    AUTO, TIMM, SMALL = "auto", "timm", "small"


class CompileChoice(StrEnum):
    """Values of --compile."""

    AUTO, ON, OFF = "auto", "on", "off"


class SplitChoice(StrEnum):
    """Values of --split."""

    VAL, TEST = "val", "test"


DATA = (
    "Folder of pictures, videos or sounds; tar shards; table; frames:, camera:, world:, digits:, "
    "cifar10."
)
Encoder = Annotated[
    str | None,
    typer.Option(
        help="resnet10_narrow, vit_narrow_depth4, any timm CNN or ViT; of clips r3d10_narrow, "
        "tube_vit_narrow_depth4, frames:NAME."
    ),
]
Size = Annotated[int | None, typer.Option(min=8, help="Picture side in pixels; follows the data.")]
StemOption = Annotated[StemChoice, typer.Option(help="What happens to pictures of 32 to 64 px.")]
Label = Annotated[str | None, typer.Option(help="Label column of a table, field of tar shards.")]
Group = Annotated[
    str | None, typer.Option(help="Column, field, or regular expression on the path.")
]
AudioOffset = Annotated[
    float | None, typer.Option(help="How much later the sound of videos comes than its frames.")
]
Real = Annotated[str | None, typer.Option(help="Real pictures beside rendered ones.")]
AllowLeak = Annotated[bool, typer.Option("--allow-leak", help="A picture may be in two splits.")]
IgnoreIndex = Annotated[
    str | None, typer.Option(help="Values of label maps that are no class, as 11,255.")
]
ClassNames = Annotated[
    str | None, typer.Option(help="Of label maps: a,b,c or a file, one a line; classes.txt.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")]
Precision = Annotated[
    str | None, typer.Option(help="32-true; bf16-mixed is faster where the processor has bfloat16.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="task.name=value, as often as you like.")
]
