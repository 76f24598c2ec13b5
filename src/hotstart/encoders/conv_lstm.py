"""A recurrent layer of maps: what it remembers has a place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""The hidden map H and the cell map C, (B, width, h, w) each."""


class ConvLSTM(nn.Module):
    """One step in time of maps (B, inputs, h, w): a new state of `width` channels.

    Shi 2015 (arXiv:1506.04214), eq. 3: an LSTM whose products are 3x3 convolutions. inputs = 0:
    nothing comes in, the state goes on by itself. Deviations: no peepholes (the gates do not see
    C), whose weights, one for each place, would tie the layer to one size; the forget gate starts
    with a bias of 1 (Jozefowicz 2015), so that at first it remembers.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.gates = nn.Conv2d(inputs + width, 4 * width, 3, padding=1)
        with torch.no_grad():
            assert self.gates.bias is not None
            self.gates.bias[width : 2 * width] = 1.0

    def start(self, maps: Tensor) -> State:
        """Nothing is remembered, of maps (B, any, h, w)."""
        empty = maps.new_zeros(len(maps), self.width, *maps.shape[2:])
        return empty, empty

    def forward(self, maps: Tensor | None, state: State) -> State:
        hidden, cell = state
        seen = hidden if maps is None else torch.cat([maps, hidden], 1)
        let_in, keep, let_out, new = self.gates(seen).chunk(4, 1)
        cell = keep.sigmoid() * cell + let_in.sigmoid() * new.tanh()
        return let_out.sigmoid() * cell.tanh(), cell
