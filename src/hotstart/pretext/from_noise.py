"""What all tasks share that make pictures from noise."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ConvGenerator, Encoder, Teacher, decay_for
from hotstart.pretext import frechet
from hotstart.pretext.adversarial import statistics_kept
from hotstart.pretext.diff_augment import Operation, diff_augment, draw_augment
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
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

ROWS, COLUMNS = 6, 8
AVERAGED = 0.999
"""The decay of the generator's average in long runs."""
LEVELS = 256


class FromNoiseSettings(Settings):
    """Settings of all tasks that make pictures from noise."""

    noise: int = Field(default=100, ge=1)
    """Length of the noise z, uniform in -1..1."""
    width: int = Field(default=32, ge=1)
    """Channels of the generator's last hidden layer, at half size."""
    augment: tuple[Operation, ...] = ("translation",)
    """What DiffAugment does to all that the discriminator sees; also `colour`, `cutout`. Without
    `translation` a discriminator of stride 2 teaches a pattern of every other pixel."""
    view: ViewSettings = ViewSettings(
        crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), jitter=0.0, grey=0.0, blur=0.0
    )
    """Whole pictures: what a crop does to the real ones, the generator would learn to make."""


class FromNoise(PretextTask):
    """A generator makes pictures from noise; the metric says how near they come to real ones."""

    name: ClassVar[str]
    """As registered; panels are named after it."""
    metric: ClassVar[str] = frechet.METRIC
    settings: FromNoiseSettings

    def __init__(self, encoder: Encoder, settings: FromNoiseSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.generator = self._new_generator()
        self.averaged = Teacher(self.generator, statistics=True)
        # What a trained generator is compared with: itself before the first step.
        self.untrained = copy.deepcopy(self.generator).requires_grad_(False)
        self.space = self._new_space()

    def _new_generator(self) -> nn.Module:
        own = self.settings
        return ConvGenerator(own.noise, self.info.size, width=own.width)

    def _new_space(self) -> nn.Module:
        """Where Fréchet distances are measured."""
        return frechet.RandomConv()

    def _random(self, batch: Batch, rng: Draws) -> Tensor:
        return random_view(batch["image"], self.settings.view, self.info.size, rng)

    def _whole(self, batch: Batch) -> Tensor:
        return centre_view(batch["image"], self.info.size)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S), `noise` (B, noise), and what DiffAugment draws, (B, 7) each; 0..1.

        Real pictures come in 256 levels, made ones do not: uniform noise of one level hides the
        difference from the discriminator (dequantisation, Theis 2016, arXiv:1511.01844).
        """
        whole = self._random(batch, rng.named("view"))
        within = rng.named("level").uniform(0, 1, *whole.shape[1:]).to(whole)
        image = (whole * (LEVELS - 1) + within) / LEVELS
        noise = rng.named("noise").uniform(0, 1, self.settings.noise).to(whole)
        layout = torch.channels_last if image.ndim == 4 else torch.channels_last_3d
        views = {"image": image.contiguous(memory_format=layout), "noise": noise}
        if self.settings.augment:
            views["augment_real"] = draw_augment(rng.named("augment real")).to(whole)
            views["augment_made"] = draw_augment(rng.named("augment made")).to(whole)
        return views

    def make(self, noise: Tensor) -> Tensor:
        """Noise (B, noise) in 0..1, as views have it -> pictures (B, 3, S, S) in 0..1."""
        pictures: Tensor = self.generator(2 * noise - 1)
        return pictures

    @torch.no_grad()
    def show(self, noise: Tensor) -> Tensor:
        """As `make`, by the generator's moving average: what is measured and shown.

        A generator at play moves around what it seeks (Yazici 2019, arXiv:1806.04498).
        """
        pictures: Tensor = self.averaged(2 * noise - 1)
        return pictures

    def after_step(self, step: Step, progress: Progress) -> None:
        """The average follows."""
        self.averaged.update(self.generator, decay_for(progress.total_steps, AVERAGED))

    def augmented(self, pictures: Tensor, views: Views, which: str) -> Tensor:
        """What the discriminator sees of pictures; `which` is "real" or "made"."""
        if self.settings.augment:
            pictures = diff_augment(pictures, views[f"augment_{which}"], self.settings.augment)
        return pictures.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """A picture from noise for each row."""
        return self.show(self._noise(batch_rows(batch), rng))

    def _noise(self, rows: int, rng: Draws) -> Tensor:
        drawn = rng.named("noise").batch(0, rows).uniform(0, 1, self.settings.noise)
        return drawn.to(self.encoder.mean)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Fréchet distance of made pictures from real ones, beside the untrained generator's.

        As many are made as there are real ones, by both generators from the same noise.
        """
        real, made, before = [], [], []
        for i, batch in enumerate(batches):
            noise = self._noise(batch_rows(batch), rng.named(f"batch {i}"))
            real.append(self.space(self._whole(batch)))
            made.append(self.space(self.show(noise)))
            before.append(self.space(self._before(noise)))
        features = torch.cat(real)
        value, trivial = (
            frechet.frechet_distance(features, torch.cat(some)) for some in (made, before)
        )
        return Score(self.metric, value, trivial, len(features))

    def _before(self, noise: Tensor) -> Tensor:
        """What the generator made of noise at the first step, by the batch's own statistics."""
        training = self.untrained.training
        self.untrained.train()
        with statistics_kept(self.untrained):
            pictures: Tensor = self.untrained(2 * noise - 1)
        self.untrained.train(training)
        return pictures

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Real pictures beside made ones; and once trained, samples and walks through noise."""
        asked = self._question(batch, rng)
        return [asked, self._samples(rng), self._walks(rng)] if answers else [asked]

    def _question(self, batch: Batch, rng: Draws) -> Panel:
        count = min(ROWS, len(batch["image"]))
        real = centre_view(batch["image"].select(range(count)), self.info.size)
        made = self._before(self._noise(count, rng.named("question")))
        return Panel(
            f"{self.name}-question",
            "Real or made?",
            "What the discriminator must tell apart, at the first step: pictures, and what the "
            "untrained generator makes of noise.",
            ("real", "made"),
            list(zip(to_uint8(real), to_uint8(made), strict=True)),
            [["", ""]] * count,
        )

    def _samples(self, rng: Draws) -> Panel:
        made = self.show(self._noise(ROWS * COLUMNS, rng.named("samples")))
        return self._table(
            "samples",
            "Made from noise",
            "Each picture is made from noise of its own; the first ones drawn, not the best.",
            made,
        )

    def _walks(self, rng: Draws) -> Panel:
        ends = self._noise(2 * ROWS, rng.named("walks")).view(ROWS, 2, 1, -1)
        share = torch.linspace(0, 1, COLUMNS).to(ends)[:, None]
        steps = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
        return self._table(
            "walk",
            "Walks through noise",
            "From one noise vector to another in equal steps, a walk in each row: where pictures "
            "change smoothly, the generator has not learnt them by heart (Radford 2016).",
            self.show(steps.flatten(0, 1)),
        )

    def _table(self, name: str, title: str, caption: str, pictures: Tensor) -> Panel:
        flat = to_uint8(pictures)
        return Panel(
            f"{self.name}-{name}",
            title,
            caption,
            [str(column + 1) for column in range(COLUMNS)],
            [flat[start : start + COLUMNS] for start in range(0, len(flat), COLUMNS)],
            [[""] * COLUMNS] * ROWS,
            "prediction",
        )
