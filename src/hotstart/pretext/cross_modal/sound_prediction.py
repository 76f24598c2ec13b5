"""Sound prediction: what does it sound like here?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.clustering import balance, kmeans, named_evenly, nearest_centroid
from hotstart.pretext.distributed import first_decides
from hotstart.pretext.prepared import Arrays, prepared
from hotstart.pretext.sound_panels import Cell, match_panel
from hotstart.pretext.sound_statistics import LENGTH, sound_statistics
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

VERSION = 1
"""Of what statistics are kept: raise it when they change."""
ROWS = 256
SHOWN = 6


class SoundPredictionSettings(Settings):
    """Settings of `sound_prediction`."""

    clusters: int = Field(default=30, ge=2)
    """K, kinds of sound that are told apart."""
    seconds: float = Field(default=1.0, gt=0)
    """Of sound around the picture. The paper has 3.75 for scenes; a word is over sooner."""
    moments: int = Field(default=4, ge=1)
    """Of each video, spread evenly, whose sounds are clustered."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.3, 1.0), strength=0.5, hue=0.1, grey=0.0, blur=0.0
    )


class SoundPrediction(PretextTask):
    """Predict from a picture to which of K clusters the sound around it belongs.

    Owens 2016, "Ambient Sound Provides Supervision for Visual Learning" (arXiv:1608.07017), the
    clustering model: statistics of sound (`sound_statistics`) are standardised and clustered by
    k-means, once, before training; the pseudo-label of a frame is the centroid nearest to the
    statistics of its sound. The network never hears.

    Wrong answers are weighed by one over how often their cluster came in clustering, and the score
    is the mean over clusters, so that to answer the largest one is worth no more than chance.
    Deviations: a second of sound, the weights, AdamW.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "audio": Spec()}
    Settings: ClassVar[type[Settings]] = SoundPredictionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 128
    settings: SoundPredictionSettings
    middle: Tensor
    scale: Tensor
    centroids: Tensor
    weights: Tensor
    balance: Tensor

    def __init__(self, encoder: Encoder, settings: SoundPredictionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {  # type: ignore[misc]  # as long as its settings say
            "image": Spec(),
            "audio": Spec(seconds=settings.seconds),
        }
        self.classifier = nn.Linear(encoder.dim, settings.clusters)
        # Arbitrary until `prepare`.
        self.register_buffer("middle", torch.zeros(LENGTH))
        self.register_buffer("scale", torch.ones(LENGTH))
        self.register_buffer("centroids", torch.randn(settings.clusters, LENGTH))
        self.register_buffer("weights", torch.ones(settings.clusters))
        self.register_buffer("balance", torch.ones(()))

    def trivial(self, rows: int) -> float:
        """Chance, each cluster counting alike."""
        return 1 / self.settings.clusters

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Cluster the sounds of the pretraining set; their statistics are kept in `cache`.

        Raises UsageError where there are fewer sounds than clusters.
        """
        wanted = self.settings.clusters
        total = len(dataset) * self.settings.moments
        if wanted > total:
            raise UsageError(
                f"sound_prediction.clusters is {wanted}, and there are {total} sounds "
                f"({self.settings.moments} of each of {len(dataset)} videos): "
                "a cluster needs one at least"
            )
        offset = dataset.dataset.audio_offset_seconds
        key = dataset.fingerprint, str(self.settings.seconds), self.settings.moments, str(offset)
        kept = prepared(cache, "sound_statistics", (*key, VERSION), lambda: self._listen(dataset))
        statistics = torch.from_numpy(kept["statistics"])
        deviation, middle = torch.std_mean(statistics, 0, correction=0)
        scale = torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), 0.0)
        points = (statistics - middle) * scale
        centroids, assignments = kmeans(points, wanted, rng.named("clusters").generator)
        counts = assignments.bincount(minlength=wanted).double()
        weights = len(assignments) / (wanted * counts.clamp_min(1))
        even = torch.tensor(balance(assignments.numpy(), wanted))
        for buffer, value in (
            (self.middle, middle),
            (self.scale, scale),
            (self.centroids, centroids),
            (self.weights, weights),
            (self.balance, even),
        ):
            first_decides(buffer.copy_(value))

    def _listen(self, dataset: Subset) -> Arrays:
        """Statistics of the sounds of all videos, float32 (videos x moments, `LENGTH`)."""
        moments = self.settings.moments
        positions = np.arange(len(dataset)).repeat(moments)
        places = ((torch.arange(moments) + 0.5) / moments).repeat(len(dataset))
        asked = {"audio": self.needs["audio"]}
        parts = []
        for start in range(0, len(positions), ROWS):
            now = slice(start, start + ROWS)
            audio = dataset.batch(positions[now], asked, places[now])["audio"]
            parts.append(sound_statistics(audio).numpy())
        return {"statistics": np.concatenate(parts)}

    def pseudo_labels(self, audio: Tensor) -> Tensor:
        """The cluster of any sound (B, n): int64 (B,)."""
        points = (sound_statistics(audio).to(self.middle) - self.middle) * self.scale
        return nearest_centroid(points, self.centroids)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S) and `pseudo_label` (B,), the cluster of its sound."""
        images = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return {"image": images, "pseudo_label": self.pseudo_labels(batch["audio"])}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Weighed cross-entropy over the clusters, ln K at chance; how even they are, `balance`."""
        logits = self.classifier(self.encoder(views["image"]))
        truth = views["pseudo_label"]
        each = F.cross_entropy(logits, truth, reduction="none")
        # Of a batch the mean is taken over rows, not over weights, so that N processes equal one.
        loss = (each * self.weights[truth]).mean()
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(loss, {"accuracy": accuracy, "balance": self.balance})

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """How often the cluster of the sound is named from a random view of a held-out picture.

        The mean over clusters; chance is one over the number of those that occur.
        """
        truths, rights = [], []
        for i, batch in enumerate(batches):
            views = self.views(batch, rng.batch(i, batch_rows(batch)))
            truths.append(views["pseudo_label"])
            said = self.classifier(self.encoder(views["image"])).argmax(1)
            rights.append(said == truths[-1])
        truth = torch.cat(truths)
        value, chance = named_evenly(truth, torch.cat(rights), self.settings.clusters)
        return Score(self.metric, value, chance, len(truth))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures over their sound and, with `answers`, over a sound of the cluster named."""
        wholes = centre_view(batch["image"], self.info.size)
        clusters = self.pseudo_labels(batch["audio"])
        pictures, sounds = to_uint8(wholes), list(batch["audio"])
        shown = range(min(SHOWN, len(pictures)))
        cells: list[list[Cell]] = [[(pictures[i], sounds[i])] for i in shown]
        texts = [[f"kind {int(clusters[i]) + 1}"] for i in shown]
        columns = ["picture, its sound"]
        caption = (
            f"Held-out pictures over the sound around them, which is one of "
            f"{self.settings.clusters} kinds"
        )
        if answers:
            said = self.classifier(self.encoder(wholes)).softmax(1)
            best = said.argmax(1)
            columns.append("a sound of the kind that the network names")
            for i in shown:
                alike = (clusters == best[i]).nonzero()[:1, 0].tolist()
                cells[i].append((pictures[i], sounds[alike[0]] if alike else None))
                texts[i].append(f"kind {int(best[i]) + 1} ({float(said[i, best[i]]):.0%})")
            right = int((best == clusters).sum())
            caption += (
                f"; the network sees the picture alone and names the right kind for {right} of "
                f"{len(pictures)}. Black: no sound of the kind it names is among them"
            )
        return [
            match_panel(
                "sound_prediction",
                "What does it sound like here?",
                f"{caption}.",
                columns,
                cells,
                texts,
                "prediction" if answers else "views",
            )
        ]
