"""Pictures cut into three by three tiles, for tasks that ask how they lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hotstart.augment import ViewSettings, random_view
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder

CELLS = 9
CENTRE = 4
SHARE = 64 / 225
"""Of a tile in the side of the picture: Noroozi & Favaro 2016, 64 px of 225."""

EDGE_PX = 2
"""Of a view, not cut: enough where a picture was made up to four times as large."""


@dataclass(frozen=True)
class Grid:
    """Three by three tiles with gaps between them, each shaken by up to `jitter_px`.

    Without gap and jitter the end of an edge tells which tile comes next, and nothing of what the
    picture shows needs to be known.
    """

    tile_px: int
    gap_px: int
    jitter_px: int

    @property
    def side_px(self) -> int:
        """Side of the square that is cut."""
        return 3 * self.tile_px + 2 * self.gap_px + self.jitter_px

    @classmethod
    def of(cls, encoder: Encoder, size: int, gap: float, jitter: float) -> Grid:
        """For pictures of `size` px; gap and jitter are shares of a tile's side.

        A tile is as large as the paper's share of the picture, but never smaller than what the
        encoder can take: one place of its last map, a whole number of a ViT's patches. Where that
        is more than a third of the picture, the picture is resized up before it is cut.
        """
        stride = encoder.stage_strides[-1]
        tile = max(round(SHARE * size), stride)
        if encoder.kind == "vit":
            tile = -(-tile // stride) * stride
        return cls(tile, round(gap * tile), round(jitter * tile))

    def view(self, pictures: Pictures, settings: ViewSettings, rng: Draws) -> Tensor:
        """A random view of each picture, to be cut: (B, 3, side_px, side_px).

        It is the inside of one a little larger. At the edge of a picture that was made larger its
        last pixels are repeated, and that alone would tell the outer tiles from the middle one.
        """
        wide = random_view(pictures, settings, self.side_px + 2 * EDGE_PX, rng)
        return wide[:, :, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]

    def cut(self, pictures: Tensor, rng: Draws) -> Tensor:
        """(B, 3, side_px, side_px) -> tiles (B, 9, 3, tile_px, tile_px), in reading order."""
        shake = rng.named("tiles").integers(0, self.jitter_px + 1, CELLS, 2).to(pictures.device)
        cell = torch.arange(CELLS, device=pictures.device)
        place = torch.stack([cell // 3, cell % 3], 1) * (self.tile_px + self.gap_px)
        corner = place + shake
        pixel = torch.arange(self.tile_px, device=pictures.device)
        rows = corner[:, :, 0, None, None] + pixel[:, None]
        columns = corner[:, :, 1, None, None] + pixel
        picture = torch.arange(len(pictures), device=pictures.device)[:, None, None, None]
        tiles = pictures.permute(0, 2, 3, 1)[picture, rows, columns]
        return tiles.permute(0, 1, 4, 2, 3)


def montage(tiles: Tensor) -> Tensor:
    """(B, 9, 3, t, t) -> pictures (B, 3, 3t, 3t) with the tiles side by side, in their order."""
    rows, _, channels, side, _ = tiles.shape
    grid = tiles.reshape(rows, 3, 3, channels, side, side).permute(0, 3, 1, 4, 2, 5)
    return grid.reshape(rows, channels, 3 * side, 3 * side)


def tiles_of(pictures: Tensor) -> Tensor:
    """The opposite of `montage`: (B, 3, 3t, 3t) -> (B, 9, 3, t, t)."""
    rows, channels, side, _ = pictures.shape
    grid = pictures.reshape(rows, channels, 3, side // 3, 3, side // 3)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(rows, CELLS, channels, side // 3, side // 3)


def standardised(tiles: Tensor, encoder: Encoder) -> Tensor:
    """Each tile (..., 3, t, t) with the encoder's mean colour and contrast, channel by channel.

    Noroozi & Favaro 2016, section 3.3: light and contrast change slowly over a picture, so that
    means and deviations alone would tell which tiles are neighbours.
    """
    deviation, mean = torch.std_mean(tiles, dim=(-2, -1), keepdim=True)
    return (tiles - mean) / (deviation + 1e-3) * encoder.std[0] + encoder.mean[0]
