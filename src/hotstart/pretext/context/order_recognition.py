"""Order recognition: in which order were these four frames taken?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, random_clip
from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.pretext.frames import FRAME_DIM, FrameReader
from hotstart.pretext.motion import moving_frames
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    PretextTask,
    Progress,
    Settings,
    Spec,
    Step,
    Views,
    to_uint8,
)

SHOWN = 6
FRAMES, SECONDS = 9, 2.0
PICKED = 4
PAIRS = tuple(itertools.combinations(range(PICKED), 2))
PAIR_DIM = 64
ORDERS = tuple(
    order
    for order in itertools.permutations(range(PICKED))
    if order.index(0) < order.index(PICKED - 1)
)
"""Of each order and that of the video run backwards, the one that shows the first frame sooner."""


class OrderRecognitionSettings(Settings):
    """Settings of `order_recognition`."""

    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of the nine frames of which four are taken: the difficulty."""
    split_channels: bool = True
    """One colour in the place of all three, lest colours alone tell what comes after what."""
    jitter: float = Field(default=1 / 16, ge=0, lt=1)
    """By how much of its side the crop of each frame is shifted by itself."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), strength=0.5, jitter=0.8, grey=0.0, blur=0.0
    )


class OrderRecognition(PretextTask):
    """Put four shuffled frames of a video back into their order.

    Lee 2017 (OPN, arXiv:1708.01246), section 3: four frames, taken where there is motion, each
    through the same encoder by itself; features of each two frames side by side through a layer of
    their own (pairwise feature extraction), and from all six pairs one of 4!/2 orders, since a
    video run backwards counts as the same. Guards: the colours of a clip are replaced by one of
    them (channel splitting), the crop of each frame is shifted by itself (spatial jittering).

    Deviations: motion is the difference between frames, not flow, and crops are not placed where it
    is largest; a layer on the last map stands in the place of fc6; a pair is told, beside both
    features, how far they lie apart; AdamW.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(frames=FRAMES, seconds=SECONDS)}
    Settings: ClassVar[type[Settings]] = OrderRecognitionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 64
    settings: OrderRecognitionSettings
    orders: Tensor

    def __init__(self, encoder: Encoder, settings: OrderRecognitionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {"clip": Spec(FRAMES, settings.seconds)}  # type: ignore[misc]
        self.register_buffer("orders", torch.tensor(ORDERS), persistent=False)
        self.reader = FrameReader(encoder, info.size)
        self.pair = nn.Sequential(nn.Linear(3 * FRAME_DIM, PAIR_DIM), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(len(PAIRS) * PAIR_DIM, len(ORDERS))

    def trivial(self, rows: int) -> float:
        """Chance."""
        return 1 / len(ORDERS)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, 4, S, S), shuffled frames; `pseudo_label` int64 (B,), their order.

        In place k of a clip of order p stands frame ORDERS[p][k], counted from the beginning or, of
        every other clip, from the end.
        """
        clips = batch["clip"]
        taken = moving_frames(clips, PICKED, rng.named("frames")).cpu()
        label = rng.named("order").integers(0, len(ORDERS))
        backwards = rng.named("backwards").integers(0, 2)[:, None]
        taken = torch.where(backwards == 1, taken.flip(1), taken)
        shown = clips.in_order(taken.gather(1, self.orders.cpu()[label]))
        frames = random_clip(
            shown,
            self.settings.view,
            self.info.size,
            rng.named("view"),
            jitter=self.settings.jitter,
        )
        if self.settings.split_channels:
            row = torch.arange(len(frames), device=frames.device)
            channel = rng.named("channel").integers(0, 3).to(frames.device)
            frames = frames[row, channel][:, None].repeat(1, 3, 1, 1, 1)
        return {"image": frames, "pseudo_label": label.to(frames.device)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the twelve orders; ln 12 at chance."""
        logits, truth = self._logits(views["image"]), views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy})

    def _logits(self, image: Tensor) -> Tensor:
        read = self.reader(self.encoder, image)
        first, second = (read[:, list(places)] for places in zip(*PAIRS, strict=True))
        pairs = self.pair(torch.cat([first, second, (first - second).abs()], 2))
        logits: Tensor = self.classifier(pairs.flatten(1))
        return logits

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Shuffled frames, and the order that the network gives them, or the right one."""
        count = min(SHOWN, len(batch["clip"]))
        views = self.views({"clip": batch["clip"].select(range(count))}, rng.batch(0, count))
        image, truth = views["image"], views["pseudo_label"]
        said = self._logits(image).argmax(1) if answers else truth
        back = self.orders[said].argsort(1)
        row = torch.arange(count, device=image.device)[:, None]
        restored = image.transpose(1, 2)[row, back]
        shown = [*image.unbind(2), *restored.unbind(1)]
        # Where each frame of the answer belongs, from 1; either way round is right.
        belongs = self.orders[truth].gather(1, back) + 1
        way = "said" if answers else "in order"
        caption = "Four frames of a video, shuffled, and as "
        if answers:
            right = int((said == truth).sum())
            caption += f"the network orders them; {right} of {count} right here"
        else:
            caption += "they were taken"
        return [
            Panel(
                "order_recognition",
                "In which order were these frames taken?",
                f"{caption}. Below each, which it is in truth; backwards counts as in order.",
                tuple(f"{name} {k + 1}" for name in ("shuffled", way) for k in range(PICKED)),
                list(zip(*map(to_uint8, shown), strict=True)),
                [
                    [str(place + 1) for place in order] + [str(place) for place in places]
                    for order, places in zip(
                        self.orders[truth].tolist(), belongs.tolist(), strict=True
                    )
                ],
                "prediction" if answers else "views",
            )
        ]
