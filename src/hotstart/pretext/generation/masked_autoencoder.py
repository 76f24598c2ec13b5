"""Masked autoencoder: a quarter of the patches, and what were the others?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.attention import attention_panel
from hotstart.pretext.reconstruction import ROUNDING
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
    Step,
    Views,
    batch_rows,
    to_uint8,
)

SHOWN = 6
HEAD_DIM = 32
FLAT = 1e-6  # Of the paper's code: what a patch of one colour is divided by.


class MaskedAutoencoderSettings(Settings):
    """Settings of `masked_autoencoder`."""

    hidden: float = Field(default=0.75, gt=0, lt=1)
    """Share of the patches that are hidden: the difficulty."""
    normalise: bool = False
    """Each hidden patch by its own mean and deviation, as in the paper's best recipe. What is then
    predicted is no colour: pictures and PSNR take mean and deviation from what is seen."""
    decoder_dim: int = Field(default=96, ge=HEAD_DIM, multiple_of=HEAD_DIM)
    decoder_depth: int = Field(default=2, ge=1)
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class MaskedAutoencoder(PretextTask):
    """See a quarter of the patches, and give back the others.

    He 2022 (MAE, arXiv:2111.06377): the encoder, a ViT, sees the visible patches alone; a small
    transformer gets their tokens, a mask token in each place that was hidden, and the places'
    sine-cosine embedding, and predicts pixels; the loss is the squared error on hidden patches.

    Deviations: pixels in units of the encoder's normalised pixels, not normalised patch by patch by
    default, so that the answer is a picture and its PSNR can be told; a decoder of 2 blocks of 96
    for small encoders.
    """

    name: ClassVar[str] = "masked_autoencoder"
    accepts: ClassVar[frozenset[str]] = frozenset({"vit"})
    metric: ClassVar[str] = "psnr_db"
    Settings: ClassVar[type[Settings]] = MaskedAutoencoderSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-2
    )
    batch_size: ClassVar[int] = 128
    settings: MaskedAutoencoderSettings
    places: Tensor
    frames: ClassVar[int] = 1
    """Of a patch."""
    moments: ClassVar[int] = 1
    """How often each place of the picture has a patch."""

    def __init__(self, encoder: Encoder, settings: MaskedAutoencoderSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.patch_px = encoder.stage_strides[-1]
        self.side = info.size // self.patch_px
        count = self.side**2
        self.kept = min(max(round((1 - settings.hidden) * count), 1), count - 1) * self.moments
        if count < 2 or info.size % self.patch_px:
            raise UsageError(
                f"{self.name}: pictures of {info.size} px cannot be cut into patches of "
                f"{self.patch_px} px; --size must be a multiple of it, two patches or more"
            )
        dim = settings.decoder_dim
        self.register_buffer("places", self._embedded_places(dim)[None], persistent=False)
        self.narrow = nn.Linear(encoder.dim, dim)
        self.mask_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        blocks = [
            Block(dim, num_heads=dim // HEAD_DIM, qkv_bias=True)
            for _ in range(settings.decoder_depth)
        ]
        self.decoder = nn.Sequential(
            *blocks, nn.LayerNorm(dim), nn.Linear(dim, 3 * self.frames * self.patch_px**2)
        )

    def _embedded_places(self, dim: int) -> Tensor:
        """(L, dim)."""
        places: Tensor = build_sincos2d_pos_embed([self.side, self.side], dim=dim)
        return places

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S); `order` int64 (B, L): all places, those seen first."""
        image = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return {"image": image, "order": self._order(rng).to(image.device)}

    def _order(self, rng: Draws) -> Tensor:
        return rng.named("order").permutations(self.side**2)

    def patches(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, L, 3 p p), in raster order."""
        cut = nn.functional.unfold(images, self.patch_px, stride=self.patch_px)
        return cut.transpose(1, 2)

    def images(self, patches: Tensor) -> Tensor:
        """The opposite of `patches`."""
        size = (self.info.size, self.info.size)
        return nn.functional.fold(
            patches.transpose(1, 2), size, self.patch_px, stride=self.patch_px
        )

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Mean squared error of the hidden patches."""
        image, order = views["image"], views["order"]
        hidden = order[:, self.kept :]
        said = self._said(image, order)
        truth = rows_at(self.patches(self.encoder.normalise(image)), hidden)
        if self.settings.normalise:
            variance, mean = torch.var_mean(truth, dim=2, keepdim=True)
            truth = (truth - mean) / (variance + FLAT).sqrt()
        psnr = self._psnr_db(self._colours(image, order, said.detach()), image, hidden)
        return Step((said - truth).square().mean(), {"psnr_db": psnr.mean()})

    def _said(self, image: Tensor, order: Tensor) -> Tensor:
        """The decoder's answer for the hidden patches, (B, L - K, 3 p p), in their order."""
        seen = order[:, : self.kept]
        tokens = self.encoder.tokens(image, seen)[:, -self.kept :]
        known = self.narrow(tokens)
        unknown = self.mask_token.expand(len(image), order.shape[1] - self.kept, -1)
        places = rows_at(self.places.expand(len(image), -1, -1), order)
        said: Tensor = self.decoder(torch.cat([known, unknown], 1) + places)
        return said[:, self.kept :]

    def _colours(self, image: Tensor, order: Tensor, said: Tensor) -> Tensor:
        """The answer as colours in 0..1, (B, L - K, 3 p p)."""
        if self.settings.normalise:
            seen = rows_at(self.patches(self.encoder.normalise(image)), order[:, : self.kept])
            deviation, mean = torch.std_mean(seen, dim=(1, 2), keepdim=True)
            said = said * deviation + mean
        channel = self.frames * self.patch_px**2
        scale = self.encoder.std.flatten().repeat_interleave(channel)
        shift = self.encoder.mean.flatten().repeat_interleave(channel)
        return (said * scale + shift).clamp(0, 1)

    def _psnr_db(self, colours: Tensor, image: Tensor, hidden: Tensor) -> Tensor:
        """Of each picture's hidden patches, (B,)."""
        truth = rows_at(self.patches(image), hidden)
        error = (colours - truth).square().mean((1, 2))
        return -10 * error.clamp_min(ROUNDING).log10()

    def _ask(self, batch: Batch, rng: Draws) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Whole pictures, order, the network's colours, and the trivial answer."""
        image = self._whole(batch)
        order = self._order(rng).to(image.device)
        colours = self._colours(image, order, self._said(image, order))
        return image, order, colours, self._guess(self.patches(image), order)

    def _whole(self, batch: Batch) -> Tensor:
        return centre_view(batch["image"], self.info.size)

    def _guess(self, patches: Tensor, order: Tensor) -> Tensor:
        """The trivial answer for the hidden ones of `patches` (B, L, D), (B, L - K, D)."""
        mean = rows_at(patches, order[:, : self.kept]).mean(1, keepdim=True)
        return mean.expand(-1, order.shape[1] - self.kept, -1)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean PSNR of hidden patches, beside that of the trivial answer."""
        value, trivial, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            image, order, colours, mean = self._ask(batch, rng.batch(i, count))
            hidden = order[:, self.kept :]
            value += float(self._psnr_db(colours, image, hidden).sum())
            trivial += float(self._psnr_db(mean, image, hidden).sum())
            rows += count
        return Score(self.metric, value / max(rows, 1), trivial / max(rows, 1), rows)

    def _filled(self, image: Tensor, order: Tensor, colours: Tensor) -> Tensor:
        """The pictures with their hidden patches replaced."""
        patches = self.patches(image).clone()
        hidden = order[:, self.kept :]
        patches.scatter_(1, hidden[..., None].expand_as(colours), colours)
        return self.images(patches)

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture with most of its patches hidden and given back."""
        image, order, colours, _ = self._ask(batch, rng)
        return self._filled(image, order, colours)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """What is seen, its mean patch, the network's answer, the truth; where its heads look."""
        count = min(SHOWN, len(batch["image"]))
        shown: Batch = {"image": batch["image"].select(range(count))}
        image, order, colours, mean = self._ask(shown, rng.batch(0, count))
        hidden = order[:, self.kept :]
        grey = torch.full_like(colours, 0.5)
        columns, pictures = ["seen", "truth"], [self._filled(image, order, grey), image]
        texts = [["", ""]] * count
        caption = f"{order.shape[1] - self.kept} of {order.shape[1]} patches are hidden"
        if answers:
            columns[1:1] = ["mean patch", "network"]
            fillings = mean, colours
            pictures[1:1] = [self._filled(image, order, filling) for filling in fillings]
            scores = [self._psnr_db(filling, image, hidden).tolist() for filling in fillings]
            texts = [
                ["", f"{plain:.1f} dB", f"{net:.1f} dB", ""]
                for plain, net in zip(*scores, strict=True)
            ]
            caption += "; PSNR of these, higher is better"
        panels = [
            Panel(
                "masked_autoencoder",
                "What is behind the grey patches?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]
        if answers:
            panels.append(attention_panel("masked_autoencoder", self.encoder, batch))
        return panels


def rows_at(tokens: Tensor, places: Tensor) -> Tensor:
    """Tokens (B, L, D) at places (B, K) -> (B, K, D)."""
    return tokens.gather(1, places[..., None].expand(-1, -1, tokens.shape[-1]))
