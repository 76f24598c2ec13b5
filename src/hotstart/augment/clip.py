"""Views of clips: what is drawn for a clip happens to all its frames alike."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters, ViewSettings, draw_view, plain
from hotstart.augment.views import apply_view, centre_box
from hotstart.data.draws import Draws
from hotstart.data.sample import Clips
from hotstart.errors import UsageError


def random_clip(clips: Clips, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
    """One random view of each clip: float32 (B, 3, T, size, size) in 0..1.

    The same crop, flip, colours, blur and hole in every frame, so that only what moved in the video
    moves in the view. (Contrast turns about each frame's own mean.)
    """
    return apply_clip(clips, draw_view(settings, clips.frame(0), size, rng), size)


def centre_clip(clips: Clips, size: int) -> Tensor:
    """The view for evaluation, as `centre_view`: float32 (B, 3, T, size, size) in 0..1."""
    return apply_clip(clips, plain(centre_box(clips.frame(0))), size)


def apply_clip(clips: Clips, parameters: ViewParameters, size: int) -> Tensor:
    """Apply row i of drawn parameters to every frame of clip i (see `apply_view`).

    Returns float32 (B, 3, T, size, size) in 0..1, in memory frame by frame with the channels last
    (`torch.channels_last_3d`), on the device of the clips.
    Raises UsageError when there are not as many parameters as clips.
    """
    if len(parameters) != len(clips):
        raise UsageError(
            f"got parameters of {len(parameters)} views for {len(clips)} clips; "
            "they must be as many"
        )
    rows = torch.arange(len(clips), device=parameters.box.device).repeat_interleave(clips.frames)
    views = apply_view(clips.pictures, parameters.select(rows), size)
    return views.view(len(clips), clips.frames, 3, size, size).transpose(1, 2)
