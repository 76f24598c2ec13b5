"""Graph constraint: which pictures are linked by a cycle of nearest neighbours?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment import centre_view, random_view
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder, mlp
from hotstart.errors import UsageError
from hotstart.pretext.clustering import whitened, whitening
from hotstart.pretext.constraints import TOGETHER, Mined, mine, side_by_side
from hotstart.pretext.distributed import first_decides, world
from hotstart.pretext.losses import nt_xent
from hotstart.pretext.panels import SHOWN, neighbour_panel
from hotstart.pretext.sift import bag_of_words, words_of
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    OptimiserSettings,
    Panel,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    batch_rows,
    to_uint8,
)
from hotstart.pretext.two_views import (
    TwoViewSettings,
    TwoViewTask,
    at_least_float,
    positive_first,
)

COMPONENTS = 64
"""Principal components of h by which neighbours are sought, as in `deep_cluster`."""
PICTURES_A_COMPONENT = 8
"""At least: whitened along as many components as there are pictures, all are equally far apart."""
WORDS = 256
"""Visual words of the first graph, as many as `sift_clusters` has."""
LEAST_EPOCHS_LEFT = 0.5
"""A new graph needs as much of an epoch to be learnt from."""


class GraphConstraintSettings(TwoViewSettings):
    """Settings of `graph_constraint`."""

    neighbours: int = Field(default=5, ge=1)
    """K, edges that leave each picture."""
    cycle: int = Field(default=3, ge=2)
    """Longest cycle that makes two pictures a positive pair; 2: neighbours of each other."""
    candidates: int = Field(default=50, ge=1)
    """Nearest pictures among which a hard negative is sought."""
    apart: int = Field(default=2, ge=1)
    """A negative lies more than so many edges off."""
    regraph_epochs: int = Field(default=1, ge=1)
    """Epochs from one graph to the next; but none within the last half epoch of a run."""
    temperature: float = Field(default=0.2, gt=0)
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""


class GraphConstraint(TwoViewTask):
    """Pull pictures together that a cycle of nearest neighbours links, push apart what is far.

    Li 2016 (ECCV, doi:10.1007/978-3-319-46493-0_41), section 3: all pictures are the nodes of a
    graph whose edges lead from each to its k nearest neighbours. Positive pairs lie on a short
    cycle of edges; a hard negative is near in features, but far along the edges (`graph.py`). The
    first graph is one of hand-made features, bags of SIFT words (`sift.py`; the paper's are Fisher
    vectors), later ones are of the network's own, PCA-whitened. Each picture is seen in one view.

    Two positive pairs whose anchors are hard negatives of each other are loaded side by side, and
    the loss is NT-Xent over all pairs of the batch, so that what else is in it counts as a negative
    too. Deviations: that loss in place of the paper's two-layer classifier of pairs, cycles of up
    to three edges, AdamW. On held-out pictures, which are in no graph, the metric asks as for
    `simclr` whether two views of a picture find each other.
    """

    name: ClassVar[str] = "graph_constraint"
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec()}
    own_order: ClassVar[bool] = True
    Settings: ClassVar[type[Settings]] = GraphConstraintSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 512
    settings: GraphConstraintSettings
    epochs: Tensor
    quadruples: Tensor
    linked: Tensor
    apart: Tensor

    def __init__(self, encoder: Encoder, settings: GraphConstraintSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        rows = info.batch_size // world()
        if rows < TOGETHER:
            raise UsageError(
                f"graph_constraint loads {TOGETHER} pictures side by side, and a batch has {rows} "
                "rows a process: enlarge --batch-size"
            )
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection), last_norm=True)
        # Of the first graph: found again by `prepare` where a run is resumed.
        self.bags: Tensor | None = None
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        few = torch.arange(max(info.items // TOGETHER, 1) * TOGETHER) % info.items
        self.register_buffer("quadruples", few.view(-1, TOGETHER))
        self.register_buffer("linked", torch.ones(()))
        self.register_buffer("apart", torch.ones(()))

    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Find the visual words of all pictures, kept in `cache`, for the first graph."""
        self.bags = bag_of_words(words_of(dataset, WORDS, cache)[1])

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """Where it is due, a new graph, and pairs out of it; load pairs side by side."""
        if self._due():
            points = self.bags if self.epochs == 0 else None
            points = features() if points is None else points
            found = self._mine(points, len(self.quadruples), rng)
            for buffer, value in (
                (self.quadruples, torch.from_numpy(found.quadruples)),
                (self.linked, torch.tensor(found.linked)),
                (self.apart, torch.tensor(found.apart)),
            ):
                first_decides(buffer.copy_(value))
        self.epochs += 1
        slices = max(self.info.items // self.info.batch_size, 1) * world()
        rows = self.info.batch_size // world()
        generator = rng.named("order").generator
        quadruples = self.quadruples.cpu().numpy()
        return Epoch(order=side_by_side(quadruples, rows, slices, generator))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S): one view of each picture, whole quadruples in their order."""
        return {"image": random_view(batch["image"], self.settings.view, self.info.size, rng)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """NT-Xent over positive pairs; near ln(B - 1) at random.

        `linked` tells how many pictures are in a positive pair at all, `apart` how many negatives
        are as far along the graph as asked.
        """
        z1, z2 = self._pairs(views["image"])
        metrics = {
            "positive_first": positive_first(z1, z2),
            PROJECTION_STD: dimension_std(z1),
            "linked": self.linked,
            "apart": self.apart,
        }
        return Step(nt_xent(z1, z2, self.settings.temperature), metrics)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """How often, of 2B views of held-out pictures, the other view of its picture is first."""
        total, rows, count = 0.0, 0, self.info.batch_size
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            z1, z2 = self.project(super().views(batch, rng.batch(i, count))).chunk(2)
            total += float(positive_first(z1, z2)) * count
            rows += count
        return Score(self.metric, total / max(rows, 1), self.trivial(count), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pairs that a graph of these pictures gives, by the encoder; and neighbours."""
        wholes = centre_view(batch["image"], self.info.size)
        count = min(SHOWN, len(wholes))
        found = self._mine(self.encoder(wholes).float().cpu(), count, rng).quadruples
        pictures = to_uint8(wholes)
        panel = Panel(
            "graph_constraint-pairs",
            "Pairs out of a graph of neighbours",
            f"Of {len(wholes)} pictures, by the network's features: one, another that a cycle of "
            "nearest neighbours links it with, which is to be near; and one that is near too, but "
            "far along the graph, and so is to be far.",
            ("picture", "positive", "hard negative"),
            [[pictures[int(i)] for i in row[:3]] for row in found],
            [[""] * 3] * count,
        )
        return [panel] + ([neighbour_panel(self.name, self.encoder, batch)] if answers else [])

    def _pairs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Projections of the anchors and of their positives, (B / 2, D) each."""
        whole = len(images) // TOGETHER * TOGETHER
        z = at_least_float(self.projector(self.encoder(images)))[:whole]
        return z[0::2], z[1::2]

    def _mine(self, points: Tensor, count: int, rng: Draws) -> Mined:
        own = self.settings
        few = max(len(points) // PICTURES_A_COMPONENT, 1)
        components = min(COMPONENTS, points.shape[1], few)
        return mine(
            whitened(points, *whitening(points, components)).numpy(),
            count,
            rng.named("pairs").generator,
            neighbours=own.neighbours,
            cycle=own.cycle,
            candidates=own.candidates,
            apart=own.apart,
        )

    def _due(self) -> bool:
        """Whether the epoch that begins gets a new graph."""
        epoch, steps = int(self.epochs), max(self.info.items // self.info.batch_size, 1)
        left = self.info.total_steps / steps - epoch
        again = epoch % self.settings.regraph_epochs == 0 and left >= LEAST_EPOCHS_LEFT
        return epoch == 0 or again
