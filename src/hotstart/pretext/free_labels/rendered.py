"""Rendered: depth, normals and contours of pictures that an engine made, which knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, centre_view, draw_view
from hotstart.augment.settings import ViewParameters, plain
from hotstart.augment.views import centre_box
from hotstart.config import Field
from hotstart.data.sample import TRUTHS, Spec
from hotstart.encoders import Encoder
from hotstart.pretext.dense import DenseHead, resized
from hotstart.pretext.free_labels.asked_maps import ASKED
from hotstart.pretext.free_labels.contours import (
    THRESHOLDS,
    balanced_cross_entropy,
    best_f,
    threshold_counts,
)
from hotstart.pretext.free_labels.domain import DomainJudge, domain_accuracy, told_apart
from hotstart.pretext.free_labels.geometry_maps import (
    KNOWN,
    SPAN,
    GeometryErrors,
    decode_depth,
    depth_loss,
    encode_depth,
    mirrored,
    moved,
    normals_loss,
)
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
    batch_rows,
    to_uint8,
)

SPLIT = (1, 3, 1)  # Channels of depth, normals and contours.


class RenderedSettings(Settings):
    """Settings of `rendered`."""

    ask: tuple[Literal["instances", "flow"], ...] = ()
    """What else is asked: instance masks, and of `world:videos` the flow to the next frame."""
    adapt: Literal["none", "adversarial"] = "none"
    """Whether features of rendered and of real pictures (`--real`) are made alike."""
    adversary_weight: float = Field(default=1.0, ge=0)
    """Of the encoder's part against the adversary, beside depth, normals and contours."""
    adversary_memory: int = Field(default=256, ge=2)
    """Pictures of each kind by which the adversary judges."""
    adversary_ridge: float = Field(default=0.1, gt=0)
    """How much the adversary's answer is smoothed, in variances of a feature."""
    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), strength=0.5, blur=0.0)


class Rendered(PretextTask):
    """See the shape of things in rendered pictures, in a way that serves in real ones.

    Ren & Lee 2018 ("Cross-Domain Self-supervised Multi-task Feature Learning using Synthetic
    Imagery", arXiv:1711.09082): one encoder predicts depth, surface normals and instance contours
    of rendered pictures, which an engine knows (and what `ask` says); an adversary that sees its
    features tells rendered from real pictures (without labels), and the encoder learns to leave it
    in doubt.

    Depth is answered as its logarithm (L1), normals as directions (1 - cosine), contours as in HED
    (Xie & Tu 2015, eq. 2); the three losses are added as they are. The sky has no depth and no
    normal and is not asked about. `asked_maps.py` says how instance masks and flow are answered.

    Deviations: the adversary judges pooled features, is linear and is solved in closed form at each
    step (`domain.py` says why); the encoder brings its mean answers together; AdamW; a small head
    at one resolution; the renderings are of `world:`, not of indoor scenes and cities. A crop
    enlarges and leaves depth in metres, so that distance must be seen from context too; the worlds'
    cameras differ in their field of view in the same way.
    """

    needs: ClassVar[Mapping[str, Spec]] = {
        key: Spec() for key in ("image", "depth", "normals", "contours")
    }
    metric: ClassVar[str] = "depth_close"
    Settings: ClassVar[type[Settings]] = RenderedSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: RenderedSettings

    def __init__(self, encoder: Encoder, settings: RenderedSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.asked = {name: ASKED[name]() for name in settings.ask}
        self.split = (*SPLIT, *(one.channels for one in self.asked.values()))
        self.head = DenseHead(
            encoder, sum(self.split), stride=settings.stride, output_stride=1, width=settings.width
        )
        more = [one.key for one in self.asked.values()]
        self.adversary: DomainJudge | None = None
        if settings.adapt == "adversarial":
            more += ["real_image", "index"]
            self.adversary = DomainJudge(
                info.size, settings.adversary_memory, settings.adversary_ridge
            )
        self.needs = {**type(self).needs, **{key: Spec() for key in more}}  # type: ignore[misc]

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S) and, under the same crop and flip, what is known.

        `depth` (B, 1, S, S), in 0..1 as `encode_depth` gives it; `normals` (B, 3, S, S), -1..1
        brought to 0..1, 0.5 in the sky; `contours` bool (B, 1, S, S). Where it adapts, `made`
        and `real` (B, 3, S, S), whole pictures, and `beside`, views of the real ones; of what is
        asked beside, see `asked_maps.py`.
        """
        drawn = draw_view(self.settings.view, batch["image"], self.info.size, rng)
        views = {
            "image": apply_view(batch["image"], drawn, self.info.size),
            **self._truth(batch, drawn),
        }
        if self.adversary is not None:
            real = batch["real_image"]
            beside = draw_view(self.settings.view, real, self.info.size, rng.named("real"))
            views["beside"] = apply_view(real, beside, self.info.size)
            views["real"] = centre_view(real, self.info.size)
            views["made"] = centre_view(batch["image"], self.info.size)
        return views

    def _truth(self, batch: Batch, drawn: ViewParameters) -> Views:
        pictures, size = batch["image"], self.info.size
        normals = moved(batch["normals"], pictures, drawn, size)
        views = {
            "depth": encode_depth(moved(batch["depth"], pictures, drawn, size)),
            "normals": (mirrored(normals, drawn.flip) + 1) / 2,
            "contours": moved(batch["contours"].float(), pictures, drawn, size) > 0.5,
        }
        for one in self.asked.values():
            views |= one.truth(batch[one.key], pictures, drawn, size)  # type: ignore[literal-required]
        return views

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The sum of all losses.

        told_apart_loss: the encoder's part against the adversary, 1 = certain, 0 = in doubt
        judge_accuracy: how often the adversary is right about pictures that are new to it.
        """
        images = views["image"]
        if self.adversary is not None:
            # BatchNorm's statistics, then, are those of both kinds.
            images = torch.cat([images, views["beside"]])
        maps = self.encoder.feature_map(images, self.head.stride)[: len(views["image"])]
        depth, normals, logits, *others = self._answers(maps)
        faces = 2 * views["normals"] - 1
        known = faces.norm(dim=1, keepdim=True) > KNOWN
        parts = {
            "depth_loss": depth_loss(depth, views["depth"], known),
            "normals_loss": normals_loss(normals, faces, known),
            "contours_loss": balanced_cross_entropy(logits, views["contours"]),
        }
        for (name, one), said in zip(self.asked.items(), others, strict=True):
            parts[f"{name}_loss"] = one.loss(said, views)
        loss = torch.stack(list(parts.values())).sum()
        errors = GeometryErrors()
        errors.add(depth.detach(), normals.detach(), views["depth"], faces)
        metrics = {name: part.detach() for name, part in parts.items()}
        metrics["depth_close"] = loss.new_tensor(errors.share_close)
        if self.adversary is None:
            return Step(loss, metrics)
        of_made, of_real = self.adversary(self.encoder, views["made"], views["real"])
        self.adversary.remember(views["made"], views["real"])
        told = told_apart(of_made, of_real)
        metrics["told_apart_loss"] = told.detach()
        metrics["judge_accuracy"] = torch.cat([of_made < 0, of_real > 0]).float().mean()
        return Step(loss + self.settings.adversary_weight * told, metrics)

    def _answers(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Depth as encoded, normals, logits of contours, what else is asked, (B, ., S, S) each."""
        said: Tensor = resized(self.head.layers(maps), self.info.size)
        depth, *others = said.split(self.split, 1)
        return depth / SPAN + 0.5, *others

    def _ask(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...], Views]:
        """Whole pictures, the network's answers, the truth."""
        pictures = batch["image"]
        images = centre_view(pictures, self.info.size)
        maps = self.encoder.feature_map(images, self.head.stride)
        return images, self._answers(maps), self._truth(batch, plain(centre_box(pictures)))

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Share of places whose depth is within a factor of 1.25; and all else that is asked.

        Trivial is the mean of the held-out renderings at each place, of what is known there: of
        the logarithm of depth, for its RMSE of depth itself (of contours, that all is one). Where
        it adapts, also the accuracy of a fresh classifier that tells rendered from real by the
        features: 0.5 where they are alike.
        """
        sums: dict[str, Tensor] = {}
        rows = 0
        for batch in batches:
            truth = self._truth(batch, plain(centre_box(batch["image"])))
            there = (2 * truth["normals"] - 1).norm(dim=1, keepdim=True) > KNOWN
            truth |= {"known": there, "metres": decode_depth(truth["depth"]) * there}
            truth["depth"] = truth["depth"] * there
            for key, known in truth.items():
                sums[key] = sums.get(key, 0) + known.double().sum(0, keepdim=True)
            rows += batch_rows(batch)
        mean = {key: (total / max(rows, 1)).float() for key, total in sums.items()}
        if rows:
            seen = (mean["known"] * rows).clamp_min(1) / rows
            mean["depth"], metres = mean["depth"] / seen, encode_depth(mean["metres"] / seen)
        own, trivial, counts = GeometryErrors(), GeometryErrors(), torch.zeros(3, THRESHOLDS)
        in_metres = GeometryErrors()
        counted = [type(one)() for one in self.asked.values()]
        features: list[list[Tensor]] = [[], []]
        asked: set[int] = set()
        for batch in batches:
            images, (depth, normals, logits, *answers), truth = self._ask(batch)
            for one, said in zip(counted, answers, strict=True):
                one.add(said, truth, mean)
            faces = 2 * truth["normals"] - 1
            own.add(depth, normals, truth["depth"], faces)
            usual = (2 * mean["normals"] - 1).expand_as(normals)
            trivial.add(mean["depth"].expand_as(depth), usual, truth["depth"], faces)
            in_metres.add(metres.expand_as(depth), usual, truth["depth"], faces)
            counts += threshold_counts(logits.sigmoid(), truth["contours"]).cpu()
            if self.adversary is not None:
                real = centre_view(batch["real_image"], self.info.size)
                # Pictures come again; a classifier must not be asked about what it was fitted on.
                new = [i for i, n in enumerate(batch["index"].tolist()) if n not in asked]
                asked |= set(batch["index"].tolist())
                for kind, seen in zip(features, (images, real), strict=True):
                    kind.append(self.encoder(seen).float().cpu()[new])
        share = float(mean["contours"].mean()) if rows else 0.0
        others = [
            Score("depth_rmse_metres", own.rmse_metres, in_metres.rmse_metres, rows),
            Score("normals_degrees", own.mean_degrees, trivial.mean_degrees, rows),
            Score("contours_f", float(best_f(counts)), 2 * share / (1 + share), rows),
            *(score for one in counted for score in one.scores(rows)),
        ]
        if self.adversary is not None:
            told = domain_accuracy(*(torch.cat(kind) for kind in features))
            others.append(Score("domain_accuracy", told, 0.5, rows))
        return Score(self.metric, own.share_close, trivial.share_close, rows, tuple(others))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures; depth, normals and contours, as the engine knows and as the network says."""
        chosen = range(min(SHOWN, len(batch["image"])))
        few: Batch = {
            "image": batch["image"].select(chosen),
            **{key: batch[key][: len(chosen)] for key in self.needs if key in TRUTHS},  # type: ignore
        }
        images, (depth, normals, logits, *others), truth = self._ask(few)
        pictures = [images, _near_is_bright(truth["depth"]), truth["normals"], truth["contours"]]
        columns = ["picture", "depth", "normals", "contours"]
        for one in self.asked.values():
            pictures.append(one.true_picture(truth))
            columns.append(one.shown)
        if answers:
            faces = normals / normals.norm(dim=1, keepdim=True).clamp_min(1e-6)
            said = [_near_is_bright(depth), (faces + 1) / 2, logits.sigmoid()]
            said += [one.picture(x) for one, x in zip(self.asked.values(), others, strict=True)]
            # What is said stands beside what is true.
            for k in reversed(range(len(said))):
                pictures.insert(k + 2, said[k])
                columns.insert(k + 2, f"said: {columns[k + 1]}")
        shown = [to_uint8(each.float().expand(-1, 3, -1, -1)) for each in pictures]
        panel = Panel(
            "rendered",
            "What shape has it?",
            "Rendered pictures, and what the engine knows of each pixel: near is bright; the "
            "colour tells where a surface faces; lines where a thing ends.",
            columns,
            list(zip(*shown, strict=True)),
            [[""] * len(columns)] * len(chosen),
            "prediction" if answers else "views",
        )
        return [with_flow_key(panel) if self.asked else panel]


def _near_is_bright(depth: Tensor) -> Tensor:
    """Encoded depth stretched to where most of it lies, 1 to 16 m."""
    return ((0.75 - depth) / 0.45).clamp(0, 1)
