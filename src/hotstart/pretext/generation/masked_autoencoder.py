"""Masked autoencoder: what was in the three quarters of the patches that are missing?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.painting import mean_score, painted_panel
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
    Step,
    Views,
)

SHOWN = 6
HEAD_DIM = 32
FLAT = 1e-6  # Added to a patch's variance before its root is taken, as in the paper's code.


class MaskedAutoencoderSettings(Settings):
    """Settings of `masked_autoencoder`."""

    hidden: float = Field(default=0.75, gt=0, lt=1)
    """Share of the patches that the encoder does not see: the difficulty."""
    normalise: bool = True
    """Each patch is predicted with its own mean 0 and deviation 1, as in the paper; else as it is
    in the encoder's normalised units."""
    width: int = Field(default=96, ge=HEAD_DIM, multiple_of=HEAD_DIM)
    """Of the decoder's tokens; the encoder's are 192 wide in `vit_tiny_depth6`."""
    depth: int = Field(default=2, ge=1)
    """Blocks of the decoder."""
    view: ViewSettings = ViewSettings(crop_scale=(0.2, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class MaskedAutoencoder(PretextTask):
    """Paint the patches of a picture that are missing, from the quarter of them that is left.

    He 2022 (arXiv:2111.06377). The encoder, a ViT, sees the visible patches only, without mask
    tokens. A light decoder of transformer blocks sees its tokens, a learned mask token in each
    hidden place, and where each one belongs (fixed sines and cosines), and predicts the pixels of
    every patch; the loss is the mean squared error on the hidden ones, whose pixels each have
    their own patch's mean 0 and deviation 1 (table 1d of the paper).

    Deviations: a much smaller decoder (the paper's has 8 blocks of 512 for a ViT-L); the encoder's
    positional embeddings are timm's, learned. Pixels of a patch of mean 0 and deviation 1 are no
    picture: a second linear layer says each patch's mean and deviation from the decoder's tokens.
    It sends no gradient into them, so that what is learned is the paper's, and nothing of a hidden
    patch leaks into what is measured and shown.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"vit"})
    metric: ClassVar[str] = "psnr_db"
    Settings: ClassVar[type[Settings]] = MaskedAutoencoderSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=0.05
    )
    batch_size: ClassVar[int] = 128
    settings: MaskedAutoencoderSettings

    def __init__(self, encoder: Encoder, settings: MaskedAutoencoderSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.patch_px = encoder.stage_strides[-1]
        self.side = info.size // self.patch_px
        if info.size % self.patch_px:
            fits = self.patch_px * self.side
            raise UsageError(
                f"masked_autoencoder: {encoder.spec.name} cuts {self.patch_px} px patches, "
                f"pictures of {info.size} px are no multiple of that; --size {fits} or "
                f"{fits + self.patch_px}"
            )
        self.places = self.side**2
        self.visible = round((1 - settings.hidden) * self.places)
        if not 0 < self.visible < self.places:
            raise UsageError(
                f"masked_autoencoder.hidden: {settings.hidden:g} of {self.places} patches leaves "
                f"{self.visible} visible; at least one must be seen and one hidden"
            )
        width, values = settings.width, 3 * self.patch_px**2
        self.enter = nn.Linear(encoder.dim, width)
        self.mask_token = nn.Parameter(torch.empty(width).normal_(std=0.02))
        grid = [self.side, self.side]
        self.position: Tensor
        self.register_buffer("position", build_sincos2d_pos_embed(grid, width), persistent=False)
        blocks = [Block(width, width // HEAD_DIM, qkv_bias=True) for _ in range(settings.depth)]
        self.decoder = nn.Sequential(*blocks, nn.LayerNorm(width))
        self.pixels = nn.Linear(width, values)
        self.statistics = nn.Linear(width, 2) if settings.normalise else None
        if self.statistics is not None:
            nn.init.zeros_(self.statistics.weight)  # Before training it says the mean colour.
            nn.init.zeros_(self.statistics.bias)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S), `keep` int64 (B, K): the visible patches, in raster order."""
        return self._masked(
            random_view(batch["image"], self.settings.view, self.info.size, rng), rng
        )

    def _masked(self, images: Tensor, rng: Draws) -> Views:
        order = rng.named("mask").permutations(self.places)
        keep = order[:, : self.visible].sort(1).values
        return {"image": images, "keep": keep.to(images.device)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Mean squared error on hidden patches; 1 for predicting their mean."""
        images, hidden = views["image"], self._hidden(views["keep"])
        truth = to_patches(self.encoder.normalise(images), self.patch_px)
        tokens = self._decode(images, views["keep"])
        patches, statistics = self._answer(tokens)
        if statistics is None:
            loss = reconstruction = masked_mean_square(patches, truth, hidden)
        else:
            target, told = standardised(truth)
            reconstruction = masked_mean_square(patches, target, hidden)
            loss = reconstruction + masked_mean_square(statistics, told, hidden)
        painted = self._painted(patches, statistics).detach()
        psnr = psnr_db(painted, images, self._where(hidden)).mean()
        return Step(loss, {"psnr_db": psnr, "reconstruction": reconstruction.detach()})

    def _decode(self, images: Tensor, keep: Tensor) -> Tensor:
        """The decoder's tokens of all patches, (B, L, width)."""
        seen = self.enter(self.encoder.tokens(images, keep))
        prefix, patches = seen[:, : -keep.shape[1]], seen[:, -keep.shape[1] :]
        places = self.mask_token.to(seen).expand(len(seen), self.places, -1)
        places = places.scatter(1, keep[..., None].expand_as(patches), patches)
        tokens: Tensor = self.decoder(torch.cat([prefix, places + self.position], 1))
        return tokens[:, prefix.shape[1] :]

    def _answer(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pixels of every patch (B, L, V), and where they are normalised, mean and deviation."""
        if self.statistics is None:
            return self.pixels(tokens), None
        return self.pixels(tokens), self.statistics(tokens.detach())

    def _painted(self, patches: Tensor, statistics: Tensor | None) -> Tensor:
        """The answer as a whole picture in 0..1, (B, 3, S, S)."""
        if statistics is not None:
            mean, deviation = statistics.split(1, 2)
            patches = patches * deviation.clamp_min(0) + mean
        return to_pictures(patches, self.patch_px) * self.encoder.std + self.encoder.mean

    def _hidden(self, keep: Tensor) -> Tensor:
        """Bool (B, L), True where a patch is hidden."""
        everywhere = torch.ones(len(keep), self.places, dtype=torch.bool, device=keep.device)
        return everywhere.scatter(1, keep, False)

    def _where(self, hidden: Tensor) -> Tensor:
        """(B, L) of patches -> bool (B, 1, S, S) of pixels."""
        grid = hidden.view(-1, 1, self.side, self.side)
        return grid.repeat_interleave(self.patch_px, 2).repeat_interleave(self.patch_px, 3)

    def _ask(self, batch: Batch, rng: Draws) -> tuple[Views, Tensor]:
        """Whole pictures, uncropped, with patches hidden; and bool where, (B, 1, S, S)."""
        views = self._masked(centre_view(batch["image"], self.info.size), rng)
        return views, self._where(self._hidden(views["keep"]))

    def _filled(self, views: Views, where: Tensor) -> Tensor:
        """The network's answer beside what it saw."""
        painted = self._painted(*self._answer(self._decode(views["image"], views["keep"])))
        return torch.where(where, painted.clamp(0, 1), views["image"])

    def _mean_patch(self, views: Views, where: Tensor) -> Tensor:
        """The trivial answer: in each hidden place the mean of the picture's visible patches."""
        patches = to_patches(views["image"], self.patch_px)
        keep = views["keep"][..., None].expand(-1, -1, patches.shape[2])
        mean = patches.gather(1, keep).mean(1, keepdim=True).expand_as(patches)
        return torch.where(where, to_pictures(mean, self.patch_px), views["image"])

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture with its hidden patches painted."""
        return self._filled(*self._ask(batch, rng))

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean PSNR on hidden patches, beside that of the mean visible patch."""

        def measure(batch: Batch, rng: Draws) -> tuple[Tensor, Tensor]:
            views, where = self._ask(batch, rng)
            answers = self._filled(views, where), self._mean_patch(views, where)
            answer, other = (psnr_db(filling, views["image"], where) for filling in answers)
            return answer, other

        return mean_score(self.metric, batches, rng, measure)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """What the encoder sees, the mean visible patch, the network's answer, the truth."""
        count = min(SHOWN, len(batch["image"]))
        shown: Batch = {"image": batch["image"].select(range(count))}
        views, where = self._ask(shown, rng.batch(0, count))
        truth = views["image"]
        seen = torch.where(where, self.encoder.mean, truth)
        columns, scores = {"visible": seen}, {}
        caption = f"{1 - self.visible / self.places:.0%} of the patches are hidden from the encoder"
        if answers:
            fillings = {
                "mean visible patch": self._mean_patch(views, where),
                "network": self._filled(views, where),
            }
            columns |= fillings
            scores = {name: psnr_db(filling, truth, where) for name, filling in fillings.items()}
            caption += "; PSNR on the hidden patches, higher is better"
        columns["truth"] = truth
        title = "What was in the missing patches?"
        return [painted_panel("masked_autoencoder", title, f"{caption}.", columns, scores)]


def to_patches(images: Tensor, patch_px: int) -> Tensor:
    """(B, C, S, S) -> patches in raster order, (B, L, C * patch_px**2)."""
    return F.unfold(images, patch_px, stride=patch_px).transpose(1, 2)


def to_pictures(patches: Tensor, patch_px: int) -> Tensor:
    """The inverse of `to_patches`, for square pictures."""
    size = patch_px * round(patches.shape[1] ** 0.5)
    return F.fold(patches.transpose(1, 2), size, patch_px, stride=patch_px)


def standardised(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Each patch of (B, L, V) with mean 0 and deviation 1; and what those were, (B, L, 2)."""
    mean = patches.mean(2, keepdim=True)
    deviation = (patches.var(2, keepdim=True) + FLAT).sqrt()
    return (patches - mean) / deviation, torch.cat([mean, deviation], 2)


def masked_mean_square(prediction: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error over hidden patches: prediction, target (B, L, V), hidden bool (B, L)."""
    errors = (prediction - target).square().mean(2) * hidden
    return errors.sum() / hidden.sum()
