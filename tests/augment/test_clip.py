"""Views of clips: every frame as if it were a picture with the clip's own parameters."""

from __future__ import annotations

import pytest
import torch

from hotstart.augment import (
    ViewSettings,
    apply_clip,
    apply_view,
    centre_clip,
    centre_view,
    draw_view,
    random_clip,
)
from hotstart.data.draws import Draws
from hotstart.data.sample import Clips, Pictures
from hotstart.errors import UsageError
from tests.augment.pictures import make_picture

T = 3
HEAVY = ViewSettings(solarise=0.5, cutout=0.5, grey=0.5)


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Four clips of three frames, each clip of a size of its own."""
    sizes = ((40, 60), (50, 50), (33, 90), (70, 44))
    arrays = [
        make_picture(*size, seed=10 * i + t) for i, size in enumerate(sizes) for t in range(T)
    ]
    return Clips(Pictures.from_arrays(arrays), torch.arange(12.0, dtype=torch.float64).view(4, T))


def test_every_frame_gets_the_clip_s_parameters(clips: Clips) -> None:
    rng = Draws(0, 0, total=4)
    parameters = draw_view(HEAVY, clips.frame(0), 24, rng)
    views = apply_clip(clips, parameters, 24)
    assert views.shape == (4, 3, T, 24, 24)
    assert views.is_contiguous(memory_format=torch.channels_last_3d)
    for t in range(T):
        assert torch.equal(views[:, :, t], apply_view(clips.frame(t), parameters, 24))
    drawn = random_clip(clips, HEAVY, 24, Draws(0, 0, total=4))
    assert torch.equal(drawn, views)
    assert not torch.equal(random_clip(clips, HEAVY, 24, Draws(0, 1, total=4)), views)


def test_centre(clips: Clips) -> None:
    views = centre_clip(clips, 32)
    for t in range(T):
        assert torch.equal(views[:, :, t], centre_view(clips.frame(t), 32))


def test_as_many_parameters_as_clips(clips: Clips) -> None:
    parameters = draw_view(HEAVY, clips.pictures, 24, Draws(0, 0, total=12))
    with pytest.raises(UsageError, match="parameters of 12 views for 4 clips"):
        apply_clip(clips, parameters, 24)


def test_jitter_shifts_the_crop_of_each_frame_by_itself() -> None:
    """The same picture in every frame: without jitter all views are alike, with it they are not."""
    picture = make_picture(40, 40, seed=0)
    times = torch.arange(5, dtype=torch.float64).repeat(4, 1)
    clips = Clips(Pictures.from_arrays([picture] * 20), times)
    settings = ViewSettings(crop_scale=(0.64, 0.64), crop_ratio=(1, 1), jitter=0, grey=0, blur=0)
    still = random_clip(clips, settings, 28, Draws(0, 0, total=4))
    assert all(torch.equal(still[:, :, 0], still[:, :, t]) for t in range(1, 5))
    # A crop of 32 px with 4 px to spare is 28 px wide: pixels are copied.
    shaken = random_clip(clips, settings, 28, Draws(0, 0, total=4), jitter=0.125)
    places = set()
    for frame in shaken.transpose(1, 2).flatten(0, 1):
        whole = {
            side: torch.from_numpy(picture[:, ::side].copy()).permute(2, 0, 1) / 255
            for side in (1, -1)
        }
        found = [
            (side, y, x)
            for side, pixels in whole.items()
            for y in range(13)
            for x in range(13)
            if torch.allclose(pixels[:, y : y + 28, x : x + 28], frame, atol=1e-6)
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 10
