"""Views of clips: what is drawn for a clip happens to all its frames alike."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters, ViewSettings, draw_view, plain
from hotstart.augment.views import apply_view, centre_box
from hotstart.data.draws import Draws
from hotstart.data.sample import Clips
from hotstart.errors import UsageError


def random_clip(
    clips: Clips, settings: ViewSettings, size: int, rng: Draws, *, jitter: float = 0.0
) -> Tensor:
    """One random view of each clip: float32 (B, 3, T, size, size) in 0..1.

    The same crop, flip, colours, blur and hole in every frame, so that only what moved in the video
    moves in the view. (Contrast turns about each frame's own mean.)
    jitter: in 0..1, by how much of its side the crop of each frame is shifted by itself, at most;
    all crops are smaller by as much.
    """
    parameters = draw_view(settings, clips.frame(0), size, rng)
    if jitter == 0:
        return apply_clip(clips, parameters, size)
    frames = parameters.select(_rows_of_frames(clips, parameters))
    spare = (frames.box[:, 2:] * jitter).long()
    shift = rng.named("jitter").uniform(0, 1, clips.frames, 2).flatten(0, 1)
    corner = frames.box[:, :2] + (shift * (spare + 1)).long().minimum(spare)
    shaken = replace(frames, box=torch.cat([corner, frames.box[:, 2:] - spare], 1))
    return _as_clips(apply_view(clips.pictures, shaken, size), clips)


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
    frames = parameters.select(_rows_of_frames(clips, parameters))
    return _as_clips(apply_view(clips.pictures, frames, size), clips)


def _rows_of_frames(clips: Clips, parameters: ViewParameters) -> Tensor:
    """Int64 (B T,): which clip each frame is of."""
    return torch.arange(len(clips), device=parameters.box.device).repeat_interleave(clips.frames)


def _as_clips(views: Tensor, clips: Clips) -> Tensor:
    return views.view(len(clips), clips.frames, *views.shape[1:]).transpose(1, 2)
