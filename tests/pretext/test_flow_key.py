"""Panels that show flow in colours tell in a last column which colour is which way."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hotstart.augment import colour_wheel
from hotstart.config import parse
from hotstart.data.panel import Panel
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.panels import KEY_PX, with_flow_key
from hotstart.pretext.registry import task_class
from hotstart.pretext.task import Info, to_uint8
from tests.pretext.flows import SIZE, batch_of
from tests.pretext.moving import moving
from tests.pretext.pictures import draws


@pytest.mark.parametrize(
    ("name", "own"),
    [("flow_prediction", {}), ("flow_correspondence", {"fields": 1}), ("moving_objects", {})],
)
@pytest.mark.parametrize("answers", [False, True])
def test_the_key_is_the_last_column(name: str, own: dict[str, Any], answers: bool) -> None:
    cls = task_class(name)
    encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
    task: Any = cls(encoder, parse(cls.Settings, own, name), Info(100, SIZE, 8, 100))
    batch = batch_of(moving(8, size=SIZE))
    batch["group"] = torch.arange(8)
    (panel,) = task.eval().panels(batch, draws(8), answers=answers)
    (wheel,) = to_uint8(colour_wheel(KEY_PX)[None])
    assert panel.columns[-1] == "key"
    assert "Hue is direction as in the last column" in panel.caption
    assert panel.pictures
    for pictures, texts in zip(panel.pictures, panel.texts, strict=True):
        assert (pictures[-1] == wheel).all()
        assert len(pictures) == len(texts) == len(panel.columns)


def test_a_panel_without_rows_has_a_key_too() -> None:
    panel = with_flow_key(Panel("x", "Which?", "This.", ("frame",), [], []))
    assert panel.columns == ("frame", "key")
    assert panel.caption.startswith("This. Hue")
