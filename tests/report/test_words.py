"""How numbers and their names read."""

from __future__ import annotations

import pytest

from hotstart.report.words import metric_name, number, quantity, sought_among, trivial_name


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("recall5", "recall at 5"),
        ("recall1_one_frame", "recall at 1 of one frame"),
        ("sound_recall1", "recall at 1 of the right sound"),
        ("picture_recall10", "recall at 10 of the right picture"),
        ("motion_recall5", "recall at 5 of the right motion"),
        ("frame_recall1", "recall at 1 of the right frame"),
    ],
)
def test_recalls_are_shares_with_a_name(metric: str, name: str) -> None:
    assert metric_name(metric) == name
    assert number(0.0612, metric) == "6.1"
    assert quantity(0.5, metric).endswith("%")
    assert trivial_name(metric) == "chance"


def test_metrics_beside_the_headline_have_names() -> None:
    assert metric_name("reconstruction_psnr_db") == "PSNR of the reconstruction"
    assert quantity(17.234, "reconstruction_psnr_db") == quantity(17.234, "psnr_db")
    assert metric_name("nmi") == "NMI of the last two clusterings"
    assert quantity(0.1234, "nmi") == "0.123"


def test_among_how_many() -> None:
    assert sought_among({"among": [32, 32]}) == " among 32"
    assert sought_among({"among": [20, 1000]}) == " among 20 to 1,000"
    assert sought_among({"examples": 5}) == ""
