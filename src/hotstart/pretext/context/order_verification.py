"""Order verification: were these three frames shown in the order in which they were taken?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, random_clip
from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
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
HIDDEN_DIM = 256
FRAMES, SECONDS = 9, 2.0
PICKED = 5
ANSWERS = ("out of order", "in order")


class OrderVerificationSettings(Settings):
    """Settings of `order_verification`."""

    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of the nine frames of which three are taken: the difficulty."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), strength=0.5, jitter=0.8, grey=0.1, blur=0.0
    )


class OrderVerification(PretextTask):
    """Tell whether three frames of a video are in order.

    Misra 2016 (arXiv:1603.08561), section 3: of five frames a < b < c < d < e, taken where there is
    motion, (b, c, d) is in order; (b, a, d) and (b, e, d) are not, and differ from it in the middle
    frame alone. Each frame goes through the same encoder by itself, a head sees all three. Videos
    run backwards as well: (d, c, b) counts as in order.

    Deviations: as many questions with the one answer as with the other, so that chance is 1/2 (the
    paper has more of the latter); each clip asks both of one pair, four frames through the encoder
    for two questions; motion is the difference between frames, not flow; a layer on the last map
    stands in the place of fc6, and the head sees, beside the three features, how far each two lie
    apart: what was between two others is near to both; AdamW.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(frames=FRAMES, seconds=SECONDS)}
    Settings: ClassVar[type[Settings]] = OrderVerificationSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 64
    settings: OrderVerificationSettings

    def __init__(self, encoder: Encoder, settings: OrderVerificationSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {"clip": Spec(FRAMES, settings.seconds)}  # type: ignore[misc]
        self.reader = FrameReader(encoder, info.size)
        # Three features, and three differences.
        self.classifier = mlp((6 * FRAME_DIM, HIDDEN_DIM, len(ANSWERS)))

    def trivial(self, rows: int) -> float:
        """Chance."""
        return 1 / len(ANSWERS)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, 3, S, S), three frames; `pseudo_label` int64 (B,), 1 where in order.

        `other` (B, 3, 1, S, S): the frame that, in the middle, makes the other answer true.
        """
        clips = batch["clip"]
        taken = moving_frames(clips, PICKED, rng.named("frames")).cpu()
        in_order = rng.named("order").integers(0, 2)
        late = rng.named("outside").integers(0, 2)
        backwards = rng.named("backwards").integers(0, 2)
        a, b, c, d, e = taken.unbind(1)
        outside = torch.where(late == 1, e, a)
        middle = torch.where(in_order == 1, c, outside)
        other = torch.where(in_order == 1, outside, c)
        first, last = torch.where(backwards == 1, d, b), torch.where(backwards == 1, b, d)
        shown = clips.in_order(torch.stack([first, middle, last, other], 1))
        frames = random_clip(shown, self.settings.view, self.info.size, rng.named("view"))
        return {
            "image": frames[:, :, :3],
            "other": frames[:, :, 3:],
            "pseudo_label": in_order.to(frames.device),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over both questions of each clip; ln 2 at chance. Accuracy is `image`'s."""
        said, other = self._logits(views)
        truth = views["pseudo_label"]
        loss = F.cross_entropy(torch.cat([said, other]), torch.cat([truth, 1 - truth]))
        return Step(loss, {"accuracy": (said.argmax(1) == truth).float().mean()})

    def _logits(self, views: Views) -> tuple[Tensor, Tensor]:
        """Of `image`, and of the same with `other` in the middle: (B, 2) each."""
        read = self.reader(self.encoder, torch.cat([views["image"], views["other"]], 2))
        asked = torch.cat([read[:, [0, 1, 2]], read[:, [0, 3, 2]]])
        apart = (asked - asked.roll(1, 1)).abs()
        said, other = self.classifier(torch.cat([asked, apart], 1).flatten(1)).chunk(2)
        return said, other

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Three frames as they are shown, and the answer."""
        count = min(SHOWN, len(batch["clip"]))
        views = self.views({"clip": batch["clip"].select(range(count))}, rng.batch(0, count))
        truth = views["pseudo_label"].cpu()
        frames = [to_uint8(frame) for frame in views["image"].unbind(2)]
        texts = [["", "", ANSWERS[label]] for label in truth.tolist()]
        caption = "Three frames of a video; the network must say whether they are in order"
        if answers:
            share = self._logits(views)[0].softmax(1).cpu()
            best = share.argmax(1)
            caption += f": {int((best == truth).sum())} of {count} right here"
            texts = [
                [*row[:2], f"{row[2]}: said {ANSWERS[int(answer)]} ({shares[answer]:.0%})"]
                for row, answer, shares in zip(texts, best, share, strict=True)
            ]
        return [
            Panel(
                "order_verification",
                "Were these frames taken in this order?",
                f"{caption}. Backwards counts as in order.",
                ("first", "second", "third"),
                list(zip(*frames, strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]
