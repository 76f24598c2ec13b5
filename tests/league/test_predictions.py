"""Predictions on disk: found again, aligned, and refused when they are another record's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hotstart.downstream.predictions import ClassPredictions, MaskPredictions
from hotstart.errors import DataError
from hotstart.league.predictions import load_predictions, predictions_path, write_predictions
from tests.report.fake_runs import record

HASHES = np.array([7, 3, 9, 1], np.uint64)
LABELS = np.array([0, 1, 0, 1])
PREDICTIONS = ClassPredictions(HASHES, LABELS, np.array([0, 1, 1, 0]))
RECORD = record("rotation", 0, value=0.5)


def test_items_come_in_the_order_of_their_hashes(tmp_path: Path) -> None:
    write_predictions(tmp_path, RECORD, PREDICTIONS)
    kept = load_predictions(tmp_path, RECORD)
    assert isinstance(kept, ClassPredictions)
    assert kept.hashes.tolist() == [1, 3, 7, 9]
    assert kept.right.tolist() == [False, True, True, False]
    assert not list(tmp_path.rglob("*.part"))


def test_each_question_and_each_data_set_has_a_file_of_its_own(tmp_path: Path) -> None:
    others = [
        replace(RECORD, stage=3),
        replace(RECORD, labels=0.01),
        replace(RECORD, protocol="knn"),
        replace(RECORD, split="test"),
        replace(RECORD, seed=1),
        replace(RECORD, task="random"),
        replace(RECORD, settings_hash="another data set"),
    ]
    paths = {predictions_path(tmp_path, one) for one in (RECORD, *others)}
    assert len(paths) == len(others) + 1


def test_names_from_data_stay_inside_the_folder(tmp_path: Path) -> None:
    hostile = replace(RECORD, task="../../etc/x:Y z")
    assert predictions_path(tmp_path, hostile).parent == tmp_path / "predictions"


def test_what_does_not_belong_to_the_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no predictions of rotation classify linear last 1 val 0"):
        load_predictions(tmp_path, RECORD)
    write_predictions(tmp_path, RECORD, PREDICTIONS)
    with pytest.raises(DataError, match="another measurement's"):
        load_predictions(tmp_path, replace(RECORD, value=0.75))
    predictions_path(tmp_path, RECORD).write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot be read"):
        load_predictions(tmp_path, RECORD)


def test_older_names_are_found(tmp_path: Path) -> None:
    write_predictions(tmp_path, RECORD, PREDICTIONS)
    path = predictions_path(tmp_path, RECORD)
    path.rename(path.with_name("rotation-classify-linear-last-1-val-0.npz"))
    assert load_predictions(tmp_path, RECORD).value("top1") == 0.5


def test_pixels_of_masks_are_kept_by_picture(tmp_path: Path) -> None:
    both = np.array([[2, 0], [0, 4], [1, 1], [0, 0]])
    kept = MaskPredictions(HASHES, both, both + [[0, 1]], both + [[1, 0]])
    one = replace(RECORD, downstream="segment", metric="miou", value=kept.value("miou"))
    write_predictions(tmp_path, one, kept)
    found = load_predictions(tmp_path, one)
    assert isinstance(found, MaskPredictions)
    assert found.both.tolist() == [[0, 0], [0, 4], [2, 0], [1, 1]]
    with pytest.raises(DataError, match=r"miou, the record says 0\.9"):
        load_predictions(tmp_path, replace(one, value=0.9))
