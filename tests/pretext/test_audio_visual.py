"""Audio-visual correspondence: pairs that are learnt, wrong partners, retrieval, sound encoders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart import api
from hotstart.data.sample import Batch, Clips, Pictures
from hotstart.encoders import build_encoder, load_encoder, resolve_spec
from hotstart.league.records import read_records
from hotstart.pretext.audio_visual import region_box
from hotstart.pretext.cross_modal.audio_visual_correspondence import (
    AudioVisualCorrespondence,
    AudioVisualCorrespondenceSettings,
)
from hotstart.pretext.losses import across_nce
from hotstart.pretext.matching import distinct, recalls, strangers
from hotstart.pretext.task import Info
from tests.conformance.material import draws, fit
from tests.data.films import film

SIZE, ROWS, HZ = 32, 24, 16_000
SMALL = {"mels": 16, "hop_seconds": 0.02, "seconds": 0.2, "projection": 16, "hidden": 32}


def scenes(seed: int, rows: int = ROWS) -> Batch:
    """A bright spot on grey; the higher it is, the higher the tone that is heard with it."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(0.1, 0.9, rows)
    pixels = rng.integers(60, 120, (rows, SIZE, SIZE, 3)).astype(np.uint8)
    seconds = np.arange(round(0.2 * HZ)) / HZ
    for picture, share in zip(pixels, height, strict=True):
        y, x = round((1 - share) * (SIZE - 6)), int(rng.integers(0, SIZE - 6))
        picture[y : y + 6, x : x + 6] = 255
    pitch = 300 * 20 ** height[:, None]
    audio = 9000 * np.sin(2 * np.pi * pitch * seconds) + rng.normal(0, 50, (rows, len(seconds)))
    return {
        "clip": Clips(
            Pictures.from_arrays(list(pixels)), torch.zeros(rows, 1, dtype=torch.float64)
        ),
        "audio": torch.from_numpy(audio.astype(np.int16)),
        "group": torch.arange(rows),
    }


def make(encoder: str = "resnet10_narrow", **own: Any) -> AudioVisualCorrespondence:
    """A task in the size of a test, whose views are the pictures themselves."""
    settings = AudioVisualCorrespondenceSettings.model_validate(
        {
            **SMALL,
            "view": {"flip": 0, "jitter": 0, "grey": 0, "blur": 0, "crop_scale": (1, 1)},
            **own,
        }
    )
    seeing = build_encoder(resolve_spec(encoder, SIZE), 0)
    return AudioVisualCorrespondence(seeing, settings, Info(ROWS, SIZE, ROWS, 60))


def trained(steps: int, rate: float, **own: Any) -> AudioVisualCorrespondence:
    """A task that has seen so many batches of such scenes."""
    torch.manual_seed(0)
    task = make(**own)
    fit(task, lambda step: task.views(scenes(step), draws(step, ROWS)), steps, rate, decay=True)
    return task.eval()


@pytest.fixture(scope="module")
def contrastive() -> AudioVisualCorrespondence:
    return trained(50, 3e-3)


def test_learns_what_sounds(contrastive: AudioVisualCorrespondence) -> None:
    check_learned(contrastive)


@pytest.mark.slow
def test_learns_what_sounds_by_yes_and_no() -> None:
    """One wrong partner a row teaches less than all of the batch: it takes longer."""
    check_learned(trained(240, 1e-3, objective="binary"))


def check_learned(task: AudioVisualCorrespondence) -> None:
    """Far past chance on unseen scenes; at chance where each has the sound of another."""
    unseen = [scenes(1000 + i) for i in range(4)]
    mixed: list[Batch] = [{**batch, "audio": batch["audio"].roll(1, 0)} for batch in unseen]
    true, false = (task.score(batches, draws(0, 1)) for batches in (unseen, mixed))
    assert true.value > 0.8
    assert false.value == pytest.approx(0.5, abs=0.15)
    right, wrong = ({one.metric: one for one in score.others} for score in (true, false))
    assert set(right) == {f"{w}_recall{k}" for w in ("sound", "picture") for k in (1, 5, 10)}
    for name in ("sound_recall5", "picture_recall5"):
        assert right[name].trivial == pytest.approx(5 / ROWS)
        assert right[name].value > 0.55
        assert wrong[name].value == pytest.approx(5 / ROWS, abs=0.15)


def test_heat_is_where_the_sound_comes_from(contrastive: AudioVisualCorrespondence) -> None:
    """The brightest of 4 x 4 cells, which the last map, 2 x 2, could not show."""
    views = contrastive.views(scenes(2000, 384), draws(0, 384))
    with torch.no_grad():
        heat = contrastive.heat(views["clip"], contrastive.hear(views["sound"]))
    bright = torch.nn.functional.adaptive_avg_pool2d(views["clip"][:, 0, 0], 4)
    assert heat.shape == bright.shape == (384, 4, 4)
    hottest, sounding = heat.flatten(1).argmax(1), bright.flatten(1).argmax(1)
    # A sixteenth by chance, with a deviation of 0.012; 1.8 cells away.
    assert float((hottest == sounding).float().mean()) > 0.11
    down, right = hottest // 4 - sounding // 4, hottest % 4 - sounding % 4
    assert float(torch.hypot(down.float(), right.float()).mean()) < 1.55


@pytest.mark.parametrize("name", ["mobilenetv2_035", "ghostnet_050", "regnetx_002"])
def test_it_hears_by_any_cnn(name: str) -> None:
    """Of some the last map has other channels than their last stage."""
    task = make(sound_encoder=name, mels=32)
    heard = task.hear(torch.randn(3, round(0.2 * HZ)))
    assert heard.shape == (3, SMALL["projection"])


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "vit_narrow_depth4"])
def test_heat_is_what_the_encoder_makes_of_each_place(name: str) -> None:
    """Some CNNs have layers behind their last map; a picture of one place is its own heat."""
    task = make(name).eval()
    views = task.views(scenes(0), draws(0, ROWS))
    seen, heard = task.embed(views)
    heat = task.heat(views["clip"], heard)
    assert heat.shape[0] == ROWS
    assert heat.isfinite().all()
    if heat.shape[1:] == (1, 1):
        assert torch.allclose(heat[:, 0, 0], task.agreement(seen, heard), atol=1e-4)


def test_heat_of_a_small_region_is_as_fine_as_can_be() -> None:
    task = make(region=(0.5, 0.5, 0.4)).eval()
    views = task.views(scenes(0), draws(0, ROWS))
    assert views["clip"].shape[-1] == 13
    with torch.no_grad():
        heat = task.heat(views["clip"], task.hear(views["sound"]))
    assert heat.shape == (ROWS, 4, 4)


def test_chance_of_retrieval_is_that_of_every_batch(contrastive: AudioVisualCorrespondence) -> None:
    batches: list[Batch] = [scenes(3000, 24), scenes(3001, 8), scenes(3002, 4)]
    score = contrastive.score(batches, draws(0, 1))
    chance = {one.metric: one.trivial for one in score.others}
    assert chance["sound_recall1"] == pytest.approx((1 + 1 + 1) / 36)
    assert chance["picture_recall5"] == pytest.approx((5 + 5 + 4) / 36)
    assert {(one.among, one.examples) for one in score.others} == {((4, 24), 36)}
    assert score.among is None
    # What all sounds alike is found by chance.
    silent: list[Batch] = [{**one, "audio": torch.zeros_like(one["audio"])} for one in batches]
    for one in contrastive.score(silent, draws(0, 1)).others[:3]:
        assert one.value == pytest.approx(one.trivial, abs=1e-3)


def test_wrong_partners_are_of_other_groups_and_drawn_evenly() -> None:
    groups = torch.tensor([0, 0, 1, 2]).repeat(3000)[:4]
    lots = torch.arange(3000)
    chosen = torch.stack([strangers(groups, lots[i : i + 1].repeat(4))[0] for i in range(3000)])
    for row, group in enumerate(groups):
        seen = chosen[:, row].bincount(minlength=4)
        assert bool((seen[groups == group] == 0).all())
        others = seen[groups != group]
        assert int(others.max() - others.min()) <= 1
    partner, valid = strangers(torch.tensor([5, 5]), torch.tensor([0, 7]))
    assert not valid.any()
    assert partner.shape == (2,)
    assert distinct(torch.tensor([3, 3, 1, 3, 1, 9]), 2).tolist() == [0, 2]


def test_recalls_by_hand_and_at_chance_where_all_fit_alike() -> None:
    fits = torch.tensor([[3.0, 1, 2], [5, 4, 0], [1, 2, 0]])
    assert recalls(fits, (1, 2, 3)) == pytest.approx([1 / 3, 2 / 3, 1])
    assert recalls(torch.zeros(20, 20), (1, 5, 10)) == pytest.approx([0.05, 0.25, 0.5])


def naive_across(first: Tensor, second: Tensor, temperature: float, groups: Tensor) -> Tensor:
    """Each row against all of the other side that are its own or of another group, by loops."""
    total = first.new_zeros(())
    count = len(first)
    for a, b in ((first, second), (second, first)):
        for i in range(count):
            fits = {
                j: (a[i] @ b[j]) / (a[i].norm() * b[j].norm()) / temperature
                for j in range(count)
                if j == i or groups[j] != groups[i]
            }
            total = total - torch.log(fits[i].exp() / sum(fit.exp() for fit in fits.values()))
    return total / (2 * count)


def test_loss_and_gradient_equal_loops() -> None:
    groups = torch.tensor([0, 1, 1, 2, 3])
    results = []
    for loss in (across_nce, naive_across):
        rng = torch.Generator().manual_seed(0)
        first, second = (
            torch.randn(5, 4, generator=rng, dtype=torch.float64, requires_grad=True)
            for _ in range(2)
        )
        value = loss(first, second, 0.2, groups)
        value.backward()
        results.append((value.detach(), first.grad, second.grad))
    torch.testing.assert_close(results[0], results[1])


def test_region_is_a_square_at_its_place_and_stays_inside() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    clips = Clips(Pictures.from_arrays([picture] * 3), torch.zeros(3, 1, dtype=torch.float64))
    shift = torch.tensor([[0.0, 0.0], [0.5, 0.0], [9.0, 9.0]])
    boxes = region_box(clips, (0.5, 0.5, 0.5), shift)
    assert boxes.tolist() == [[20, 10, 20, 20], [30, 10, 20, 20], [40, 20, 20, 20]]
    task = make(region=(0.5, 0.5, 0.5), frames=1)
    assert task.views(scenes(0), draws(0, ROWS))["clip"].shape == (ROWS, 3, 1, SIZE // 2, SIZE // 2)


@pytest.mark.slow
def test_a_run_exports_both_encoders_and_passes_over_silence(
    film_folder: Path, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    shutil.copytree(film_folder, films)
    for i in range(3):
        film(films / f"silent{i}.mp4", seed=i)
    own = {"audio_visual_correspondence": {"mels": 16, "hop_seconds": 0.03}}
    run = api.pretrain(
        str(films),
        task="audio_visual_correspondence",
        size=16,
        steps=2,
        batch_size=8,
        task_settings=own,
        out=tmp_path / "run",
    )
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    start, end = json.loads(lines[0]), json.loads(lines[-1])
    assert start["passed_over"] == {"audio": 3}
    records = [one for one in read_records(run / "results.jsonl") if "recall" in one.metric]
    assert len(records) == len(end["others"]) == 6
    for one, told in zip(records, end["others"], strict=True):
        least, most = one.detail["among"]
        assert told["among"] == [least, most]
        assert 1 <= least <= most < 63
    heard = load_encoder(run / "encoder-sound.safetensors")
    assert (heard.kind, heard.spec.size) == ("audio", 16)
    assert heard.spec.sound is not None
    assert heard.spec.sound.hop_seconds == 0.03
    assert heard(torch.zeros(2, HZ)).shape == (2, heard.dim)
    assert load_encoder(run / "encoder.safetensors").kind == "cnn"
