"""Fine-tuning: it learns, repeats itself, and starts from what it was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hotstart.data import Dataset
from hotstart.downstream.classifier import Classifier, FinetuneSettings, fit_classifier, predict
from hotstart.downstream.classify import classify
from hotstart.downstream.linear import fit_linear_probe
from hotstart.downstream.reading import Reading, Stills
from hotstart.downstream.search import RATES, beyond
from hotstart.encoders import Encoder
from tests.downstream.traces import same_state, trace

CPU = torch.device("cpu")
SHORT = FinetuneSettings(
    steps=60,
    batch_size=32,
    learning_rates=(1e-3, 3e-3),
    scratch_learning_rates=(3e-3, 1e-2),
    trial_folds=1,
)


def test_beats_chance_and_tells_its_curve(digits: Dataset, encoder: Encoder) -> None:
    outcomes = classify(
        encoder, digits, protocols=("finetune", "scratch"), labels=(0.3,), settings=SHORT
    )
    for outcome in outcomes:
        assert outcome.value > 0.3
        detail = outcome.detail
        assert detail["steps"] == 60
        scratch = outcome.protocol == "scratch"
        rates = SHORT.scratch_learning_rates if scratch else SHORT.learning_rates
        tried = [float(rate) for rate in detail["trials"]]
        assert detail["learning_rate"] in tried
        assert set(rates) <= set(tried) <= {*rates, *RATES}
        assert not beyond(detail["learning_rate"], tried), "the search went on"
        curve = detail["curve"]
        assert [point["step"] for point in curve] == [0, 3, 6, 12, 24, 36, 48, 60]
        assert curve[-1]["asked"] == pytest.approx(outcome.value)
        if scratch:
            assert curve[0]["train"] < curve[-1]["train"]


def test_a_hot_start_begins_as_the_linear_probe_and_scratch_knows_nothing(
    digits: Dataset, encoder: Encoder
) -> None:
    probe, hot, cold = classify(
        encoder,
        digits,
        protocols=("linear", "finetune", "scratch"),
        labels=(0.3,),
        settings=SHORT.model_copy(update={"mirrored": False}),  # As the probe looks at pictures.
        stages=False,
    )
    assert len(digits.indices("val")) <= 2_000, "the curve is of all of them"
    assert hot.detail["curve"][0]["asked"] == pytest.approx(probe.value)
    assert cold.detail["curve"][0]["asked"] < probe.value - 0.2
    random_head = SHORT.model_copy(update={"head": "random"})
    (spoilt,) = classify(
        encoder, digits, protocols=("finetune",), labels=(0.3,), settings=random_head
    )
    assert spoilt.detail["curve"][0]["asked"] < probe.value - 0.2


def test_a_trial_never_sees_the_labels_that_judge_it(
    digits: Dataset, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the probe that it starts from."""
    seen: list[int] = []

    def spy(features: torch.Tensor, *others: object) -> object:
        seen.append(len(features))
        return fit_linear_probe(features, *others)  # type: ignore[arg-type]

    monkeypatch.setattr("hotstart.downstream.finetune.fit_linear_probe", spy)
    (outcome,) = classify(encoder, digits, protocols=("finetune",), labels=(0.3,), settings=SHORT)
    count = outcome.detail["label_count"]
    assert seen[-1] == count
    assert len(seen) == 1 + len(outcome.detail["trials"])
    assert all(part < count for part in seen[:-1])


def test_a_test_split_is_asked_once_at_the_end(
    digits: Dataset, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []

    def spy(
        model: Classifier,
        dataset: Dataset,
        items: np.ndarray,
        device: torch.device,
        *,
        reading: Reading | None,
        mirrored: bool,
    ) -> object:
        seen.append(items)
        return predict(model, dataset, items, device, reading=reading, mirrored=mirrored)

    monkeypatch.setattr("hotstart.downstream.finetune.predict", spy)
    list(
        classify(
            encoder, digits, protocols=("finetune",), labels=(0.3,), split="test", settings=SHORT
        )
    )
    tested = [bool(np.isin(items, digits.indices("test")).any()) for items in seen]
    assert tested == [False] * (len(seen) - 1) + [True]


def test_the_same_seed_gives_the_same_weights(digits: Dataset, encoder: Encoder) -> None:
    items = digits.indices("train")[:20]

    def weights(seed: int) -> torch.Tensor:
        model = fit_classifier(
            encoder,
            digits,
            items,
            learning_rate=1e-3,
            steps=3,
            settings=SHORT,
            seed=seed,
            device=CPU,
        )
        return torch.cat([tensor.flatten().float() for tensor in model.state_dict().values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_the_given_encoder_is_the_start_and_stays(digits: Dataset, encoder: Encoder) -> None:
    before = trace(encoder)
    model = fit_classifier(
        encoder,
        digits,
        digits.indices("train")[:40],
        learning_rate=1e-9,
        steps=2,
        settings=SHORT,
        seed=0,
        device=CPU,
    )
    assert same_state(before, trace(encoder))
    for one, other in zip(encoder.parameters(), model.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_an_answer_is_the_mean_over_a_picture_and_its_mirror_image(
    digits: Dataset, encoder: Encoder
) -> None:
    torch.manual_seed(0)
    model = Classifier(encoder, len(digits.classes)).eval()
    items = digits.indices("val")[:200]
    with torch.no_grad():
        views = torch.cat(list(Stills().views(digits, items, encoder.spec.size, CPU)))
        plain, mirrored = (model(x).double().softmax(1) for x in (views, views.flip(-1)))
    assert predict(model, digits, items, CPU).equal(plain.argmax(1))
    both = (plain + mirrored) / 2
    assert not both.argmax(1).equal(plain.argmax(1))
    assert predict(model, digits, items, CPU, mirrored=True).equal(both.argmax(1))


def test_prediction_leaves_training_mode_and_statistics(digits: Dataset, encoder: Encoder) -> None:
    items = digits.indices("train")[:40]
    model = fit_classifier(
        encoder, digits, items, learning_rate=1e-3, steps=2, settings=SHORT, seed=0, device=CPU
    )
    before = trace(model)
    assert len(predict(model, digits, items, CPU)) == len(items)
    assert same_state(before, trace(model))


def test_steps_grow_with_the_labels() -> None:
    steps = [FinetuneSettings().steps_for(count) for count in (10, 500, 5_000, 50_000)]
    assert steps == sorted(steps)
    assert FinetuneSettings(steps=7).steps_for(500) == 7


def test_whole_batches_of_few_items(digits: Dataset, encoder: Encoder) -> None:
    few = digits.indices("train")[:3]
    model = fit_classifier(
        encoder, digits, few, learning_rate=1e-3, steps=2, settings=SHORT, seed=0, device=CPU
    )
    assert all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())
    assert np.isin(predict(model, digits, few, CPU).numpy(), np.arange(10)).all()
