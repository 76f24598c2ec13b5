"""The tables of docs/encoders.md are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from hotstart.encoders import VideoEncoder, build_encoder, resolve_spec
from hotstart.encoders.build import OWN, TORCHVISION
from hotstart.encoders.fixed import FIXED

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"
ROWS = re.findall(r"^\| `(\S+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)


def test_every_name_that_is_not_timms_is_there() -> None:
    assert {*OWN, *TORCHVISION} - set(FIXED) <= {name for name, _ in ROWS}


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_says_what_the_encoder_is(name: str, row: str) -> None:
    spec = resolve_spec(name, 64)
    with torch.device("meta"):
        encoder = build_encoder(spec, 0)
    weights = sum(weight.numel() for weight in encoder.parameters())
    facts = [spec.stem, f"{weights / 1e6:.2f} M", str(encoder.dim)]
    facts += [_told(encoder.stage_dims), _told(encoder.stage_strides)]
    if isinstance(encoder, VideoEncoder):
        facts.append(_told(encoder.stage_frame_strides))
    assert row.split(" | ") == facts


def _told(numbers: tuple[int, ...]) -> str:
    if len(set(numbers)) == 1:
        return f"{len(numbers)} x {numbers[0]}"
    return ", ".join(map(str, numbers))
