"""The unsupervised floor: principal components of pixels, and k-means of patches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.data import Subset
from hotstart.data.sample import Pictures
from hotstart.encoders.fixed import PATCH_PX, FixedEncoder, PatchCentroids, PixelComponents
from hotstart.pretext.clustering import kmeans
from hotstart.pretext.controls import RandomInit
from hotstart.pretext.task import (
    Batch,
    Draws,
    Panel,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    to_uint8,
)

PICTURES = 5_000
"""Pictures that are looked at, at most."""
CHUNK = 250
PATCHES = 60_000
"""Patches that are clustered, at most, but no more than 32 of a picture."""
PATCHES_OF_ONE = 32
FLAT = 0.1
"""Added to each variance of whitened patches, as in the code of Coates 2011."""
SHOWN_ROWS, SHOWN_COLUMNS = 4, 8


class UnsupervisedSettings(Settings):
    """`pca` and `kmeans` have no settings."""


class Unsupervised(RandomInit):
    """An encoder that is fitted to pictures before the first step; the one step moves nothing."""

    accepts: ClassVar[frozenset[str]] = frozenset({"fixed"})
    max_steps: ClassVar[int | None] = 1
    metric: ClassVar[str] = "explained_variance"
    encoder: FixedEncoder

    def trivial(self, rows: int) -> float:
        """One answer for all pictures, their mean, explains nothing of how they vary."""
        return 0.0

    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Fit the encoder to up to 5,000 pictures, drawn at random."""
        generator = rng.named("fit").generator
        chosen = np.sort(generator.permutation(len(dataset))[:PICTURES])
        views = [
            centre_view(dataset.batch(part, ("image",))["image"], self.info.size)
            for part in np.array_split(chosen, -(-len(chosen) // CHUNK))
        ]
        self.fit(views, generator)

    def fit(self, views: list[Tensor], generator: np.random.Generator) -> None:
        """Find the encoder's buffers. views: (b, 3, S, S) each, in 0..1."""
        raise NotImplementedError

    def unexplained(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the fit leaves of the squared deviations from the mean, and all of them; sums."""
        raise NotImplementedError

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """A loss of zero."""
        loss = self.idle * 0
        return Step(loss, {"loss": loss.detach()})

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """1 - squared error over squared deviation from the mean, on whole held-out pictures."""
        left, whole, rows = 0.0, 0.0, 0
        for batch in batches:
            images = self._wholes(batch["image"])
            error, variance = self.unexplained(images)
            left, whole, rows = left + float(error), whole + float(variance), rows + len(images)
        return Score(self.metric, 1 - left / max(whole, 1e-12), 0.0, rows)

    def _wholes(self, pictures: Pictures) -> Tensor:
        return centre_view(pictures, self.info.size)


class Pca(Unsupervised):
    """The principal components of pixels: what linear algebra sees in pictures.

    Turk & Pentland 1991 (Eigenfaces for recognition, doi:10.1162/jocn.1991.3.1.71): up to 256
    components of pictures of up to 32 px, by randomised SVD (Halko 2011, scikit-learn's).
    """

    Settings: ClassVar[type[Settings]] = UnsupervisedSettings
    encoder: PixelComponents

    def fit(self, views: list[Tensor], generator: np.random.Generator) -> None:
        """Mean and leading components; more components than pictures stay 0."""
        pixels = torch.cat([self.encoder.pixels(images) for images in views]).numpy()
        count = min(self.encoder.dim, len(pixels))
        seed = int(generator.integers(2**31))
        fitted = PCA(count, svd_solver="randomized", iterated_power=4, random_state=seed)
        fitted.fit(pixels)
        self.encoder.centre.copy_(torch.from_numpy(fitted.mean_))
        self.encoder.directions.zero_()
        self.encoder.directions[:, :count] = torch.from_numpy(fitted.components_.T.copy())

    def unexplained(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of pixels."""
        away = self.encoder.pixels(images) - self.encoder.centre
        back = self.encoder(images) @ self.encoder.directions.T
        return (away - back).square().sum(), away.square().sum()

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """The leading components, as pictures."""
        side = self.encoder.side
        found = self.encoder.directions.T[: SHOWN_ROWS * SHOWN_COLUMNS].view(-1, 3, side, side)
        return [gallery("pca", "Principal components", found)] if answers else []


class Kmeans(Unsupervised):
    """K-means of small patches: which of 256 typical patches are where?

    Coates 2011 (An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS),
    section 3; the encoder `patch_centroids` tells how `h` follows. Deviation: 256 centroids of up
    to 60,000 patches, for up to 4,000 of 400,000; k-means++ sets the first ones.
    """

    Settings: ClassVar[type[Settings]] = UnsupervisedSettings
    encoder: PatchCentroids

    def fit(self, views: list[Tensor], generator: np.random.Generator) -> None:
        """ZCA-whitening of patches (eps = 0.1), then k-means."""
        encoder = self.encoder
        each = min(PATCHES_OF_ONE, max(PATCHES // sum(map(len, views)), 1))
        parts = []
        for images in views:
            patches = encoder.patches(images)
            rows = generator.integers(0, patches.shape[1], (len(patches), each))
            parts.append(patches[torch.arange(len(patches))[:, None], torch.from_numpy(rows)])
        points = torch.cat(parts).flatten(0, 1)
        mean = points.double().mean(0)
        centred = points.double() - mean
        variances, axes = torch.linalg.eigh(centred.T @ centred / len(points))
        encoder.middle.copy_(mean)
        encoder.whitening.copy_(axes * (variances.clamp_min(0) + FLAT).rsqrt() @ axes.T)
        clusters = min(len(encoder.centroids), len(points))
        found, _ = kmeans(encoder.whitened(points), clusters, generator)
        # Fewer patches than centroids: the rest repeat them, and say the same.
        encoder.centroids.copy_(found[torch.arange(len(encoder.centroids)) % clusters])

    def unexplained(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of whitened patches, all that there are."""
        points = self.encoder.whitened(self.encoder.patches(images)).flatten(0, 1)
        nearest = torch.cdist(points, self.encoder.centroids).min(1).values
        return nearest.square().sum(), points.square().sum()

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Centroids, as patches."""
        count = SHOWN_ROWS * SHOWN_COLUMNS
        found = self.encoder.centroids[:count].view(count, 3, PATCH_PX, PATCH_PX)
        return [gallery("kmeans", "Centroids of whitened patches", found)] if answers else []


def gallery(task: str, title: str, found: Tensor) -> Panel:
    """Signed pictures (N, 3, S, S), each scaled so that grey is 0, in rows of eight."""
    scale = found.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    pictures = to_uint8(0.5 + 0.5 * found / scale)
    rows = [pictures[i : i + SHOWN_COLUMNS] for i in range(0, len(pictures), SHOWN_COLUMNS)]
    return Panel(
        task,
        title,
        f"The first {len(pictures)} of them; grey is 0.",
        [""] * SHOWN_COLUMNS,
        rows,
        [[str(SHOWN_COLUMNS * i + j + 1) for j in range(len(row))] for i, row in enumerate(rows)],
    )
