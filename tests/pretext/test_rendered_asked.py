"""What `rendered` may be asked beside: which thing, and where each place moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hotstart import api
from hotstart.arguments import parse_set
from hotstart.augment.settings import plain
from hotstart.data import open_dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.errors import DataError
from hotstart.league.records import read_records
from hotstart.pretext.free_labels.asked_maps import ExactFlow, Things, VectorErrors, to_the_middle
from hotstart.pretext.free_labels.rendered import Rendered
from hotstart.training.loop import Material
from tests.conformance.material import draws, fit, make_task

ASK = {"rendered": {"ask": ["instances", "flow"]}}
CLIPS = "world:videos?n=40&size=32&frames=3&hz=8&samples=2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.render(CLIPS, tmp_path_factory.mktemp("world") / "w", form="shards", processes=1)


def test_pixels_of_one_thing_point_to_its_middle() -> None:
    which = torch.zeros(2, 8, 8, dtype=torch.int64)
    which[0, 1:3, 2:6] = 1
    which[0, 5:8, 0:2] = 3
    ways = to_the_middle(which)
    for row in range(2):
        for y in range(8):
            for x in range(8):
                number = int(which[row, y, x])
                own = (which[row] == number).nonzero().double().mean(0) if number else None
                wanted = [0, 0] if own is None else [float(own[1] - x) / 8, float(own[0] - y) / 8]
                assert ways[row, :, y, x].tolist() == pytest.approx(wanted, abs=1e-6)


def test_flow_is_in_sides_of_the_view_and_turns_with_its_mirror() -> None:
    pictures = Pictures.from_arrays([np.zeros((48, 48, 3), np.uint8)] * 2)
    known = torch.tensor([3.0, -1.5]).view(1, 2, 1, 1).expand(2, 2, 24, 24)
    box = torch.tensor([[0, 0, 48, 48], [12, 12, 24, 24]])
    drawn = plain(box, torch.tensor([False, True]))
    vectors = ExactFlow().truth(known, pictures, drawn, 16)["vectors"]
    # 3 of 24 px are an eighth of the whole, and a quarter of half of it.
    assert vectors[0, :, 5, 5].tolist() == pytest.approx([1 / 8, -1 / 16])
    assert vectors[1, :, 5, 5].tolist() == pytest.approx([-1 / 4, -1 / 8])
    assert vectors.shape == (2, 2, 16, 16)


def test_errors_are_what_a_loop_says() -> None:
    torch.manual_seed(2)
    said, truth, mean = (torch.randn(2, 2, 3, 3) for _ in range(3))
    known = torch.rand(2, 1, 3, 3) > 0.4
    sums = np.zeros(3)
    for row, y, x in known[:, 0].nonzero().tolist():
        a, b, c = (v[row, :, y, x].numpy() for v in (said, truth, mean))
        sums += [np.hypot(*(a - b)), np.hypot(*b), np.hypot(*(c - b))]
    errors = VectorErrors()
    errors.add(said[:1], truth[:1], mean[:1], known[:1])
    errors.add(said[1:], truth[1:], mean[1:], known[1:])
    score = errors.score("flow_px", 10, 2)
    sums *= 10 / int(known.sum())
    assert score.value == pytest.approx(sums[0], rel=1e-5)
    assert score.trivial == pytest.approx(min(sums[1:]), rel=1e-5)


def test_a_perfect_answer_has_no_error() -> None:
    which = torch.zeros(1, 1, 16, 16)
    which[..., 4:9, 3:8] = 2
    pictures = Pictures.from_arrays([np.zeros((16, 16, 3), np.uint8)])
    drawn = plain(torch.tensor([[0, 0, 16, 16]]))
    things = Things()
    views = things.truth(which, pictures, drawn, 16)
    said = torch.cat([(views["things"].float() - 0.5) * 60, views["centres"]], 1)
    things.add(said, views, views)
    overlap, centres = things.scores(1)
    assert (overlap.value, centres.value) == (1.0, 0.0)
    assert overlap.trivial is not None
    assert 0.2 < overlap.trivial < 1
    assert float(things.loss(said, views)) < 1e-6


def test_a_run_tells_both_beside_trivial_answers(folder: Path, tmp_path: Path) -> None:
    assert parse_set(['rendered.ask=["instances", "flow"]']) == ASK
    run = api.pretrain(
        str(folder),
        task="rendered",
        task_settings=ASK,
        steps=2,
        batch_size=8,
        size=32,
        out=tmp_path / "run",
    )
    told = {record.metric: record for record in read_records(run / "results.jsonl")}
    assert {"depth_close", "things_iou", "centres_px", "flow_px"} <= set(told)
    assert all(record.chance is not None for record in told.values())
    assert list((run / "panels").glob("*.png"))


def test_pictures_have_no_flow_and_the_error_says_who_has(
    rendered_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"'exact_flow'.*world:videos"):
        api.pretrain(
            str(rendered_folder),
            task="rendered",
            task_settings=ASK,
            steps=1,
            size=32,
            out=tmp_path / "run",
        )


@pytest.mark.slow
def test_it_learns_which_pixels_are_of_things(tmp_path: Path) -> None:
    api.render("world:images?n=40&size=32&seed=0", tmp_path / "things")
    dataset = open_dataset(str(tmp_path / "things"), size=32)
    material = Material(dataset, np.arange(32), np.arange(32, 40))
    torch.manual_seed(0)
    task = make_task("rendered", material, 32, task_settings={"rendered": {"ask": ["instances"]}})
    assert isinstance(task, Rendered)
    batch = dataset.batch(material.train, task.needs)
    fit(task, lambda step: task.views(batch, draws(step, 32)), 240, 4e-3)
    scores = task.eval().score([batch], Draws(0, 0, total=1))
    overlap = next(one for one in scores.each if one.metric == "things_iou")
    assert overlap.value > (overlap.trivial or 1) + 0.1
