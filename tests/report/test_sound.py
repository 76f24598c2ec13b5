"""Sound in panels: kept beside them, in the page, played by it."""

from __future__ import annotations

import base64
import io
import re
import wave
from pathlib import Path

import numpy as np
import torch

from hotstart.pretext.sound_panels import heat_over, match_panel, spectrogram, strip
from hotstart.report.page import write_report
from hotstart.training.folder import write_panel

from .fake_runs import write_run


def test_a_player_for_each_sound_within_the_page(tmp_path: Path) -> None:
    page, tones = report(tmp_path)
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<audio controls preload="none" src="data:audio/wav;base64,([^"]+)"', text)
    assert len(found) == 3  # four cells, of which one repeats its row's sound
    for encoded, tone in zip(found, (tones[0], tones[0], tones[1]), strict=True):
        with wave.open(io.BytesIO(base64.b64decode(encoded))) as heard:
            assert (heard.getframerate(), heard.getnchannels()) == (16_000, 1)
            samples = np.frombuffer(heard.readframes(heard.getnframes()), "<i2")
        assert np.abs(samples / 2**15 - tone.numpy()).max() < 1e-3
    assert "row 2, fits best" in text
    assert "media-src data:;" in text  # the page's policy lets it play


def report(folder: Path) -> tuple[Path, list[torch.Tensor]]:
    """A report on one run whose panel has two rows: a sound twice; two sounds."""
    seconds = torch.arange(8000) / 16_000
    tones = [0.5 * torch.sin(2 * torch.pi * hertz * seconds) for hertz in (300, 3000)]
    picture = np.full((32, 32, 3), 90, np.uint8)
    cells = [
        [(picture, tones[0]), (picture, tones[0])],
        [(picture, tones[0]), (picture, tones[1])],
    ]
    columns = "picture, its sound", "fits best"
    panel = match_panel("pairs", "Which sound?", "A caption.", columns, cells, [["", ""]] * 2)
    run = write_run(folder / "run", "rotation", 0)
    write_panel(run, "rotation", panel)
    return write_report(folder), tones


def test_spectrograms_have_high_notes_at_the_top() -> None:
    seconds = torch.arange(8000) / 16_000
    for hertz, half in ((300, "low"), (5000, "high")):
        shown = spectrogram(torch.sin(2 * torch.pi * hertz * seconds)).astype(float).sum(2)
        upper, lower = shown[:32].max(), shown[32:].max()
        assert (upper > lower) == (half == "high")


def test_heat_is_red_where_it_is_highest() -> None:
    heat = torch.zeros(1, 2, 2)
    heat[0, 0, 1] = 1.0
    shown = heat_over(torch.full((1, 3, 32, 32), 0.5), heat)[0].astype(int)
    redness = shown[..., 0] - shown[..., 2]
    y, x = np.unravel_index(redness.argmax(), redness.shape)
    assert y < 16 <= x
    assert strip([np.full((4, 4, 3), k, np.uint8) for k in range(5)])[0, ::4, 0].tolist() == [
        0,
        2,
        4,
    ]
