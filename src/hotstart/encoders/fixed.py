"""Encoders without a gradient: their weights are found by looking at pictures, not by training."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.encoders.encoder import Encoder, EncoderSpec, Kind
from hotstart.errors import UsageError

SIDE_PX = 32
"""Larger pictures are reduced to this side."""
COMPONENTS = 256
"""As long as the features of `resnet10_narrow`."""
PATCH_PX = 6
CENTROIDS = 256
CHUNK = 32
"""Pictures whose patches are held in memory at once."""


class FixedEncoder(Encoder):
    """No layers, so one `h` and no stages; its buffers are drawn at random until they are fitted.

    So it has a control of its own: the same features of random directions.
    """

    kind: ClassVar[Kind] = "fixed"

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        self.stage_dims = ()
        self.stage_strides = ()
        self.side = min(spec.size, SIDE_PX)

    def reduced(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, 3, side, side) in -0.5..0.5."""
        if images.shape[-1] != self.side:
            images = F.interpolate(images, size=self.side, mode="area")
        return images - 0.5

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> features h (B, D)."""

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        h: Tensor = self(images)
        return h, []

    def feature_map(self, images: Tensor, stride: int) -> Tensor:
        raise UsageError(f"{self.spec.name} has no feature maps: a CNN or a ViT has")


class PixelComponents(FixedEncoder):
    """`h` is where the pixels lie along 256 directions, once fitted their principal components.

    centre: (3 side^2,); directions: (3 side^2, D), D at most 256.
    """

    centre: Tensor
    directions: Tensor

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        pixels = 3 * self.side**2
        self.dim = min(COMPONENTS, pixels)
        self.register_buffer("centre", torch.zeros(pixels))
        self.register_buffer("directions", torch.randn(pixels, self.dim) / pixels**0.5)

    def pixels(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3 side^2)."""
        return self.reduced(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return (self.pixels(images) - self.centre) @ self.directions


class PatchCentroids(FixedEncoder):
    """`h` says where in the picture there are patches near each of 256 centroids, by k-means.

    Coates 2011 (An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS),
    section 3: every patch of 6 x 6 px, normalised and whitened; its activation max(0, mean distance
    - distance to centroid k), the "triangle"; their mean over each quarter of the picture.
    Deviations: 256 centroids for up to 4,000, a mean for the sum, pictures of 32 px at most.

    middle (P,), whitening (P, P): of patches, P = 3 x 6 x 6; centroids: (256, P). D = 4 x 256.
    """

    middle: Tensor
    whitening: Tensor
    centroids: Tensor

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        values = 3 * PATCH_PX**2
        self.dim = 4 * CENTROIDS
        self.register_buffer("middle", torch.zeros(values))
        self.register_buffer("whitening", torch.eye(values))
        self.register_buffer("centroids", torch.randn(CENTROIDS, values))

    def patches(self, images: Tensor) -> Tensor:
        """All patches (B, L, P) of (B, 3, H, W), row by row, each by its own mean and deviation."""
        cut = F.unfold(self.reduced(images), PATCH_PX).transpose(1, 2)
        cut = cut - cut.mean(2, keepdim=True)
        # The paper adds 10 to a variance of pixels in 0..255: flat patches stay flat.
        return cut * (cut.square().mean(2, keepdim=True) + 10 / 255**2).rsqrt()

    def whitened(self, patches: Tensor) -> Tensor:
        """(..., P) -> (..., P)."""
        return (patches - self.middle) @ self.whitening

    def forward(self, images: Tensor) -> Tensor:
        if torch.compiler.is_exporting():  # a graph is for any number of pictures
            return self._pooled(images)
        return torch.cat([self._pooled(chunk) for chunk in images.split(CHUNK)])

    def _pooled(self, images: Tensor) -> Tensor:
        distance = torch.cdist(self.whitened(self.patches(images)), self.centroids)
        active = (distance.mean(2, keepdim=True) - distance).clamp_min(0)
        side = self.side - PATCH_PX + 1
        placed = active.transpose(1, 2).unflatten(2, (side, side))
        return F.adaptive_avg_pool2d(placed, 2).flatten(1)


FIXED: dict[str, type[FixedEncoder]] = {
    "pixel_components": PixelComponents,
    "patch_centroids": PatchCentroids,
}
"""By name; which task fits them, the list of tasks says."""
