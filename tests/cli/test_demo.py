"""The demo: one task of each family and the ceiling, classification, a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotstart import demo_api
from hotstart.cli import app
from hotstart.demo_api import LESSONS
from hotstart.league.records import read_records
from hotstart.pretext.registry import TASKS


def test_it_shows_every_family_and_a_control() -> None:
    families = {TASKS[lesson.task].family for lesson in LESSONS}
    assert families == {"generation", "context", "free_labels", "cross_modal", "control"}
    assert any("clip" in TASKS[lesson.task].needs for lesson in LESSONS)


@pytest.mark.slow
def test_one_command_ends_with_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_api, "WORLD", "world:objects?n=60&size=32&samples=1")
    monkeypatch.setattr(demo_api, "CAMERA", "frames=3&hz=8")
    out, words = tmp_path / "demo", ["demo", "--minutes", "0.001", "--out"]
    ended = CliRunner().invoke(app, [*words, str(out)], catch_exceptions=False)
    assert ended.exit_code == 0
    assert f"Report: {out / 'report.html'}" in ended.output
    page = (out / "report.html").read_text(encoding="utf-8")
    for lesson in LESSONS:
        assert lesson.task in page
        assert lesson.question in ended.output
        records = read_records(out / lesson.task / "results.jsonl")
        assert {r.downstream for r in records} == {"pretext", "classify"}
        assert {r.labels for r in records if r.protocol == "linear"} == set(demo_api.LABELS)
        assert list((out / lesson.task / "panels").glob("*.png"))
    first = read_records(out / LESSONS[0].task / "results.jsonl")
    assert "random" in {r.task for r in first}
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/encoder.safetensors")}
    assert len(times) == len(LESSONS)
    again = CliRunner().invoke(app, [*words, str(out)], catch_exceptions=False)
    assert again.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times, "nothing is done again"
