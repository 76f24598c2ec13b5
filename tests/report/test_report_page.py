"""The page as a reader, and as a browser, gets it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hotstart.errors import DataError
from hotstart.league.records import Record, write_records
from hotstart.report.page import write_report

from .fake_leagues import write_league
from .fake_runs import HOSTILE, record, write_panel, write_run

LOADING = {"src", "href", "srcset", "poster", "data", "action", "xlink:href", "background"}
VOID = {"wbr", "meta", "link", "img", "line", "circle", "br", "input"}


class Page(HTMLParser):
    """Tags, attributes, and the words between them; checks that tags are closed in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        elif self._open and self._open[-1] != "style":
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _page(folder: Path, *records: Record) -> str:
    """The words of the page of a folder with these records alone."""
    write_records(folder / "results.jsonl", records)
    return Page(write_report(folder)).words


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_report(write_league(tmp_path_factory.mktemp("league"))))


def test_every_section_is_there(league: Page) -> None:
    ids = {attributes.get("id") for attributes in league.all_of("section")}
    expected = (
        "league labels start stages cost scores diagnosis training map pictures files settings"
    )
    assert ids == set(expected.split())
    links = [a["href"] or "" for a in league.all_of("a") if "download" not in a]
    sections = [f"#{name}" for name in expected.split()]
    assert links == ["#diagnosis", *sections, *sections, "#contents"]


def test_headline_says_who_by_how_much_at_what_cost_and_how_sure(tmp_path: Path) -> None:
    found = []
    for seed in range(3):
        told = {"budget": {"seconds": 90 + 10 * seed, "images": 100_000}}
        found += [
            record("simclr", seed, value=0.50 + 0.01 * seed, **told),
            record("simclr", seed, value=0.40, labels=0.01, detail={"label_count": 400}),
            record("rotation", seed, value=0.45),
            record("random", seed, value=0.40),
            record("random", seed, value=0.22, labels=0.01),
        ]
    words = _page(tmp_path, *found)
    assert "simclr wins: 51.0 % in the linear probe on cifar10, 11.0 points above random" in words
    assert "With 1 % of the labels (400) simclr reaches 40.0 %, 18.0 points above random." in words
    assert "Next comes rotation with 45.0 %, 6.0 points behind." in words
    assert "3 seeds, deviation 1.0 point" in words
    assert "the gain is above zero in every seed (+10.0 to +12.0)" in words
    assert "Pretraining simclr took 100 s at 1,007 pictures/s." in words
    assert "top-1 accuracy on the validation split" in words


def test_no_gain_is_said_plainly(tmp_path: Path) -> None:
    words = _page(tmp_path, record("rotation", 0, value=0.3), record("random", 0, value=0.4))
    assert (
        "rotation does not beat random in the linear probe on cifar10: it is 10.0 points" in words
    )


def test_close_results_are_called_level(tmp_path: Path) -> None:
    values = {"simclr": (0.50, 0.54), "rotation": (0.51, 0.52), "random": (0.4, 0.4)}
    found = [
        record(task, seed, value=value)
        for task, pair in values.items()
        for seed, value in enumerate(pair)
    ]
    assert "the seeds spread wider than that, so call the two level" in _page(tmp_path, *found)


def test_without_a_control_no_gain_is_claimed(tmp_path: Path) -> None:
    words = _page(tmp_path, record("simclr", 0, value=0.5))
    assert "without a control, nobody can say what it gained" in words
    assert "points above" not in words


def test_only_a_pretext_record(tmp_path: Path) -> None:
    own = {"downstream": "pretext", "protocol": None, "stage": None, "labels": None}
    told = record("rotation", 0, metric="accuracy", value=0.6, chance=0.25, split="heldout", **own)
    words = _page(tmp_path, told)
    assert "rotation reaches accuracy 60.0 % at its own game (chance: 25.0 %)" in words
    assert "No downstream task was measured yet." in words


def test_decibels_have_their_unit_and_a_trivial_answer_is_not_called_chance(tmp_path: Path) -> None:
    own = {"downstream": "pretext", "protocol": None, "stage": None, "labels": None}
    told = record(
        "inpainting", 0, metric="psnr_db", value=18.25, chance=16.5, split="heldout", **own
    )
    words = _page(tmp_path, told)
    assert "PSNR 18.25 dB at its own game (trivial answer: 16.50 dB)" in words


def test_controls_alone(tmp_path: Path) -> None:
    words = _page(tmp_path, record("random", 0, value=0.4))
    assert "Controls alone so far: random reaches 40.0 %" in words


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "simclr", finished=False, evaluated=False, panels=0)
    page = Page(write_report(tmp_path / "run"))
    assert "simclr: no result yet" in page.words
    assert "Not finished: the log ends at step 149 of 300." in page.words
    assert "No pictures were kept." in page.words


def test_the_page_is_small(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("", encoding="utf-8")
    assert write_report(tmp_path).stat().st_size < 50_000


def test_no_run_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hotstart pretrain"):
        write_report(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        write_report(tmp_path / "absent")


def test_damage_costs_a_note_and_not_the_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "simclr")
    with (run / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"task": "half a li')
    with (run / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "step": 300, "loss": NaN, "metrics": null}\n\n7\n{"kind":')
    (run / "panels" / "torn.png").write_bytes(b"no picture")
    (run / "run.toml").write_text("half = ", encoding="utf-8")
    words = Page(write_report(run)).words
    assert "1 unreadable line(s) of results.jsonl left out" in words
    assert "2 unreadable line(s) of log.jsonl left out" in words
    assert "torn.png is no PNG file" in words
    assert "run.toml could not be read" in words


def test_nothing_is_loaded_from_anywhere(league: Page) -> None:
    for tag, attributes in league.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in LOADING:
                assert (value or "").startswith(("data:", "#")), (tag, name, value)
    policy = next(a for a in league.all_of("meta") if "http-equiv" in a)["content"] or ""
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


@pytest.mark.parametrize("where", ["task", "folder", "data", "panel", "quarantine", "settings"])
def test_every_name_is_escaped(tmp_path: Path, where: str) -> None:
    name = HOSTILE.replace("/", "\u2215") if where == "folder" else HOSTILE
    folder = tmp_path / "runs"
    for i, task in enumerate([HOSTILE if where == "task" else "simclr", "random"]):
        write_run(
            folder / (name if where == "folder" and not i else f"run{i}"),
            task,
            quarantine=[(HOSTILE, "bad")] if where == "quarantine" else [],
            settings={"data": HOSTILE} if where == "settings" else None,
            data=HOSTILE if where == "data" else "cifar10",
        )
    if where == "panel":
        write_panel(folder / "run0", "sheet", "simclr", title=HOSTILE, caption=HOSTILE)
    page = Page(write_report(folder))
    assert " ".join(name.split()) in page.words
    assert len(page.scripts) == 6
    assert all((a["src"] or "").startswith("data:image/png;base64,") for a in page.all_of("img"))
    assert not any("alert" in script for script in page.scripts), "no script holds data"


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr", quarantine=[])
    (tmp_path / "quarantine.csv").write_bytes(b'path,reason\n"caf\xe9\n.jpg","bad, really"\n')
    words = json.loads((tmp_path / "panels/sheet0.json").read_text(encoding="utf-8"))
    words["title"] = "lone \ud800 surrogate"
    (tmp_path / "panels/sheet0.json").write_text(json.dumps(words), encoding="utf-8")
    page = Page(write_report(tmp_path))
    assert "bad, really" in page.words
    assert "lone ? surrogate" in page.words


def test_small_sheets_are_enlarged_by_whole_factors(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr", panels=0)
    write_panel(tmp_path, "tiny", "simclr", side=8)
    write_panel(tmp_path, "wide", "simclr", side=128)
    tiny, wide = Page(write_report(tmp_path)).all_of("img")
    assert (tiny["width"], tiny["class"]) == ("320", "pixels")
    assert wide["width"] == "640"
    assert "class" not in wide


def test_the_same_folder_gives_the_same_page(tmp_path: Path) -> None:
    write_run(tmp_path, "simclr")
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("typed", "shown"), [("digits:", "on digits"), ("/some/where/birds", "on birds")]
)
def test_data_sets_are_named_as_one_says_them(tmp_path: Path, typed: str, shown: str) -> None:
    found = [record(task, 0, data=typed, value=0.4) for task in ("simclr", "random")]
    words = _page(tmp_path, *found)
    assert f"Classification {shown}, validation split" in words
