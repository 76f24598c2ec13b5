"""Super-resolution: which detail was lost when the picture was made small?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ConvDiscriminator, Encoder
from hotstart.errors import UsageError
from hotstart.pretext.adversarial import discriminator_loss, generator_loss
from hotstart.pretext.painting import mean_score, painted_panel
from hotstart.pretext.reconstruction import psnr_db
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Player,
    PretextTask,
    Progress,
    Score,
    Settings,
    Step,
    Views,
)

SHOWN = 6
SMALLEST_PX = 2


class SuperResolutionSettings(Settings):
    """Settings of `super_resolution`."""

    factor: Literal[2, 4, 8] = 4
    """By which the picture's side is reduced: the difficulty."""
    maps: Literal["last", "all"] = "all"
    """Which of the encoder's maps the decoder reads; with `all` detail need not pass the last."""
    width: int = Field(default=32, ge=1)
    """Channels of the decoder, and the discriminator's first."""
    adversarial_weight: float = Field(default=0.0, ge=0)
    """The paper's is 0.001; sharper pictures and a lower PSNR. 0 leaves the adversary out."""
    adversary: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=2e-4, weight_decay=0.0, momentum=0.5
    )
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class SuperResolution(PretextTask):
    """Give a picture that was made small the detail back that it lost.

    Ledig 2017 (SRGAN, arXiv:1609.04802): the picture is reduced by `factor`, the network restores
    it, eq. 4 is the mean squared error of pixels, and an optional adversary tells true pictures
    from restored ones (eq. 2, 3 and 6). The encoder sees the small picture enlarged to its own
    size by bicubic interpolation; the decoder reads its maps, doubles them by sub-pixel
    convolutions as the paper does, and says what is to be added to the enlarged picture, as Kim
    2016 (VDSR, arXiv:1511.04587, eq. in section 3.2) has it.

    Deviations: the paper's generator works on the small picture at constant resolution, an encoder
    does not; residual learning over bicubic; no VGG loss (eq. 5), which needs a network trained
    with labels; errors in the encoder's normalised units; PSNR of all pixels and colours, where the
    paper has the luminance without a border; AdamW.
    """

    metric: ClassVar[str] = "psnr_gain_db"
    Settings: ClassVar[type[Settings]] = SuperResolutionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: SuperResolutionSettings

    def __init__(self, encoder: Encoder, settings: SuperResolutionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.low_px = round(info.size / settings.factor)
        if self.low_px < SMALLEST_PX:
            raise UsageError(
                f"super_resolution.factor: {info.size} px reduced {settings.factor} times are "
                f"{self.low_px} px, at least {SMALLEST_PX} are needed; a smaller factor or a "
                f"larger --size"
            )
        everything = settings.maps == "all"
        self.decoder = SubPixelDecoder(
            encoder.stage_dims if everything else encoder.stage_dims[-1:],
            encoder.stage_strides if everything else encoder.stage_strides[-1:],
            settings.width,
        )
        self.discriminator = (
            ConvDiscriminator(info.size, width=settings.width)
            if settings.adversarial_weight > 0
            else None
        )

    def players(self) -> dict[str, Player]:
        """The generator (encoder and decoder), then the adversary, if there is one."""
        generator = [*self.encoder.parameters(), *self.decoder.parameters()]
        players = {"generator": Player(generator, self.optimiser)}
        if self.discriminator is not None:
            weights = list(self.discriminator.parameters())
            players["adversary"] = Player(weights, self.settings.adversary)
        return players

    def trivial(self, rows: int) -> float:
        """The gain of bicubic interpolation over itself."""
        return 0.0

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`low` (B, 3, s, s) and `whole` (B, 3, S, S), s = S / factor."""
        return self._reduced(random_view(batch["image"], self.settings.view, self.info.size, rng))

    def _reduced(self, whole: Tensor) -> Views:
        return {"low": bicubic(whole, self.low_px), "whole": whole}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Eq. 3 with 4 for the generator, eq. 2 for the adversary, who sees what was `restored`."""
        whole = views["whole"]
        truth = self.encoder.normalise(whole)
        if player == "adversary":
            assert self.discriminator is not None
            real, made = self.discriminator(truth), self.discriminator(views["restored"])
            right = torch.cat([real > 0, made <= 0]).float().mean()
            return Step(discriminator_loss(real, made), {"adversary_accuracy": right})
        enlarged = bicubic(views["low"], self.info.size)
        restored = self._restore(enlarged)
        error = F.mse_loss(restored, truth)
        loss = error
        if self.discriminator is not None:
            fooled = generator_loss(self.discriminator(restored))
            loss = loss + self.settings.adversarial_weight * fooled
        picture = restored.detach() * self.encoder.std + self.encoder.mean
        gain = (psnr_db(picture, whole) - psnr_db(enlarged, whole)).mean()
        metrics = {"psnr_gain_db": gain, "reconstruction": error.detach()}
        return Step(loss, metrics, {"restored": restored.detach()})

    def _restore(self, enlarged: Tensor) -> Tensor:
        """The enlarged picture in 0..1 -> with its detail, in the encoder's normalised units."""
        enlarged = enlarged.contiguous(memory_format=torch.channels_last)
        added: Tensor = self.decoder(self.encoder.stages(enlarged), self.info.size)
        return self.encoder.normalise(enlarged) + added

    def _ask(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Whole pictures, uncropped: small, enlarged, restored, true, in 0..1."""
        views = self._reduced(centre_view(batch["image"], self.info.size))
        enlarged = bicubic(views["low"], self.info.size)
        restored = self._restore(enlarged) * self.encoder.std + self.encoder.mean
        return views["low"], enlarged, restored.clamp(0, 1), views["whole"]

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture, made small and restored."""
        return self._ask(batch)[2]

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean gain in PSNR over bicubic interpolation of the same small pictures."""

        def measure(batch: Batch, rng: Draws) -> tuple[Tensor, Tensor]:
            _, enlarged, restored, whole = self._ask(batch)
            gain = psnr_db(restored, whole) - psnr_db(enlarged, whole)
            return gain, torch.zeros_like(gain)

        return mean_score(self.metric, batches, rng, measure)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """The small picture, bicubic interpolation, the network's answer, the truth."""
        count = min(SHOWN, len(batch["image"]))
        low, enlarged, restored, whole = self._ask({"image": batch["image"].select(range(count))})
        columns, scores = {"small": F.interpolate(low, self.info.size, mode="nearest")}, {}
        caption = f"Pictures reduced {self.settings.factor} times, and what they lost"
        if answers:
            answer = {"bicubic": enlarged, "network": restored}
            columns |= answer
            scores = {name: psnr_db(pictures, whole) for name, pictures in answer.items()}
            caption += "; PSNR, higher is better"
        columns["truth"] = whole
        title = "Which detail was lost?"
        return [painted_panel("super_resolution", title, f"{caption}.", columns, scores)]


class SubPixelDecoder(nn.Module):
    """Maps of an encoder, from the input to the last -> a picture, (B, 3, size, size).

    Starting from the last map the resolution doubles by sub-pixel convolutions (Shi 2016,
    arXiv:1609.05158) up to the picture's; where a finer map is at hand it is added, as in feature
    pyramids (Lin 2017, arXiv:1612.03144).
    """

    def __init__(self, dims: Sequence[int], strides: Sequence[int], width: int) -> None:
        super().__init__()
        # The deepest map of each stride; the first is the last one.
        self.laterals = nn.ModuleDict()
        self.stage: dict[int, int] = {}
        for back, (dim, stride) in enumerate(zip(reversed(dims), reversed(strides), strict=True)):
            if stride not in self.stage:
                self.stage[stride] = -1 - back
                self.laterals[str(stride)] = nn.Conv2d(dim, width, 1)
        self.strides = []
        stride = strides[-1]
        while stride > 1:
            stride = -(-stride // 2)
            self.strides.append(stride)
        self.doublings = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(width)
            )
            for _ in self.strides
        )
        self.last_stride = strides[-1]
        self.end = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, maps: Sequence[Tensor], size: int) -> Tensor:
        features = self.laterals[str(self.last_stride)](maps[-1])
        for stride, double in zip(self.strides, self.doublings, strict=True):
            features = double(features)
            if stride in self.stage:
                finer = self.laterals[str(stride)](maps[self.stage[stride]])
                features = resized(features, finer.shape[-1]) + finer
        picture: Tensor = self.end(resized(features, size))
        return picture


def resized(features: Tensor, side: int) -> Tensor:
    """Where doubling overshoots: sizes that are no multiple of the last stride."""
    if features.shape[-1] == side:
        return features
    return F.interpolate(features, size=side, mode="bilinear")


def bicubic(images: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) in 0..1 -> (B, 3, size, size), clipped to 0..1.

    Keys' kernel; antialiased where pictures shrink, or a network could read what aliasing leaves.
    """
    return F.interpolate(images, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
