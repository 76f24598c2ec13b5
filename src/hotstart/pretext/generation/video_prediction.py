"""Video prediction: these frames were shown, what are the next ones?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_clip, random_clip
from hotstart.config import Field
from hotstart.encoders import ConvLSTM, Encoder, PyramidDecoder, as_video
from hotstart.pretext.reconstruction import psnr_db
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    PretextTask,
    Progress,
    Score,
    Settings,
    Spec,
    Step,
    Views,
    batch_rows,
    side_by_side,
    to_uint8,
)

SHOWN = 4
FRAMES, SECONDS = 8, 7 / 8
STRIDE = 2
"""Pixels for each place of the recurrent maps."""
STILL = 1e-4
"""Added to squared errors in normalised units: half a grey level, below which none counts."""
FIRST_ANSWER = 0.01
"""By which the weights of the last layer are reduced at first: it starts near the last frame."""


class VideoPredictionSettings(Settings):
    """Settings of `video_prediction`."""

    seen: int = Field(default=4, ge=1, lt=FRAMES)
    """Of the eight frames those that are shown; the others are asked for: the difficulty."""
    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of the eight frames."""
    width: int = Field(default=32, ge=1)
    """Channels of the recurrent maps."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class VideoPrediction(PretextTask):
    """Predict the next frames of a video from the first ones.

    Srivastava 2015 (arXiv:1502.04681), the future predictor of section 2.3, unconditioned, with the
    convolutional LSTM of Shi 2015 (arXiv:1506.04214), figure 3: one network reads the frames in
    order, its state is handed to another one that goes on by itself, a frame with each step; the
    loss is the squared error.

    Deviations: what is read are the maps of all stages of the encoder, merged from the last one
    down; one recurrent layer in each network; a step says what is to be added to the last frame
    that was seen, so that nobody has to learn to copy; the squared error of each clip over that of
    repeating the last frame, so that clips in which little moves count as much as others. An
    encoder of pictures reads each frame by itself, one of clips all frames that are seen together.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(FRAMES, SECONDS)}
    accepts: ClassVar[frozenset[str]] = frozenset({"cnn", "vit", "video"})
    metric: ClassVar[str] = "gain_db"
    Settings: ClassVar[type[Settings]] = VideoPredictionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2.4e-2, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 32
    settings: VideoPredictionSettings

    def __init__(self, encoder: Encoder, settings: VideoPredictionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {"clip": Spec(FRAMES, settings.seconds)}  # type: ignore[misc]
        as_video(encoder).check(torch.empty(1, 3, settings.seen, info.size, info.size))
        width, side = settings.width, -(-info.size // STRIDE)
        self.neck = PyramidDecoder(encoder.stage_dims, channels=width, size=side, width=width)
        self.reader = ConvLSTM(width, width)
        self.forecaster = ConvLSTM(0, width)
        self.painter = nn.Conv2d(width, 3 * STRIDE**2, 3, padding=1)
        with torch.no_grad():
            assert self.painter.bias is not None
            self.painter.weight *= FIRST_ANSWER
            self.painter.bias.zero_()

    def trivial(self, rows: int) -> float:
        """The last frame again and again."""
        return 0.0

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`clip` (B, 3, 8, S, S)."""
        return {"clip": random_clip(batch["clip"], self.settings.view, self.info.size, rng)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Squared error of the frames that were not seen, over that of the last one repeated."""
        seen, truth = self._parted(views["clip"])
        changes = self._changes(seen)
        last = seen[:, :, -1:]
        asked = (truth - last) / self.encoder.std.unsqueeze(2)
        error = (changes - asked).square().mean((1, 2, 3, 4))
        moved = asked.square().mean((1, 2, 3, 4))
        gain = self._gains_db(self._frames(last, changes.detach()), last, truth)
        return Step((error / (moved + STILL)).mean(), {"gain_db": gain.mean()})

    def _parted(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Frames that are seen, and those that are asked for."""
        return clips[:, :, : self.settings.seen], clips[:, :, self.settings.seen :]

    def _changes(self, seen: Tensor) -> Tensor:
        """What is to be added to the last frame, (B, 3, K, S, S) in normalised units."""
        rows, frames = len(seen), self.settings.seen
        maps = as_video(self.encoder).stages(seen)
        # An encoder of clips has fewer maps than frames: each belongs to several.
        every = [F.interpolate(one, (frames, *one.shape[3:])) for one in maps]
        merged = self.neck([one.transpose(1, 2).flatten(0, 1) for one in every])
        read = merged.unflatten(0, (rows, frames))
        state = self.reader.start(read[:, 0])
        for frame in range(frames):
            state = self.reader(read[:, frame], state)
        hidden = []
        for _ in range(FRAMES - frames):
            state = self.forecaster(None, state)
            hidden.append(state[0])
        said = F.pixel_shuffle(self.painter(torch.stack(hidden, 1).flatten(0, 1)), STRIDE)
        size = self.info.size
        changes: Tensor = said[..., :size, :size].unflatten(0, (rows, -1)).transpose(1, 2)
        return changes

    def _frames(self, last: Tensor, changes: Tensor) -> Tensor:
        """(B, 3, 1, S, S) and (B, 3, K, S, S) -> frames in 0..1."""
        return (last + changes * self.encoder.std.unsqueeze(2)).clamp(0, 1)

    def _gains_db(self, said: Tensor, last: Tensor, truth: Tensor) -> Tensor:
        """PSNR of each clip's K frames together, (B,), above that of repeating the last one.

        Together, because one frame in which nothing moves would outweigh all others.
        """
        told = side_by_side(truth)
        before = psnr_db(side_by_side(last.expand_as(truth)), told)
        return psnr_db(side_by_side(said), told) - before

    def _ask(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Whole clips: the frames seen, those predicted, and the truth."""
        seen, truth = self._parted(centre_clip(batch["clip"], self.info.size))
        return seen, self._frames(seen[:, :, -1:], self._changes(seen)), truth

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean gain in PSNR over repeating the last frame, on whole clips."""
        value, rows = 0.0, 0
        for batch in batches:
            seen, said, truth = self._ask(batch)
            value += float(self._gains_db(said, seen[:, :, -1:], truth).sum())
            rows += batch_rows(batch)
        return Score(self.metric, value / max(rows, 1), 0.0, rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Of each clip the truth, the last frame repeated, and the network's answer, row by row."""
        count = min(SHOWN, batch_rows(batch))
        seen, said, truth = self._ask({"clip": batch["clip"].select(range(count))})
        last = seen[:, :, -1:].expand_as(truth)
        rows = {"shown": truth, "last frame": last} | ({"network": said} if answers else {})
        columns = ["last seen", *(f"next {k + 1}" for k in range(truth.shape[2]))]
        pictures, texts = [], []
        for i in range(count):
            before = to_uint8(seen[i].transpose(0, 1))
            for name, clips in rows.items():
                errors = _psnr_db(clips[i : i + 1], truth[i : i + 1])[0].tolist()
                pictures.append([before[-1], *to_uint8(clips[i].transpose(0, 1))])
                told = ["" if name == "shown" else f"{value:.1f} dB" for value in errors]
                texts.append([name, *told])
        return [
            Panel(
                "video_prediction",
                "What comes next?",
                f"First the last of {seen.shape[2]} frames that were seen, then the next ones: as "
                "they were shown, if nothing moved"
                + (", and as the network says" if answers else "")
                + "; PSNR against those shown, higher is better.",
                columns,
                pictures,
                texts,
                "prediction" if answers else "views",
            )
        ]


def _psnr_db(clips: Tensor, truth: Tensor) -> Tensor:
    """Of each frame of (B, 3, K, S, S), (B, K)."""
    frames, true = (one.transpose(1, 2).flatten(0, 1) for one in (clips, truth))
    return psnr_db(frames, true).view(len(clips), -1)
