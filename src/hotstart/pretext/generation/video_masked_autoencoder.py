"""Video masked autoencoder: a tenth of the places, seen all the time; what was at the others?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment import centre_clip, random_clip
from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.encoders.video_vit import TUBE_FRAMES, places
from hotstart.pretext.generation.masked_autoencoder import (
    MaskedAutoencoder,
    MaskedAutoencoderSettings,
    rows_at,
)
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Settings,
    Spec,
    Views,
    batch_rows,
    side_by_side,
    to_uint8,
)

SHOWN = 4
FRAMES, SECONDS = 8, 7 / 8


class VideoMaskedAutoencoderSettings(MaskedAutoencoderSettings):
    """Settings of `video_masked_autoencoder`."""

    hidden: float = Field(default=0.9, gt=0, lt=1)
    """Share of the places that are hidden: the difficulty."""
    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of the eight frames."""


class VideoMaskedAutoencoder(MaskedAutoencoder):
    """See a tenth of the places of a clip, in all its frames, and give back the others.

    Tong 2022 (VideoMAE, arXiv:2203.12602): as `masked_autoencoder`, on tubes of 2 frames. What is
    hidden is hidden in all frames (tube masking, section 3.3), because what is hidden now and seen
    in the next frame could be copied from there; and more is, since frames resemble each other.

    Deviations: those of `masked_autoencoder`; clips of 8 frames; the places of the decoder as in
    the encoder, a third of the features each for frame, row and column.
    """

    name: ClassVar[str] = "video_masked_autoencoder"
    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(FRAMES, SECONDS)}
    accepts: ClassVar[frozenset[str]] = frozenset({"video"})
    encoders: ClassVar[tuple[str, ...]] = ("tube_vit_narrow_depth4", "tube_vit_tiny_depth6")
    Settings: ClassVar[type[Settings]] = VideoMaskedAutoencoderSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=6e-3, weight_decay=5e-2
    )
    batch_size: ClassVar[int] = 64
    settings: VideoMaskedAutoencoderSettings
    frames: ClassVar[int] = TUBE_FRAMES
    moments: ClassVar[int] = FRAMES // TUBE_FRAMES

    def __init__(
        self, encoder: Encoder, settings: VideoMaskedAutoencoderSettings, info: Info
    ) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {"clip": Spec(FRAMES, settings.seconds)}  # type: ignore[misc]

    def _embedded_places(self, dim: int) -> Tensor:
        return places((self.moments, self.side, self.side), dim)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, 8, S, S); `order` int64 (B, L): all tubes, those seen first."""
        image = random_clip(batch["clip"], self.settings.view, self.info.size, rng)
        return {"image": image, "order": self._order(rng).to(image.device)}

    def _order(self, rng: Draws) -> Tensor:
        order = super()._order(rng)
        seen = self.kept // self.moments
        return torch.cat([self._always(order[:, :seen]), self._always(order[:, seen:])], 1)

    def _always(self, at: Tensor) -> Tensor:
        """Places (B, P) -> the tubes at them, moment by moment (B, T' P)."""
        first = torch.arange(self.moments, device=at.device) * self.side**2
        return (first[:, None] + at[:, None]).flatten(1)

    def patches(self, images: Tensor) -> Tensor:
        """(B, 3, 8, S, S) -> tubes (B, L, 3 2 p p): frames first, then rows, then columns."""
        n, p = self.side, self.patch_px
        cut = images.reshape(-1, 3, self.moments, self.frames, n, p, n, p)
        return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(len(images), self.moments * n * n, -1)

    def images(self, patches: Tensor) -> Tensor:
        """The opposite of `patches`."""
        n, p, size = self.side, self.patch_px, self.info.size
        cut = patches.reshape(-1, self.moments, n, n, 3, self.frames, p, p)
        whole = cut.permute(0, 4, 1, 5, 2, 6, 3, 7)
        return whole.reshape(len(patches), 3, self.moments * self.frames, size, size)

    def _whole(self, batch: Batch) -> Tensor:
        return centre_clip(batch["clip"], self.info.size)

    def _guess(self, patches: Tensor, order: Tensor) -> Tensor:
        """Of each hidden tube the one that is seen at the same moment at the nearest place."""
        seen = order[:, : self.kept // self.moments]
        hidden = order[:, self.kept :].unflatten(1, (self.moments, -1))[:, 0]
        apart = torch.cdist(self._coordinates(hidden), self._coordinates(seen))
        nearest = seen.gather(1, apart.argmin(2))
        return rows_at(patches, self._always(nearest))

    def _coordinates(self, at: Tensor) -> Tensor:
        """Places (B, P) -> their rows and columns (B, P, 2)."""
        return torch.stack([at // self.side, at % self.side], 2).float()

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each clip with most of its places hidden and given back."""
        return side_by_side(super().generate(batch, rng))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Of each clip what is seen, the nearest tube, the network's answer, the truth."""
        count = min(SHOWN, batch_rows(batch))
        shown: Batch = {"clip": batch["clip"].select(range(count))}
        clips, order, colours, nearest = self._ask(shown, rng.batch(0, count))
        hidden = order[:, self.kept :]
        rows = {"seen": torch.full_like(colours, 0.5)}
        if answers:
            rows |= {"nearest place": nearest, "network": colours}
        pictures, texts = [], []
        filled = {name: self._filled(clips, order, some) for name, some in rows.items()}
        scores = {name: self._psnr_db(some, clips, hidden) for name, some in rows.items()}
        for i in range(count):
            for name, whole in {**filled, "truth": clips}.items():
                pictures.append(to_uint8(whole[i].transpose(0, 1)[:: self.frames]))
                told = f"{scores[name][i]:.1f} dB" if name in ("nearest place", "network") else ""
                texts.append([name, told, *[""] * (self.moments - 2)])
        places_hidden = hidden.shape[1] // self.moments
        return [
            Panel(
                self.name,
                "What is behind the grey places?",
                f"{places_hidden} of {self.side**2} places are hidden, in all frames; of eight "
                "frames every second one is shown"
                + ("; PSNR of what is hidden, higher is better." if answers else "."),
                [f"frame {t + 1}" for t in range(0, FRAMES, self.frames)],
                pictures,
                texts,
                "prediction" if answers else "views",
            )
        ]
