"""Label maps follow their picture into a view of it."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import LabelMaps, Pictures


def labels_in_view(
    masks: LabelMaps, pictures: Pictures, parameters: ViewParameters, size: int
) -> Tensor:
    """What is to be seen in the views that `parameters` make of `pictures`: uint8 (B, size, size).

    Crop and mirror are the picture's, colours change nothing, what is cut out is to be ignored
    (255). Values are those of the nearest pixel, so that no class is made up between two. A label
    map may be finer or coarser than its picture.
    """
    boxes, flips = parameters.box.tolist(), parameters.flip.tolist()
    middle = (torch.arange(size) + 0.5) / size
    views = []
    for row, labels in enumerate(masks.maps):
        height, width = labels.shape
        x, y, wide, high = boxes[row]
        across = (x + middle * wide) * (width / float(pictures.widths[row]))
        down = (y + middle * high) * (height / float(pictures.heights[row]))
        columns = across.long().clamp(0, width - 1)
        lines = down.long().clamp(0, height - 1)
        columns = columns.flip(0) if flips[row] else columns
        view = labels[lines.to(labels.device)][:, columns.to(labels.device)]
        left, top, hole_wide, hole_high = parameters.cutout[row].tolist()
        view[top : top + hole_high, left : left + hole_wide] = 255
        views.append(view)
    return torch.stack(views)
