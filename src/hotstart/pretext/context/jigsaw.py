"""Jigsaw: which tile belongs where?"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings
from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.context.permutations import distant_permutations, hamming_distances
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    PretextTask,
    Progress,
    Settings,
    Step,
    Views,
    to_uint8,
)
from hotstart.pretext.tiles import CELLS, Grid, montage, standardised, tiles_of

SHOWN = 6
TILE_DIM = 128
HIDDEN_DIM = 512


class JigsawSettings(Settings):
    """Settings of `jigsaw`."""

    permutations: int = Field(default=100, ge=2, le=5_000)
    """How many orders there are to choose from, P: the difficulty."""
    orders_per_picture: int = Field(default=4, ge=1)
    """Each tile goes through the encoder once; the head sees them in so many orders."""
    gap: float = Field(default=11 / 64, ge=0, le=1)
    """Between tiles, as a share of a tile's side; 0 with `jitter` 0 takes the guard off."""
    jitter: float = Field(default=11 / 64, ge=0, le=1)
    """By how much a tile may be shifted, as a share of its side."""
    normalise: bool = True
    """Each tile by its own mean and deviation, lest brightness tell what is beside what."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), strength=0.5, jitter=0.8, grey=0.3, blur=0.0
    )


class Jigsaw(PretextTask):
    """Put nine shuffled tiles back into their order.

    Noroozi & Favaro 2016 (arXiv:1603.09246): the order is one of P permutations that lie far apart;
    every tile goes through the same encoder by itself (context-free), and only the head sees all
    nine. Guards of section 3.3: gaps and jitter between tiles (64 px of a cell of 75 px), tiles
    normalised one by one, some pictures grey against chromatic aberration.

    Deviations: the encoder is whole, its pooled h in the place of fc6; AdamW; where tiles of small
    pictures would be smaller than the encoder can take, the picture is resized up before it is cut;
    colour jitter on the whole view in the place of shifted colour channels.
    """

    Settings: ClassVar[type[Settings]] = JigsawSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 128
    settings: JigsawSettings
    orders: Tensor

    def __init__(self, encoder: Encoder, settings: JigsawSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.grid = Grid.of(encoder, info.size, settings.gap, settings.jitter)
        chosen = distant_permutations(settings.permutations)
        self.distances = hamming_distances(chosen)
        self.register_buffer("orders", torch.from_numpy(chosen.astype("int64")), persistent=False)
        self.tile_head = nn.Sequential(nn.Linear(encoder.dim, TILE_DIM), nn.ReLU(inplace=True))
        self.classifier = mlp((CELLS * TILE_DIM, HIDDEN_DIM, settings.permutations))

    def trivial(self, rows: int) -> float:
        """Chance."""
        return 1 / self.settings.permutations

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, 3t, 3t), shuffled tiles side by side; `pseudo_label` (B,), their order.

        In place k of a picture of order p stands tile orders[p, k]. `more` int64 (B, K - 1): other
        orders in which the head is asked about the same tiles.
        """
        whole = self.grid.view(batch["image"], self.settings.view, rng)
        return self._shuffled(whole, rng)

    def _shuffled(self, whole: Tensor, rng: Draws) -> Views:
        tiles = self.grid.cut(whole, rng)
        label = rng.named("order").integers(0, self.settings.permutations).to(whole.device)
        row = torch.arange(len(tiles), device=whole.device)[:, None]
        others = self.settings.orders_per_picture - 1
        more = rng.named("more").integers(0, self.settings.permutations, others)
        return {
            "image": montage(tiles[row, self.orders[label]]),
            "pseudo_label": label,
            "more": more.to(whole.device),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the P orders; ln P at chance. Accuracy is that of `image`."""
        truth = torch.cat([views["pseudo_label"][:, None], views["more"]], 1)
        logits = self._logits(views["image"], truth)
        accuracy = (logits[:, 0].argmax(1) == truth[:, 0]).float().mean()
        loss = F.cross_entropy(logits.flatten(0, 1), truth.flatten())
        return Step(loss, {"accuracy": accuracy})

    def _logits(self, image: Tensor, orders: Tensor) -> Tensor:
        """(B, 3, 3t, 3t), which is in order orders[:, 0], asked in all `orders` (B, K) of them.

        Returns (B, K, P).
        """
        tiles = tiles_of(image)
        if self.settings.normalise:
            tiles = standardised(tiles, self.encoder)
        apart = tiles.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        h = self.tile_head(self.encoder(apart)).view(len(image), CELLS, TILE_DIM)
        # Place k of order q holds the tile that stands where order p has it.
        back = self.orders[orders[:, 0]].argsort(1)
        places = back[:, None].expand(-1, orders.shape[1], -1).gather(2, self.orders[orders])
        row = torch.arange(len(image), device=image.device)[:, None, None]
        logits: Tensor = self.classifier(h[row, places].flatten(0, 1).flatten(1))
        return logits.view(*orders.shape, -1)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Shuffled tiles, the order that the network gives them, the right one."""
        count = min(SHOWN, len(batch["image"]))
        shown = batch["image"].select(range(count))
        draws = rng.batch(0, count)
        whole = self.grid.view(shown, self.settings.view, draws)
        views = self._shuffled(whole, draws)
        truth = views["pseudo_label"]
        columns = ["shuffled", "truth"]
        pictures = [views["image"], self._restored(views["image"], truth)]
        mean, least = self.distances
        caption = (
            f"One of {self.settings.permutations} orders, which differ in {mean:.2f} places on "
            f"average and in {least} at least"
        )
        texts = [["", ""]] * count
        if answers:
            said = self._logits(views["image"], truth[:, None])[:, 0].argmax(1)
            columns.insert(1, "network")
            pictures.insert(1, self._restored(views["image"], said))
            right = (self.orders[said] == self.orders[truth]).sum(1).tolist()
            caption += f"; {int((said == truth).sum())} of {count} right here"
            texts = [["", f"{tiles} of 9 tiles right", ""] for tiles in right]
        return [
            Panel(
                "jigsaw",
                "Which tile belongs where?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]

    def _restored(self, image: Tensor, label: Tensor) -> Tensor:
        """Each picture's tiles put where the order `label` says that they come from."""
        row = torch.arange(len(image), device=image.device)[:, None]
        return montage(tiles_of(image)[row, self.orders[label].argsort(1)])
