"""One training of a detector, and its answers."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.models.detection import FCOS

from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.augment.boxes import boxes_in_view, whole_box
from hotstart.augment.settings import plain
from hotstart.config import Field, Settings
from hotstart.data.boxes import Boxes, BoxSet
from hotstart.data.draws import Draws
from hotstart.data.loader import Loader
from hotstart.data.sample import Pictures
from hotstart.downstream.average_precision import Detections
from hotstart.downstream.classifier import _decayed, _order, _warm_up_and_cosine
from hotstart.downstream.detector import DetectorSettings, Target, build_detector, picture_side
from hotstart.downstream.features import evaluating
from hotstart.downstream.outcome import Progress
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]
LEAST_SEEN = 0.3
"""A box of which less is left in a crop is not asked for there."""


class DetectSettings(Settings):
    """How detectors are trained: the same for every protocol, but for where they start."""

    steps: int = Field(default=500, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = 0.05
    views: ViewSettings = ViewSettings(
        crop_scale=(0.4, 1.0), strength=0.3, hue=0.1, grey=0.0, blur=0.0
    )
    """Training sees random crops, mirrored and with changed colours; evaluation the whole."""
    detector: DetectorSettings = DetectorSettings()


def fit_detector(
    encoder: Encoder,
    dataset: BoxSet,
    items: Int64s,
    *,
    frozen: bool,
    settings: DetectSettings,
    seed: int,
    device: torch.device,
    name: str,
    progress: Progress | None = None,
) -> tuple[FCOS, dict[str, object]]:
    """A copy of `encoder` with a new detector on it, trained on the pictures `items`.

    AdamW with linear warm-up and cosine decay to 0. The same seed gives the same weights.
    """
    cuda = [device] if device.type == "cuda" else []
    side = picture_side(encoder, settings.detector)
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = build_detector(
            copy.deepcopy(encoder), len(dataset.classes), settings.detector, frozen=frozen
        )
        model.to(device=device, memory_format=torch.channels_last)
        model.train()
        groups = _decayed(model, settings.weight_decay)
        optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_and_cosine(settings.steps))
        order = _order(items, settings.steps * settings.batch_size, seed)
        loader = Loader(dataset, frozenset({"image", "index"}), order, settings.batch_size)
        for step, batch in enumerate(loader):
            draws = Draws(seed, step, total=settings.batch_size)
            pictures = batch["image"].to(device)
            boxes = dataset.boxes.of(batch["index"].numpy())
            images, targets = training_view(pictures, boxes, settings.views, side, draws)
            loss = torch.stack(list(model(images, targets).values())).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress(name, step + 1, settings.steps)
    return model, {"label_count": len(items), "steps": settings.steps, "size_px": side}


def training_view(
    pictures: Pictures, boxes: Boxes, views: ViewSettings, side: int, rng: Draws
) -> tuple[Tensor, list[Target]]:
    """Random views (B, 3, side, side) and the boxes of each: `boxes` px (n, 4), `labels` (n,)."""
    parameters = draw_view(views, pictures, side, rng)
    images = apply_view(pictures, parameters, side)
    rows = len(pictures)
    owners = torch.from_numpy(np.repeat(np.arange(rows), np.diff(boxes.starts)))
    corners, seen = boxes_in_view(torch.from_numpy(boxes.corners), owners, pictures, parameters)
    corners = corners * side
    large = (corners[:, 2:] - corners[:, :2]).amin(1) >= 1
    kept = (seen >= LEAST_SEEN) & large & ~torch.from_numpy(boxes.ignored)
    labels = torch.from_numpy(boxes.classes)
    device = images.device
    return images, [
        {"boxes": corners[own].to(device), "labels": labels[own].to(device)}
        for own in (kept & (owners == row) for row in range(rows))
    ]


def detect_objects(
    model: FCOS,
    side: int,
    dataset: BoxSet,
    items: Int64s,
    device: torch.device,
    batch_size: int = 16,
) -> list[Detections]:
    """What the detector finds in each of the pictures `items`, the surest first."""
    found = []
    loader = Loader(dataset, frozenset({"image"}), items, batch_size, drop_last=False)
    with evaluating(model), torch.inference_mode():
        for batch in loader:
            pictures = batch["image"].to(device)
            images = apply_view(pictures, plain(whole_box(pictures)), side)
            for one in model(images):
                found.append(
                    Detections(
                        (one["boxes"] / side).cpu().numpy(),
                        one["scores"].cpu().numpy(),
                        one["labels"].cpu().numpy(),
                    )
                )
    return found
