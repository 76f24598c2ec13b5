"""Views of pictures: random ones for training, crops for tasks, the centre for evaluation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from hotstart.augment import opencv, packed
from hotstart.augment.settings import ViewParameters, ViewSettings, draw_view, plain
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.errors import UsageError

Engine = Literal["auto", "opencv", "torch"]


def random_view(pictures: Pictures, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
    """One random view of each picture: float32 (B, 3, size, size) in 0..1, channels last.

    For a second, independent view pass another stream: `rng.named("second")`.
    """
    return apply_view(pictures, draw_view(settings, pictures, size, rng), size)


def apply_view(
    pictures: Pictures,
    parameters: ViewParameters,
    size: int,
    *,
    engine: Engine = "auto",
    threads: int | None = None,
) -> Tensor:
    """Apply drawn parameters: crop and resize, flip, colours, blur, solarise, cutout.

    Row i of `parameters` is applied to picture i. Returns float32 (B, 3, size, size) in 0..1 in
    channels-last memory, on the device of the pictures. The crop is cut at whole pixels and then
    resized like torchvision's RandomResizedCrop, bilinear and antialiased, no pixel outside of it
    being read. Solarisation inverts values above one half; cutout paints mid-grey, 0.5.

    `engine` "auto" is OpenCV for pictures on the CPU and torch elsewhere. The two agree to within
    a fifth of a grey level (0.2 / 255). `threads` is OpenCV's share of the CPU, torch's number
    of threads by default; the result does not depend on it.
    """
    if len(parameters) != len(pictures):
        raise UsageError(
            f"got parameters of {len(parameters)} views for {len(pictures)} pictures; "
            "they must be as many (Pictures.select repeats pictures)"
        )
    if size < 1:
        raise UsageError(f"size must be at least 1 px, got {size}")
    on_cpu = pictures.device.type == "cpu"
    if engine == "opencv" and not on_cpu:
        raise UsageError(f"OpenCV works on the CPU, the pictures are on {pictures.device}")
    if engine == "opencv" or (engine == "auto" and on_cpu):
        return opencv.apply(pictures, parameters, size, threads)
    return packed.apply(pictures, parameters, size)


def crop(pictures: Pictures, boxes: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
    """Cut a box out of each picture and resize it: float32 (B, 3, size, size) in 0..1.

    boxes: (B, 4): x, y, width, height in pixels of the picture. Edges are rounded to whole pixels,
    so that neighbouring boxes neither overlap nor leave a gap; boxes of `size` whole pixels are
    copied exactly. (Boxes whose rounded widths differ are resized differently, which a network can
    see: tasks that ask where a box lay must draw boxes of one whole size.)
    flip: bool (B,), mirrored left to right where True.

    Raises UsageError when a box is empty or leaves its picture.
    """
    boxes = boxes.detach().cpu()
    corner = boxes[:, :2].round().long()
    end = (boxes[:, :2] + boxes[:, 2:]).round().long()
    full = torch.stack([pictures.widths, pictures.heights], 1).cpu()
    wrong = ((corner < 0) | (end <= corner) | (end > full)).any(1).nonzero()
    if len(wrong):
        row = int(wrong[0])
        width, height = full[row].tolist()
        raise UsageError(
            f"box {row} is {boxes[row].tolist()} (x, y, width, height in px); it must hold at "
            f"least one pixel and lie within its picture of {width} x {height} px"
        )
    box = torch.cat([corner, end - corner], 1)
    return apply_view(pictures, plain(box, None if flip is None else flip.cpu()), size)


def centre_view(pictures: Pictures, size: int) -> Tensor:
    """The view for evaluation: the largest centred square, resized, antialiased.

    Equal to a resize of the short side to `size` and a centre crop. Returns float32
    (B, 3, size, size) in 0..1.
    """
    return apply_view(pictures, plain(centre_box(pictures)), size)


def centre_box(pictures: Pictures) -> Tensor:
    """The largest centred square of each picture: int64 (B, 4), x, y, width, height, on the CPU."""
    widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
    side = torch.minimum(widths, heights)
    return torch.stack([(widths - side) // 2, (heights - side) // 2, side, side], 1)
