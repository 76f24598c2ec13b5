"""Rendered: maps move with their pictures, what is said is measured, domains are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from hotstart import api
from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.data import open_dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.errors import DataError
from hotstart.league.records import read_records
from hotstart.pretext.free_labels.domain import (
    DomainJudge,
    domain_accuracy,
    linear_answer,
    told_apart,
)
from hotstart.pretext.free_labels.geometry_maps import (
    GeometryErrors,
    decode_depth,
    depth_loss,
    encode_depth,
    mirrored,
    moved,
    normals_loss,
)
from hotstart.pretext.free_labels.rendered import Rendered, RenderedSettings
from hotstart.pretext.task import Batch
from hotstart.training.loop import Material
from tests.conformance.material import make_task

WORLD = "world:images?n=112&size=32&samples=4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.render(WORLD, tmp_path_factory.mktemp("world") / "w", form="shards", processes=1)


@pytest.fixture(scope="module")
def material(folder: Path, class_folder: Path) -> Material:
    dataset = open_dataset(str(folder), size=32, real=class_folder)
    return Material(dataset, np.arange(64), np.arange(64, 112))


def test_maps_move_with_their_pictures() -> None:
    """A map that is the picture's own red goes where the view takes red."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    pictures = Pictures.from_arrays(list(blocks))
    maps = torch.from_numpy(blocks[..., :1]).permute(0, 3, 1, 2).float() / 255
    view = ViewSettings(crop_scale=(0.4, 0.9), jitter=0.0, grey=0.0, blur=0.0)
    drawn = draw_view(view, pictures, 64, Draws(0, 0, total=4))
    seen = apply_view(pictures, drawn, 64)[:, :1]
    away = (moved(maps, pictures, drawn, 64) - seen).abs()
    # But for the seams between blocks, which the view smooths.
    assert float((away < 0.02).float().mean()) > 0.8
    other = (moved(maps.flip(0), pictures, drawn, 64) - seen).abs()
    assert float((other < 0.02).float().mean()) < 0.3


def test_the_mirrored_see_right_as_left() -> None:
    normals = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(2, 3, 1, 1)
    flipped = mirrored(normals, torch.tensor([True, False]))
    assert flipped[:, :, 0, 0].tolist() == [[-1, 2, 3], [1, 2, 3]]


def test_depth_is_coded_by_its_logarithm() -> None:
    metres = torch.tensor([0.1, 1.0, 5.0, 100.0])
    assert torch.allclose(decode_depth(encode_depth(metres)), metres, rtol=1e-4)
    assert encode_depth(torch.tensor([float("inf"), 0.01])).tolist() == [1.0, 0.0]
    assert encode_depth(torch.tensor(10.0**0.5)).item() == pytest.approx(0.5)


def test_losses_and_errors_are_what_a_loop_says() -> None:
    torch.manual_seed(1)
    metres, said = torch.rand(2, 1, 3, 3) * 9 + 0.5, torch.rand(2, 1, 3, 3) * 9 + 0.5
    faces = torch.nn.functional.normalize(torch.randn(2, 3, 3, 3), dim=1)
    answers = torch.randn(2, 3, 3, 3)
    faces[0, :, 0, 0] = 0
    logs, cosines, squares, close, degrees = [], [], [], [], []
    for b in range(2):
        for y in range(3):
            for x in range(3):
                if (b, y, x) == (0, 0, 0):
                    continue
                d, t = said[b, 0, y, x].item(), metres[b, 0, y, x].item()
                n, f = answers[b, :, y, x].numpy(), faces[b, :, y, x].numpy()
                cosine = float(n @ f / np.linalg.norm(n) / np.linalg.norm(f))
                logs.append(abs(np.log(d) - np.log(t)))
                cosines.append(1 - cosine)
                squares.append((d - t) ** 2)
                close.append(max(d / t, t / d) < 1.25)
                degrees.append(np.degrees(np.arccos(cosine)))
    known = faces.norm(dim=1, keepdim=True) > 0.5
    coded, truth = encode_depth(said), encode_depth(metres)
    assert depth_loss(coded, truth, known).item() == pytest.approx(np.mean(logs), abs=1e-5)
    assert normals_loss(answers, faces, known).item() == pytest.approx(np.mean(cosines), abs=1e-5)
    errors = GeometryErrors()
    errors.add(coded[:1], answers[:1], truth[:1], faces[:1])
    errors.add(coded[1:], answers[1:], truth[1:], faces[1:])
    assert errors.rmse_metres == pytest.approx(np.sqrt(np.mean(squares)), abs=1e-4)
    assert errors.share_close == pytest.approx(np.mean(close), abs=1e-6)
    assert errors.mean_degrees == pytest.approx(np.mean(degrees), abs=1e-3)


def test_domains_that_are_alike_are_not_told_apart_and_others_are() -> None:
    torch.manual_seed(0)
    made, real = torch.randn(400, 16), torch.randn(400, 16)
    assert domain_accuracy(made, real) == pytest.approx(0.5, abs=0.07)
    assert domain_accuracy(made, real + torch.tensor([2.0] + [0.0] * 15)) > 0.8


class Flat(torch.nn.Module):
    """An encoder of pictures of 4 x 4 px, as small as can be."""

    dim = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(48, self.dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        h: torch.Tensor = self.layer(images.flatten(1) - 0.5)
        return h


def both_kinds(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rendered: the first pixel is never bright. Real: another never is."""
    made, real = torch.rand(2, rows, 3, 4, 4)
    made[:, :, 0, 0] *= 0.5
    real[:, :, 2, 1] *= 0.5
    return made, real


def test_the_answer_is_ridge_regression_and_not_bought_with_small_features() -> None:
    torch.manual_seed(0)
    made, real = torch.randn(40, 6) + 1, torch.randn(40, 6) * 3
    x, y = torch.cat([made, real]), np.repeat([-1.0, 1.0], 40)
    scaled = ((x - x.mean(0)) / x.std(0, correction=0)).numpy()
    expected = Ridge(alpha=0.1 * 80).fit(scaled, y).predict(scaled)
    for factor in (1.0, 0.1):
        weights, bias = linear_answer(factor * made, factor * real, 0.1)
        said = (factor * x @ weights + bias).numpy()
        assert said == pytest.approx(expected, abs=5e-3)


def test_the_judge_knows_what_the_encoder_makes_now_of_the_pictures_seen_last() -> None:
    torch.manual_seed(0)
    judge, encoder = DomainJudge(4, memory=32, ridge=0.1), Flat()
    assert not judge.solve(encoder)[0].any(), "in doubt before it has seen any"  # type: ignore
    first, made_real = both_kinds(20), both_kinds(32)
    judge.remember(*first)
    assert int(judge.seen) == 20
    judge.remember(*made_real)
    assert int(judge.seen) == 32
    for _ in range(2):
        features = [encoder(one).detach() for one in made_real]
        expected = linear_answer(features[0], features[1], 0.1)
        for found, wanted in zip(judge.solve(encoder), expected, strict=True):  # type: ignore
            assert torch.allclose(found, wanted, atol=0.03 * float(expected[0].abs().max()))
        torch.nn.init.normal_(encoder.layer.weight)


def test_against_the_judge_features_become_alike() -> None:
    """A layer whose only aim is doubt: a fresh classifier then has to guess."""
    torch.manual_seed(0)
    judge, encoder = DomainJudge(4, memory=256, ridge=0.1), Flat()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-2)

    def accuracy() -> float:
        return domain_accuracy(*(encoder(one).detach() for one in both_kinds(1000)))

    before = accuracy()
    for _ in range(150):
        made, real = both_kinds(64)
        of_made, of_real = judge(encoder, made, real)
        judge.remember(made, real)
        optimiser.zero_grad()
        told_apart(of_made, of_real).backward()
        optimiser.step()
    assert before > 0.65
    assert accuracy() < 0.54


def heldout(task: Rendered, material: Material) -> list[Batch]:
    return [material.dataset.batch(material.heldout, task.needs)]


def test_real_pictures_come_from_the_other_set_and_never_from_its_test_split(
    material: Material,
) -> None:
    batch = material.dataset.batch(np.arange(8), ("image", "real_image"), torch.linspace(0, 1, 8))
    assert batch["real_image"][0].shape == (40, 40, 3)
    assert material.dataset.real is not None
    assert len(material.dataset.real.items) == 160
    one_place = material.dataset.batch(np.arange(8), ("real_image",), torch.full((8,), 0.5))
    different = [one_place["real_image"][i].flatten().tolist() for i in range(8)]
    assert all(different[i] != different[k] for i in range(8) for k in range(i))
    again = material.dataset.batch(np.arange(8), ("real_image",), torch.linspace(0, 1, 8))
    assert torch.equal(batch["real_image"].pixels, again["real_image"].pixels)


def test_domains_are_asked_about_each_picture_once(material: Material) -> None:
    """Else the classifier would be asked about pictures that it was fitted on."""
    settings = {"rendered": {"adapt": "adversarial"}}
    task = make_task("rendered", material, 16, task_settings=settings).eval()
    batches = heldout(task, material)  # type: ignore[arg-type]
    once, again = (
        {one.metric: one.value for one in task.score(shown, Draws(0, 0, total=1)).each}
        for shown in (batches, 4 * batches)
    )
    assert again["domain_accuracy"] == once["domain_accuracy"]


def test_a_run_with_an_adversary_tells_the_domain_accuracy(
    folder: Path, class_folder: Path, tmp_path: Path
) -> None:
    run = api.pretrain(
        str(folder),
        task="rendered",
        task_settings={"rendered": {"adapt": "adversarial"}},
        steps=3,
        batch_size=16,
        size=32,
        out=tmp_path / "run",
        real=str(class_folder),
    )
    told = {record.metric: record for record in read_records(run / "results.jsonl")}
    assert set(told) == {
        *("depth_close", "depth_rmse_metres", "normals_degrees", "contours_f"),
        "domain_accuracy",
    }
    assert told["domain_accuracy"].chance == 0.5
    again = api.evaluate(run, data=str(folder), on="pretext")
    assert {record.metric for record in again} == set(told)


def test_without_real_pictures_it_says_what_to_give(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--real FOLDER"):
        api.pretrain(
            str(folder),
            task="rendered",
            task_settings={"rendered": {"adapt": "adversarial"}},
            steps=1,
            size=32,
            out=tmp_path / "run",
        )
    assert RenderedSettings().adapt == "none"
