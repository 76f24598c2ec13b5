"""How encoders read pictures and videos."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hotstart.augment import ViewSettings, centre_clip, centre_view
from hotstart.data import Dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Spec
from hotstart.downstream.classifier import Classifier, FinetuneSettings, fit_classifier, predict
from hotstart.downstream.features import extract, recalibrate_batchnorm
from hotstart.downstream.reading import ClipWindows, Stills, reading_of
from hotstart.encoders import Encoder
from tests.downstream.traces import same_state, trace

CPU = torch.device("cpu")


def test_who_reads_what(
    digits: Dataset, actions: Dataset, encoder: Encoder, clip_encoder: Encoder
) -> None:
    assert reading_of(encoder, digits) == reading_of(encoder, actions) == Stills()
    assert reading_of(clip_encoder, actions) == ClipWindows()
    assert reading_of(clip_encoder, digits) == Stills(8)


def test_windows_are_spread_over_the_video(actions: Dataset) -> None:
    items = np.array([5, 2, 9])
    reading = ClipWindows(frames=4, seconds=0.3, windows=3)
    views = torch.cat(list(reading.views(actions, items, 32, CPU)))
    assert views.shape == (9, 3, 4, 32, 32)
    for row, item in enumerate(items):
        for window, place in enumerate((1 / 6, 1 / 2, 5 / 6)):
            batch = actions.batch(np.array([item]), {"clip": Spec(4, 0.3)}, torch.tensor([place]))
            assert views[3 * row + window].equal(centre_clip(batch["clip"], 32)[0])


def test_a_still_is_a_clip_in_which_nothing_moves(actions: Dataset) -> None:
    items = np.arange(3)
    (views,) = Stills(5).views(actions, items, 32, CPU)
    pictures = centre_view(actions.batch(items, {"image"})["image"], 32)
    assert views.equal(pictures.unsqueeze(2).repeat(1, 1, 5, 1, 1))
    drawn = Stills(5).random(
        actions.batch(items, {"image"}), ViewSettings(), 32, Draws(0, 0, total=3)
    )
    assert drawn.shape == (3, 3, 5, 32, 32)
    assert drawn.equal(drawn[:, :, :1].repeat(1, 1, 5, 1, 1))


def test_features_are_the_mean_over_windows(actions: Dataset, clip_encoder: Encoder) -> None:
    items = np.arange(20)
    reading = ClipWindows(windows=3)
    features = extract(clip_encoder, actions, items, device=CPU, reading=reading)
    clip_encoder.eval()
    with torch.no_grad():
        views = torch.cat(list(reading.views(actions, items, 32, CPU)))
        h, maps = clip_encoder.forward_stages(views)
    torch.testing.assert_close(features.last, h.view(20, 3, -1).mean(1), rtol=1e-4, atol=1e-5)
    for stage, expected in zip(features.stages, maps, strict=True):
        of_items = expected.mean((2, 3, 4)).view(20, 3, -1).mean(1)
        torch.testing.assert_close(stage, of_items, rtol=1e-4, atol=1e-5)


def test_clips_leave_no_trace_and_recalibrate(actions: Dataset, clip_encoder: Encoder) -> None:
    before = trace(clip_encoder)
    extract(clip_encoder, actions, np.arange(10), device=CPU)
    assert same_state(before, trace(clip_encoder))
    recalibrate_batchnorm(clip_encoder, actions, np.arange(40))
    changed = {
        name
        for name, tensor in clip_encoder.state_dict().items()
        if not torch.equal(tensor, before.state[name])
    }
    assert changed
    assert all("running" in name or "num_batches" in name for name in changed)


def test_a_video_is_classified_by_the_mean_of_its_windows(
    actions: Dataset, clip_encoder: Encoder
) -> None:
    model = Classifier(clip_encoder, 2).eval()
    items, reading = np.arange(30), ClipWindows(windows=2)
    with torch.no_grad():
        views = torch.cat(list(reading.views(actions, items, 32, CPU)))
        shares = model(views).softmax(1).view(30, 2, 2).mean(1)
    assert predict(model, actions, items, CPU, reading=reading).equal(shares.argmax(1))


@pytest.mark.parametrize("reading", [Stills(8), ClipWindows(4)])
def test_training_sees_other_moments_of_a_video(
    actions: Dataset,
    clip_encoder: Encoder,
    reading: Stills | ClipWindows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places: list[torch.Tensor] = []
    batch = actions.batch

    def watched(indices, keys, where=None):  # type: ignore[no-untyped-def]
        places.append(where)
        return batch(indices, keys, where)

    monkeypatch.setattr(actions, "batch", watched)
    fit_classifier(
        clip_encoder,
        actions,
        np.arange(8),
        learning_rate=1e-3,
        steps=2,
        settings=FinetuneSettings(batch_size=8),
        seed=0,
        device=CPU,
        reading=reading,
    )
    assert len(torch.cat(places).unique()) == 16
