"""A label map and its picture stay one on the other, whatever view is made of them."""

from __future__ import annotations

import numpy as np
import torch

from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.augment.masks import labels_in_view
from hotstart.data.draws import Draws
from hotstart.data.sample import LabelMaps, Pictures

ROWS = 12


def blocks(scale: int = 1) -> tuple[Pictures, LabelMaps]:
    """Pictures whose red says the class, and their label maps at `scale` times the resolution."""
    rng = np.random.default_rng(0)
    pictures, maps = [], []
    for row in range(ROWS):
        coarse = rng.integers(0, 4, (5, 6 + row % 3)).astype(np.uint8)
        labels = coarse.repeat(16, 0).repeat(16, 1)
        pictures.append(np.repeat(labels[..., None] * 60, 3, axis=2))
        maps.append(torch.from_numpy(coarse.repeat(16 * scale, 0).repeat(16 * scale, 1)))
    return Pictures.from_arrays(pictures), LabelMaps(tuple(maps))


def test_label_maps_are_seen_as_their_pictures_are() -> None:
    plain = ViewSettings(jitter=0, grey=0, blur=0, crop_scale=(0.2, 0.9))
    for scale in (1, 2):
        pictures, maps = blocks(scale)
        parameters = draw_view(plain, pictures, 40, Draws(0, 0, total=ROWS))
        assert 0 < int(parameters.flip.sum()) < ROWS
        images = apply_view(pictures, parameters, 40)[:, 0]
        labels = labels_in_view(maps, pictures, parameters, 40)
        assert labels.shape == (ROWS, 40, 40)
        # Between two blocks a picture is smoothed; nowhere else may they differ.
        same = (images * 255 / 60).round() == labels
        assert same.float().mean() > 0.85
        inside = torch.zeros_like(same)
        inside[:, 1:-1, 1:-1] = True
        for down in (-2, 0, 2):
            for across in (-2, 0, 2):
                inside &= labels.roll((down, across), (1, 2)) == labels
        assert same[inside].all()


def test_classes_are_never_mixed_and_colours_change_nothing() -> None:
    pictures, maps = blocks()
    for settings in (ViewSettings(), ViewSettings(jitter=1, grey=1, blur=1)):
        parameters = draw_view(settings, pictures, 33, Draws(1, 0, total=ROWS))
        labels = labels_in_view(maps, pictures, parameters, 33)
        assert set(labels.unique().tolist()) <= {0, 1, 2, 3}
    first = draw_view(ViewSettings(jitter=0), pictures, 33, Draws(2, 0, total=ROWS))
    second = draw_view(ViewSettings(jitter=1), pictures, 33, Draws(2, 0, total=ROWS))
    assert torch.equal(
        labels_in_view(maps, pictures, first, 33), labels_in_view(maps, pictures, second, 33)
    )


def test_what_is_cut_out_is_ignored() -> None:
    pictures, maps = blocks()
    parameters = draw_view(ViewSettings(cutout=1), pictures, 32, Draws(3, 0, total=ROWS))
    ignored = labels_in_view(maps, pictures, parameters, 32) == 255
    for row, (x, y, width, height) in enumerate(parameters.cutout.tolist()):
        assert int(ignored[row].sum()) == width * height
        assert ignored[row, y : y + height, x : x + width].all()
    assert maps.maps[0].max() <= 3
