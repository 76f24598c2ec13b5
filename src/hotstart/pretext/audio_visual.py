"""What all tasks share that see a video and hear it: two encoders, and whether they agree."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, apply_clip, as_waves, draw_view
from hotstart.augment.sound import HOP_SECONDS, MELS, WINDOW_SECONDS
from hotstart.config import Field
from hotstart.data.sample import SOUND_HZ, Clips
from hotstart.encoders import (
    AudioEncoder,
    Encoder,
    FrameEncoder,
    SoundSpec,
    build_encoder,
    fine_map,
    mlp,
    resolve_spec,
)
from hotstart.encoders.audio import SOUND
from hotstart.pretext.task import (
    Draws,
    Info,
    OptimiserSettings,
    PretextTask,
    Settings,
    Views,
)
from hotstart.pretext.two_views import at_least_float

JUDGE_DIM = 128


class HearingSettings(Settings):
    """Of the sound encoder."""

    sound_encoder: str = "resnet10_narrow"
    """Any timm CNN: the architecture that hears, by log-mel spectrograms."""
    mels: int = Field(default=MELS, ge=8)
    """F, bands of the spectrogram."""
    window_seconds: float = Field(default=WINDOW_SECONDS, ge=0.001)
    hop_seconds: float = Field(default=HOP_SECONDS, ge=0.001)
    """From one window of the spectrogram to the next."""

    def encoder(self, seconds: float) -> AudioEncoder:
        """A freshly initialised one, for sounds of so many seconds; torch's seed decides."""
        spec = resolve_spec(SOUND + self.sound_encoder, self.mels)
        hearing = SoundSpec(
            seconds=seconds, window_seconds=self.window_seconds, hop_seconds=self.hop_seconds
        )
        spec = spec.model_copy(update={"sound": hearing})
        return cast(AudioEncoder, build_encoder(spec, torch.initial_seed()))


class AudioVisualSettings(HearingSettings):
    """Settings of all tasks that ask whether picture and sound belong together."""

    objective: Literal["binary", "contrastive"] = "contrastive"
    """Yes or no to a pair; or the right one among all of the batch."""
    region: tuple[float, float, float] | None = None
    """The square that is looked at, at the scale of the whole picture: its centre as shares of
    width and height, its side as a share of the short side. Where the camera stands still and what
    sounds is small (lips), this shows it large for little. None: views of the whole."""
    jitter: float = Field(default=0.0, ge=0)
    """By how much a region is moved about, as a share of its side. Small movements, as of lips,
    are learnt much later with it."""
    gain_db: float = Field(default=6.0, ge=0)
    """By how much a sound is made louder or softer at most, lest it be told by its level."""
    temperature: float = Field(default=0.1, gt=0)
    """Of the contrastive objective."""
    motion_only: bool = False
    """Of several frames: what of h changes over them alone. What stands still (a face, a room) is
    then not seen, and what moves a little is learnt several times sooner."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projectors' hidden layer."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), strength=0.5, hue=0.1, grey=0.0, blur=0.0
    )
    """The same for all frames of a clip. Of a region, colours and mirroring alone."""


class AudioVisualTask(PretextTask):
    """Two encoders, one that sees and one that hears; z of both lie in one space.

    A clip of T frames is read frame by frame, sound as T moments, both kept in their order, so that
    the head can tell when something is seen or heard.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"cnn", "vit"})
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: AudioVisualSettings

    def __init__(
        self,
        encoder: Encoder,
        settings: AudioVisualSettings,
        info: Info,
        *,
        frames: int,
        seconds: float,
    ) -> None:
        """frames: T that are seen; seconds: of sound that are heard."""
        super().__init__(encoder, settings, info)
        self.frames, self.seconds = frames, seconds
        self.sound_encoder = settings.encoder(seconds)
        self.watching = FrameEncoder(encoder)
        sizes = settings.hidden, settings.projection
        self.see_head = mlp((frames * encoder.dim, *sizes))
        self.hear_head = mlp((frames * self._heard_channels(), *sizes))
        if settings.objective == "binary":
            self.judge = nn.Sequential(
                nn.Linear(2 * settings.projection, JUDGE_DIM),
                nn.ReLU(inplace=True),
                nn.Linear(JUDGE_DIM, 1),
            )

    @torch.no_grad()
    def _heard_channels(self) -> int:
        """Of the sound encoder's last map: some CNNs have a layer behind their last stage."""
        listener = self.sound_encoder
        training = listener.training
        listener.eval()
        silence = torch.zeros(1, round(self.seconds * SOUND_HZ))
        channels = listener.feature_map(silence, listener.stage_strides[-1]).shape[1]
        listener.train(training)
        return channels

    def exports(self) -> Mapping[str, Encoder]:
        """The encoder that hears."""
        return {"sound": self.sound_encoder}

    def trivial(self, rows: int) -> float:
        """Chance: half of the pairs belong together."""
        return 0.5

    @abstractmethod
    def embed(self, views: Views) -> tuple[Tensor, Tensor]:
        """Projections of what is seen and of what is heard, (B, P) each."""

    def see(self, clip: Tensor) -> Tensor:
        """(B, 3, T, S, S) -> z (B, P) of what is seen, in single precision at least."""
        h = self.encoder(self.watching.frames(clip)).view(len(clip), self.frames, -1)
        return at_least_float(self.see_head(self._moving(h).flatten(1)))

    def _moving(self, h: Tensor) -> Tensor:
        """(B, T, D) without their mean over time, if that is asked."""
        return h - h.mean(1, keepdim=True) if self.settings.motion_only else h

    def hear(self, sound: Tensor) -> Tensor:
        """(B, n) -> z (B, P) of what is heard, in single precision at least."""
        last = self.sound_encoder.feature_map(sound, self.sound_encoder.stage_strides[-1])
        moments = F.adaptive_avg_pool1d(last.mean(2), self.frames)
        return at_least_float(self.hear_head(moments.flatten(1)))

    def agreement(self, seen: Tensor, heard: Tensor) -> Tensor:
        """How well z of what is seen and of what is heard fit, row by row: (..., P) twice -> (...).

        Binary: the logit of yes. Contrastive: the cosine over the temperature.
        """
        if self.settings.objective == "binary":
            logit: Tensor = self.judge(torch.cat([seen, heard], -1))
            return logit.squeeze(-1)
        return F.cosine_similarity(seen, heard, dim=-1) / self.settings.temperature

    def watch(self, clips: Clips, rng: Draws) -> Tensor:
        """One random view of each clip, of its region if there is one: (B, 3, T, s, s)."""
        drawn = draw_view(self.settings.view, clips.frame(0), self.info.size, rng)
        if self.settings.region is None:
            return apply_clip(clips, drawn, self.info.size)
        shift = rng.named("region").uniform(-1, 1, 2) * self.settings.jitter
        box = region_box(clips, self.settings.region, shift)
        side = max(round(self.info.size * self.settings.region[2]), 1)
        return apply_clip(clips, replace(drawn, box=box), side)

    def listen(self, audio: Tensor, rng: Draws) -> Tensor:
        """Int16 (B, n) -> floats (B, n), each as loud as is drawn."""
        most = self.settings.gain_db
        gain = 10 ** (rng.named("gain").uniform(-most, most) / 20)
        return as_waves(audio) * gain[:, None].to(audio.device)

    @torch.no_grad()
    def heat(self, clip: Tensor, heard: Tensor) -> Tensor:
        """What part of the picture fits the sound: (B, 3, T, S, S), z (B, P) -> (B, H, W).

        The head, made for the mean over all places, is asked about each place by itself, as in
        Arandjelovic & Zisserman 2018 (arXiv:1712.06651), section 4. Where the last map is coarser
        than 4 x 4, it is read finer (`fine_map`).
        """
        last = fine_map(self.encoder, self.watching.frames(clip))
        height, width = last.shape[2:]
        # What the network makes of each place, as if there were no other.
        places = self.encoder.head(last.permute(0, 2, 3, 1).flatten(0, 2)[..., None, None])
        last = places.view(len(last), height, width, -1).permute(0, 3, 1, 2)
        moments = self._moving(last.reshape(len(clip), self.frames, -1))
        cells = moments.reshape(len(clip), -1, height * width).transpose(1, 2)
        seen = at_least_float(self.see_head(cells.flatten(0, 1))).view(*cells.shape[:2], -1)
        return self.agreement(seen, heard[:, None].expand_as(seen)).view(-1, height, width)


def region_box(clips: Clips, region: tuple[float, float, float], shift: Tensor) -> Tensor:
    """The square `region` of each clip, int64 (B, 4): x, y, width, height, within the picture.

    shift: (B, 2), by how much it is moved to the right and down, as shares of its side.
    """
    first = clips.frame(0)
    full = torch.stack([first.widths, first.heights], 1).cpu()
    x, y, share = region
    side = (full.min(1).values * share).round().long().clamp_min(1)
    centre = full * torch.tensor([x, y]) + shift.cpu() * side[:, None]
    corner = (centre - side[:, None] / 2).round().long()
    corner = torch.minimum(corner, full - side[:, None]).clamp_min(0)
    return torch.cat([corner, side[:, None], side[:, None]], 1)
