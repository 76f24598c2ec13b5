"""What a view may be: settings, and the parameters drawn from them for a whole batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from pydantic import model_validator
from torch import Tensor

from hotstart.config import Field, Settings
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures

Range = tuple[float, float]
ATTEMPTS = 10  # torchvision's: tries for a crop that fits before the fallback


class ViewSettings(Settings):
    """Probabilities and strengths of the operations that make a random view.

    The defaults are SimCLR's for ImageNet (arXiv:2002.05709, appendix A; colour strength 1) with
    the names and ranges of torchvision; SimCLR for CIFAR-10 is
    `ViewSettings(strength=0.5, blur=0)`. `blur_sigma` is in pixels of the view. The first settings,
    `crop_scale` (area of the crop over that of the picture) and `crop_ratio` (width over
    height), describe a crop that always happens; `(1, 1)` for both and a square picture keeps it
    whole. `flip`, `jitter`, `grey`, `blur`, `solarise` and `cutout` are probabilities.
    `brightness`, `contrast`, `saturation` are drawn in [max(0, 1 - x), 1 + x], `hue` (turns, at
    most 0.5) in [-x, x], with x the setting times `strength`. `cutout_scale` and `cutout_ratio`
    are those of torchvision's RandomErasing (arXiv:1708.04896), which paints a rectangle.
    """

    crop_scale: Range = (0.08, 1.0)
    crop_ratio: Range = (3 / 4, 4 / 3)
    flip: float = Field(default=0.5, ge=0, le=1)
    jitter: float = Field(default=0.8, ge=0, le=1)
    strength: float = Field(default=1.0, ge=0)
    brightness: float = Field(default=0.8, ge=0)
    contrast: float = Field(default=0.8, ge=0)
    saturation: float = Field(default=0.8, ge=0)
    hue: float = Field(default=0.2, ge=0, le=0.5)
    grey: float = Field(default=0.2, ge=0, le=1)
    blur: float = Field(default=0.5, ge=0, le=1)
    blur_sigma: Range = (0.1, 2.0)
    solarise: float = Field(default=0.0, ge=0, le=1)
    cutout: float = Field(default=0.0, ge=0, le=1)
    cutout_scale: Range = (0.02, 0.33)
    cutout_ratio: Range = (0.3, 3.3)

    @model_validator(mode="after")
    def _ranges(self) -> ViewSettings:
        for name in ("crop_scale", "crop_ratio", "blur_sigma", "cutout_scale", "cutout_ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be 0 < low <= high, got ({low}, {high})")
            if name.endswith("scale") and high > 1:
                raise ValueError(f"{name} is a share of the area, at most 1, got {high}")
        if self.strength * self.hue > 0.5:
            raise ValueError(
                f"strength times hue must be at most 0.5, half a turn of the colour circle, "
                f"got {self.strength} * {self.hue}"
            )
        return self


@dataclass(frozen=True)
class ViewParameters:
    """What is done to each of B pictures; neutral values where an operation does not happen.

    box: int64 (B, 4): x, y, width, height of the crop in pixels of the picture
    flip: bool (B,): mirrored left to right
    brightness, contrast, saturation: float32 (B,): factors, 1 = as it is
    hue: float32 (B,): turns of the colour circle, 0 = as it is
    order: int64 (B, 3): the place (0 first) of contrast, saturation and hue among the three
    grey: bool (B,)
    blur_sigma: float32 (B,): pixels of the view, 0 = none
    solarise: bool (B,)
    cutout: int64 (B, 4): x, y, width, height in pixels of the view; width 0 = none
    """

    box: Tensor
    flip: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    order: Tensor
    grey: Tensor
    blur_sigma: Tensor
    solarise: Tensor
    cutout: Tensor

    def __len__(self) -> int:
        return len(self.box)

    def to(self, device: torch.device | str) -> ViewParameters:
        """The same parameters on `device`."""
        return self._map(lambda values: values.to(device, non_blocking=True))

    def select(self, rows: Tensor) -> ViewParameters:
        """The given rows, in that order; a row may come again (frames of one clip)."""
        return self._map(lambda values: values[rows])

    def _map(self, change: Callable[[Tensor], Tensor]) -> ViewParameters:
        return ViewParameters(*(change(getattr(self, field.name)) for field in fields(self)))


def plain(box: Tensor, flip: Tensor | None = None) -> ViewParameters:
    """Parameters that crop (and mirror) and leave the colours alone."""
    rows, device = len(box), box.device
    no = torch.zeros(rows, dtype=torch.bool, device=device)
    one, zero = torch.ones(rows, device=device), torch.zeros(rows, device=device)
    return ViewParameters(
        box=box,
        flip=no if flip is None else flip,
        brightness=one,
        contrast=one,
        saturation=one,
        hue=zero,
        order=torch.arange(3, device=device).expand(rows, 3),
        grey=no,
        blur_sigma=zero,
        solarise=no,
        cutout=torch.zeros(rows, 4, dtype=torch.int64, device=device),
    )


def draw_view(settings: ViewSettings, pictures: Pictures, size: int, rng: Draws) -> ViewParameters:
    """Draw the parameters of one view for each of B pictures, all at once.

    The draws are independent of each other and of the pictures' content; every number is drawn
    whether it is used or not, so that a setting never moves the draws of another. The parameters
    are on the CPU, wherever the pictures are.
    """
    heights, widths = pictures.heights.cpu(), pictures.widths.cpu()
    box = draw_boxes(heights, widths, settings.crop_scale, settings.crop_ratio, rng)
    flip = _happens(settings.flip, rng)
    jitter = _happens(settings.jitter, rng)
    brightness, contrast, saturation = (
        torch.where(jitter, rng.uniform(max(0.0, 1 - spread), 1 + spread), 1.0)
        for spread in (
            settings.strength * settings.brightness,
            settings.strength * settings.contrast,
            settings.strength * settings.saturation,
        )
    )
    most = settings.strength * settings.hue
    hue = torch.where(jitter, rng.uniform(-most, most), 0.0)
    order = rng.permutations(3)
    grey = _happens(settings.grey, rng)
    blur = _happens(settings.blur, rng)
    sigma = torch.where(blur, rng.uniform(*settings.blur_sigma), 0.0)
    solarise = _happens(settings.solarise, rng)
    cut = _happens(settings.cutout, rng)
    if settings.cutout > 0:
        side = torch.full_like(heights, size)
        hole = draw_boxes(side, side, settings.cutout_scale, settings.cutout_ratio, rng)
    else:
        _box_draws(rng)
        hole = torch.zeros(len(heights), 4, dtype=torch.int64)
    return ViewParameters(
        box=box,
        flip=flip,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        order=order,
        grey=grey,
        blur_sigma=sigma,
        solarise=solarise,
        cutout=hole * cut[:, None],
    )


def draw_boxes(heights: Tensor, widths: Tensor, scale: Range, ratio: Range, rng: Draws) -> Tensor:
    """Boxes of random area and shape, as torchvision's RandomResizedCrop draws them.

    Area uniform in `scale`, logarithm of width over height uniform in `ratio`, the first of ten
    attempts that fits; else the largest box in the middle whose ratio is allowed. The place is
    uniform among all whole pixels. Returns int64 (B, 4): x, y, width, height.
    """
    attempts, place = _box_draws(rng)
    full_height, full_width = heights[:, None], widths[:, None]
    area = (full_height * full_width) * (scale[0] + attempts[..., 0] * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = torch.exp(low + attempts[..., 1] * (high - low))
    width = torch.round(torch.sqrt(area * shape)).long()
    height = torch.round(torch.sqrt(area / shape)).long()
    fits = (width > 0) & (width <= full_width) & (height > 0) & (height <= full_height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    found = fits.any(1)
    width = torch.where(found, width.gather(1, first)[:, 0], _within(widths, heights * ratio[1]))
    height = torch.where(found, height.gather(1, first)[:, 0], _within(heights, widths / ratio[0]))
    # float32 draws can round up to 1 when multiplied, hence the second bound.
    spare = torch.stack([widths - width, heights - height], 1)
    corner = torch.minimum((place * (spare + 1)).long(), spare)
    corner = torch.where(found[:, None], corner, spare // 2)
    return torch.cat([corner, width[:, None], height[:, None]], 1)


def _box_draws(rng: Draws) -> tuple[Tensor, Tensor]:
    """Area and shape of each attempt (B, 10, 2), and the place (B, 2)."""
    return rng.uniform(0, 1, ATTEMPTS, 2), rng.uniform(0, 1, 2)


def _within(full: Tensor, limit: Tensor) -> Tensor:
    return torch.minimum(full, limit.round().long()).clamp(min=1)


def _happens(probability: float, rng: Draws) -> Tensor:
    return rng.uniform() < probability
