"""Graph constraint: which pairs are loaded and seen, what they are made of, and when anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from hotstart.augment import centre_view, random_view
from hotstart.data import Subset
from hotstart.data.draws import Draws
from hotstart.errors import UsageError
from hotstart.pretext.clustering import whitened, whitening
from hotstart.pretext.constraints import mine
from hotstart.pretext.context import graph_constraint
from hotstart.pretext.context.graph_constraint import GraphConstraint
from hotstart.pretext.sift import bag_of_words, words_of
from hotstart.pretext.task import to_uint8
from hotstart.training.loop import Material
from tests.conformance.material import (
    draws,
    first_batch,
    make_loop,
    make_task,
    material_from,
    only,
    play,
    same_state,
)
from tests.pretext.naive import naive_nt_xent
from tests.pretext.pictures import gratings

GROUPS, EACH, ROWS = 10, 16, 16


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material_from(gratings(tmp_path_factory.mktemp("gratings"), GROUPS, GROUPS * EACH))


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as that these pictures have windows enough for them."""
    monkeypatch.setattr(graph_constraint, "WORDS", 32)


def build(material: Material, rows: int = ROWS, **own: Any) -> GraphConstraint:
    made = make_task("graph_constraint", material, rows, task_settings={"graph_constraint": own})
    assert isinstance(made, GraphConstraint)
    return made


def prepared(task: GraphConstraint, material: Material, cache: Path) -> GraphConstraint:
    task.prepare(Subset(material.dataset, material.train), cache, draws(0, ROWS))
    return task


def epoch(number: int) -> Draws:
    return Draws(0, number, total=1, names=("epoch",))


def features(material: Material, seed: int = 0) -> Tensor:
    """Features h of the training pictures that lie in ten groups, and not those of the stripes."""
    generator = torch.Generator().manual_seed(seed)
    count = len(material.train)
    middles = torch.randn(GROUPS, 256, generator=generator)
    return middles[torch.arange(count) // EACH] * 3 + torch.randn(count, 256, generator=generator)


def never() -> Tensor:
    raise AssertionError("no features were needed")


@pytest.mark.parametrize("rows", [16, 18])
def test_the_loss_is_nt_xent_over_the_pairs_side_by_side(material: Material, rows: int) -> None:
    """Value and gradient; rows that make no whole quadruple count for nothing."""
    task = build(material, rows).double().eval()
    views = task.views(first_batch(task, material, rows), draws(0, rows))
    images = views["image"].double()
    results = []
    for whole in (False, True):
        task.zero_grad()
        if whole:
            z = task.projector(task.encoder(images[:16]))
            loss = naive_nt_xent(z[0::2], z[1::2], 0.2)
        else:
            loss = play(task, {"image": images}, "task").loss
        loss.backward()
        weights = dict(task.named_parameters())
        results.append((loss.detach(), {name: w.grad.clone() for name, w in weights.items()}))  # type: ignore[union-attr]
    torch.testing.assert_close(results[0], results[1])


def test_each_picture_is_seen_in_its_place(material: Material) -> None:
    task = build(material, view={"crop_scale": (0.95, 1.0), "flip": 0.0, "jitter": 0.0, "grey": 0})
    batch = first_batch(task, material, ROWS)
    views = task.views(batch, draws(0, ROWS))
    assert set(views) == {"image"}
    wholes = centre_view(batch["image"], task.info.size)
    distances = torch.cdist(views["image"].flatten(1), wholes.flatten(1))
    assert distances.argmin(1).tolist() == list(range(ROWS))


@pytest.mark.parametrize("processes", [1, 2])
def test_every_process_loads_whole_quadruples(
    material: Material, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_constraint, "world", lambda: processes)
    rows = 20
    task = build(material, rows, neighbours=3)
    order = task.before_epoch(lambda: features(material), epoch(0)).order
    assert order is not None
    batches = len(material.train) // rows
    assert len(order) == batches * rows
    whole = {tuple(row) for row in task.quadruples.tolist()}
    for part in order.reshape(batches * processes, rows // processes):
        quadruples = part[: len(part) // 4 * 4].reshape(-1, 4).tolist()
        assert len(quadruples) == rows // processes // 4
        assert {tuple(row) for row in quadruples} <= whole
    again = build(material, rows, neighbours=3).before_epoch(lambda: features(material), epoch(0))
    assert np.array_equal(order, np.asarray(again.order))
    later = task.before_epoch(lambda: features(material), epoch(1)).order
    assert not np.array_equal(order, np.asarray(later))


def same_group(quadruples: Tensor, groups: npt.NDArray[np.int64]) -> tuple[float, float]:
    """How many positives, and how many hard negatives, are of their anchor's group."""
    anchors, positives, negatives, partners = (groups[column] for column in quadruples.numpy().T)
    assert (negatives == partners).mean() == pytest.approx((anchors == positives).mean(), abs=0.1)
    return float((anchors == positives).mean()), float((anchors == negatives).mean())


def test_the_first_graph_is_one_of_visual_words(material: Material, tmp_path: Path) -> None:
    """Stripes of one direction, whatever their colours, are pairs, and those of another are not."""
    task = prepared(build(material, neighbours=8), material, tmp_path)
    task.before_epoch(never, epoch(0))
    words = words_of(Subset(material.dataset, material.train), 32, tmp_path)[1]
    bags = bag_of_words(words)
    own = task.settings
    expected = mine(
        whitened(bags, *whitening(bags, len(material.train) // 8)).numpy(),
        len(material.train) // 4,
        epoch(0).named("pairs").generator,
        **{key: getattr(own, key) for key in ("neighbours", "cycle", "candidates", "apart")},
    )
    assert task.quadruples.tolist() == expected.quadruples.tolist()
    assert float(task.linked) == pytest.approx(expected.linked)
    assert float(task.apart) == pytest.approx(expected.apart)
    positive, negative = same_group(task.quadruples, material.train % GROUPS)
    # A tenth at random.
    assert positive > 0.9
    assert negative < 0.1


def test_later_graphs_are_of_the_networks_own_features(material: Material, tmp_path: Path) -> None:
    task = prepared(build(material), material, tmp_path)
    task.before_epoch(never, epoch(0))
    by_words = task.quadruples.clone()
    h = features(material)
    task.before_epoch(lambda: h, epoch(1))
    assert not torch.equal(task.quadruples, by_words)
    groups = np.arange(len(material.train)) // EACH
    assert same_group(by_words, groups)[0] < 0.3
    positive, negative = same_group(task.quadruples, groups)
    assert positive > 0.9
    assert negative < 0.1
    assert 0.5 < float(task.linked) <= 1
    assert 0.5 < float(task.apart) <= 1
    task.before_epoch(lambda: features(material, 1)[torch.arange(len(h)).flip(0)], epoch(2))
    metrics = play(
        task, task.views(first_batch(task, material, ROWS), draws(0, ROWS)), "task"
    ).metrics
    assert metrics["linked"] is task.linked
    assert metrics["apart"] is task.apart


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [
        (1, 3.0, [0, 1, 2]),
        # The last half epoch would hardly learn from one, and so has none.
        (1, 3.4, [0, 1, 2]),
        (1, 3.6, [0, 1, 2, 3]),
        (2, 6.0, [0, 2, 4]),
        # However short the run, it has a first one.
        (1, 0.2, [0]),
    ],
)
def test_a_new_graph_where_it_is_due(
    material: Material, every: int, steps: float, expected: list[int]
) -> None:
    """steps: of the run, in epochs."""
    task = build(material, 12, regraph_epochs=every)
    per_epoch = len(material.train) // 12
    task.info = replace(task.info, total_steps=round(steps * per_epoch))
    found = []
    for number in range(int(np.ceil(steps))):
        before = task.quadruples.clone()
        task.before_epoch(lambda number=number: features(material, number), epoch(number))  # type: ignore[misc]
        if not torch.equal(before, task.quadruples):
            found.append(number)
    assert found == expected


@pytest.mark.parametrize(("rows", "processes"), [(3, 1), (7, 2)])
def test_a_batch_that_holds_no_quadruple_is_refused(
    material: Material, rows: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_constraint, "world", lambda: processes)
    sentence = (
        "graph_constraint loads 4 pictures side by side, and a batch has 3 rows a process: enlarge "
        "--batch-size"
    )
    with pytest.raises(UsageError) as caught:
        build(material, rows)
    assert str(caught.value) == sentence
    build(material, 4 * processes)


def test_a_data_set_of_a_few_pictures_is_enough(material: Material, tmp_path: Path) -> None:
    few = only(material, 5)
    task = prepared(build(few, 4), few, tmp_path)
    order = task.before_epoch(never, epoch(0)).order
    assert order is not None
    assert len(order) == 4
    assert order.max() < 5


def test_a_run_goes_on_where_an_epoch_begins(material: Material, tmp_path: Path) -> None:
    """Where a graph is due: 120 pictures in batches of 32 make epochs of 3 steps."""
    first = make_loop("graph_constraint", material, tmp_path, 5)
    list(first.run(stop=3))
    first.save()
    second = make_loop("graph_constraint", material, tmp_path, 5)
    second.restore(tmp_path / "checkpoint" / f"{3:09d}.pt")
    by_words = second.task.quadruples.clone()  # type: ignore[operator]
    for loop in (first, second):
        list(loop.run())
    assert same_state(first.task, second.task)
    orders = [np.asarray(loop.epoch_plan.order).tolist() for loop in (first, second)]
    assert orders[0] == orders[1]
    assert not torch.equal(by_words, second.task.quadruples)  # type: ignore[arg-type]


def test_heldout_pictures_are_scored_by_two_views_of_each(material: Material) -> None:
    """None of them is in the graph: neighbours in the batch are strangers."""
    task = build(material, view={"crop_scale": (0.9, 1.0), "flip": 0.0}).eval()
    batches = [material.dataset.batch(material.heldout[i : i + ROWS], ("image",)) for i in (0, 16)]
    score = task.score(batches, draws(0, 1))
    expected = 0.0
    for i, batch in enumerate(batches):
        rng = draws(0, 1).batch(i, ROWS)
        pair = [
            random_view(batch["image"], task.settings.view, 32, rng.named(name))
            for name in ("first", "second")
        ]
        with torch.no_grad():
            z = torch.nn.functional.normalize(task.projector(task.encoder(torch.cat(pair))), dim=1)
        alike = (z @ z.T).fill_diagonal_(-2)
        hits = [int(alike[k].argmax()) == (k + ROWS) % (2 * ROWS) for k in range(2 * ROWS)]
        expected += sum(hits) / len(hits) / 2
    assert score.value == pytest.approx(expected, abs=1e-6)
    assert score.trivial == pytest.approx(1 / 31)
    assert score.examples == 32
    assert score.metric == "positive_first"
    assert score.value > 3 / 31


def test_panels_show_pairs_by_the_network(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build(material, neighbours=8).eval()
    pictures = material.dataset.batch(material.train, ("image",))
    h = features(material)
    monkeypatch.setattr(task.encoder, "forward", lambda images: h)
    rows = draws(0, len(h))
    pairs, neighbours = task.panels(pictures, rows)
    assert neighbours.kind == "neighbours"
    assert pairs.columns == ("picture", "positive", "hard negative")
    shown = to_uint8(centre_view(pictures["image"], 32))
    group = {picture.tobytes(): i // EACH for i, picture in enumerate(shown)}
    found = [[group[picture.tobytes()] for picture in row] for row in pairs.pictures]
    assert len(found) == 6
    assert sum(anchor == positive != negative for anchor, positive, negative in found) >= 5
    asked = task.panels(pictures, rows, answers=False)
    assert [panel.name for panel in asked] == ["graph_constraint-pairs"]


def test_nothing_is_carried_and_only_encoder_and_projector_learn(material: Material) -> None:
    task = build(material)
    learning = {id(p) for p in task.players()["task"].parameters}
    assert learning == {id(p) for part in (task.encoder, task.projector) for p in part.parameters()}
    result = play(task, task.views(first_batch(task, material, ROWS), draws(0, ROWS)), "task")
    assert not result.carry
