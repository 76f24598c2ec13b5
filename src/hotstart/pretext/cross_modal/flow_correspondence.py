"""Flow correspondence: does this motion belong to this frame?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import (
    ViewSettings,
    apply_clip,
    apply_flow,
    apply_view,
    centre_view,
    draw_view,
    flow_colours,
)
from hotstart.augment.settings import ViewParameters, plain
from hotstart.augment.views import centre_box
from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder, build_encoder, mlp, resolve_spec
from hotstart.pretext.distributed import gather
from hotstart.pretext.matching import LOTS, distinct, each_with_each, score_matches, strangers
from hotstart.pretext.panels import SHOWN, with_flow_key
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
    to_uint8,
)
from hotstart.pretext.two_views import at_least_float

JUDGE_DIM = 128


class FlowCorrespondenceSettings(Settings):
    """Settings of `flow_correspondence`."""

    objective: Literal["binary", "contrastive"] = "binary"
    """Yes or no to a pair; or Sayed's: agreement across, diversity within."""
    motion: Literal["flow", "difference"] = "flow"
    """Optical flow; or the difference of successive frames, the cheap stand-in."""
    fields: int = Field(default=3, ge=1)
    """T, of motion, an eighth of a second each; the frame is in their middle."""
    scale: float = Field(default=0.01, gt=0)
    """Flow of this length, in shares of the side, is shown half as strong as can be."""
    diversity: float = Field(default=1.0, ge=0)
    """Weight of the diversity; `contrastive`."""
    motion_encoder: str = "resnet10_narrow"
    """The architecture that sees the motion."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projectors' hidden layer."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""
    view: ViewSettings = ViewSettings(crop_scale=(0.5, 1.0), strength=0.5, blur=0.0)
    """Crop and mirror of both, colours of the frame."""


class FlowCorrespondence(PretextTask):
    """Tell whether a frame and a piece of motion come from the same video.

    The survey's verification of RGB and flow (arXiv:1902.06162, section 6.1), and, with
    `objective=contrastive`, Sayed 2018, "Cross and Learn" (arXiv:1811.03879). Each frame comes with
    its own motion and with that of another group, drawn evenly, so that nothing that a frame, or
    motion, is by itself tells the answer.

    Contrastive, for z of frames r and of motion m, with cosines, and j of other groups than i:

        L = mean over i of (1 - cos(r_i, m_i)) / 2
            + diversity (mean over j of max(0, cos(r_i, r_j)) + max(0, cos(m_i, m_j))) / 2

    Deviations: every other row of the batch in place of one pair; one frame in place of a stack;
    motion read field by field, its x, y and length as three channels; AdamW.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "flow": Spec(), "group": Spec()}
    Settings: ClassVar[type[Settings]] = FlowCorrespondenceSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: FlowCorrespondenceSettings

    def __init__(self, encoder: Encoder, settings: FlowCorrespondenceSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        count = settings.fields
        motion = {"flow": Spec(frames=count)}
        if settings.motion == "difference":
            motion = {"clip": Spec(frames=count + 1, seconds=count / 8)}
        self.needs = {"image": Spec(), **motion, "group": Spec()}  # type: ignore[misc]
        spec = resolve_spec(settings.motion_encoder, info.size)
        self.motion_encoder = build_encoder(spec, torch.initial_seed())
        sizes = settings.hidden, settings.projection
        self.see_head = mlp((encoder.dim, *sizes))
        self.move_head = mlp((count * self.motion_encoder.dim, *sizes))
        self.judge = nn.Sequential(
            nn.Linear(2 * settings.projection, JUDGE_DIM),
            nn.ReLU(inplace=True),
            nn.Linear(JUDGE_DIM, 1),
        )
        if settings.objective == "contrastive":
            self.judge = nn.Sequential()

    def exports(self) -> Mapping[str, Encoder]:
        """The encoder that sees motion."""
        return {"motion": self.motion_encoder}

    def trivial(self, rows: int) -> float:
        """Chance: half of the pairs belong together."""
        return 0.5

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S), its `motion` (B, T, 3, S, S), `group`, the lot of a `wrong` one."""
        drawn = draw_view(self.settings.view, batch["image"], self.info.size, rng)
        lots = rng.named("wrong").integers(0, LOTS)
        return {
            "image": apply_view(batch["image"], drawn, self.info.size),
            "motion": self._motion(batch, drawn),
            "group": batch["group"],
            "wrong": lots.to(batch["group"].device),
        }

    def _motion(self, batch: Batch, drawn: ViewParameters) -> Tensor:
        """Motion as three channels in 0..1, one half where there is none: (B, T, 3, S, S)."""
        drawn = plain(drawn.box, drawn.flip)
        if self.settings.motion == "difference":
            clip = apply_clip(batch["clip"], drawn, self.info.size).transpose(1, 2)
            changed: Tensor = clip.diff(dim=1)
            return 0.5 + changed / 2
        vectors, _ = apply_flow(batch["flow"], batch["image"], drawn, self.info.size)
        length = vectors.norm(dim=2, keepdim=True)
        seen = torch.cat([vectors, length], 2) / (length + self.settings.scale)
        motion: Tensor = 0.5 + seen / 2
        return motion

    def embed(self, views: Views) -> tuple[Tensor, Tensor]:
        """Projections of the frames and of their own motion, (B, P) each."""
        motion = views["motion"]
        moved = self.motion_encoder(motion.flatten(0, 1)).view(len(motion), -1)
        seen = self.see_head(self.encoder(views["image"]))
        return at_least_float(seen), at_least_float(self.move_head(moved))

    def agreement(self, seen: Tensor, moved: Tensor) -> Tensor:
        """How well z of frames and of motion fit: the logit of yes, or the cosine: (..., P)."""
        if self.settings.objective == "contrastive":
            return F.cosine_similarity(seen, moved, dim=-1)
        logit: Tensor = self.judge(torch.cat([seen, moved], -1))
        return logit.squeeze(-1)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Binary: cross-entropy of yes and no, ln 2 at chance. Contrastive: the loss above."""
        return self._answer(*self.embed(views), views)

    def _answer(self, seen: Tensor, moved: Tensor, views: Views) -> Step:
        partner, valid = strangers(views["group"], views["wrong"])
        yes = self.agreement(seen, moved)
        no = self.agreement(seen, gather(moved)[partner])
        if self.settings.objective == "binary":
            each = (F.softplus(-yes) + F.softplus(no)) / 2
            right = ((yes > 0).to(yes.dtype) + (no < 0).to(yes.dtype)) / 2
        else:
            groups = views["group"]
            each = (1 - yes) / 2 + self.settings.diversity / 2 * (
                alikeness(seen, groups) + alikeness(moved, groups)
            )
            # Motion that is the same, as where nothing moves, fits as well: that is a guess.
            right = ((yes > no).to(yes.dtype) + (yes >= no).to(yes.dtype)) / 2
        # A row without a stranger (one group alone) is at chance and teaches nothing.
        loss = torch.where(valid, each, 0.0).mean()
        return Step(loss, {"accuracy": torch.where(valid, right, 0.5).mean()})

    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """The share of right answers, and how well motion and frame are found by the other."""
        return score_matches(
            self,
            batches,
            rng,
            embeds=self.embed,
            answers=self._answer,
            agrees=self.agreement,
            sought=("motion", "frame"),
        )

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Frames beside their own motion, and with `answers` beside what fits best and worst."""
        drawn = plain(centre_box(batch["image"]))
        images = centre_view(batch["image"], self.info.size)
        motion = self._motion(batch, drawn)
        chosen = distinct(batch["group"])
        frames = to_uint8(images[chosen])
        shown = to_uint8(self._drawn(motion[chosen]))
        count = min(SHOWN, len(frames))
        columns = ["frame", "its motion", "motion of another"]
        pictures = [[frames[i], shown[i], shown[i - 1]] for i in range(count)]
        texts = [["", "", ""] for _ in range(count)]
        caption = "Does the motion belong to the frame?"
        if answers:
            views = {"image": images[chosen], "motion": motion[chosen]}
            fits = each_with_each(self.agreement, *self.embed(views))
            best, worst = fits.argmax(1).tolist(), fits.argmin(1).tolist()
            place = (fits > fits.diagonal()[:, None]).sum(1).tolist()
            columns[2:] = ["fits best", "fits worst"]
            pictures = [
                [frames[i], shown[i], shown[best[i]], shown[worst[i]]] for i in range(count)
            ]
            texts = [
                ["", f"place {place[i] + 1} of {len(fits)}", "its own" * (best[i] == i), ""]
                for i in range(count)
            ]
            caption += f" Which of the motions of {len(fits)} held-out videos fit best and worst?"
        if self.settings.motion == "difference":
            caption += " Of the motion, grey is no difference."
        panel = Panel(
            "flow_correspondence",
            "Which motion belongs to this frame?",
            caption,
            columns,
            pictures,
            texts,
            "prediction" if answers else "views",
        )
        return [with_flow_key(panel) if self.settings.motion == "flow" else panel]

    def _drawn(self, motion: Tensor) -> Tensor:
        """The middle of each piece of motion as a picture, (B, 3, S, S)."""
        middle = motion[:, (motion.shape[1] - 1) // 2]
        if self.settings.motion == "difference":
            return middle
        return flow_colours(middle[:, :2] * 2 - 1, 1.0)


def alikeness(z: Tensor, groups: Tensor) -> Tensor:
    """Mean of max(0, cosine) of each row of z (B, P) with the rows of other groups: (B,).

    groups: int64 (B,). Rows of all processes are compared with, with gradient; 0 where there are
    none of another group.
    """
    z = F.normalize(z, dim=1)
    other = groups[:, None] != gather(groups)[None]
    alike = (z @ gather(z).T).clamp(min=0) * other
    return alike.sum(1) / other.sum(1).clamp_min(1)
