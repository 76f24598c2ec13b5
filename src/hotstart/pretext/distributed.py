"""Gathering a batch over processes with its gradient; nothing to do in one process."""

from __future__ import annotations

import torch
import torch.distributed
import torch.distributed.nn.functional
from torch import Tensor


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of this process -> (world * B, ...) of all, in rank order, with gradient.

    The backward pass sums over processes what each one's loss says of a row, so that the mean over
    processes that DDP takes is the gradient of the mean of their losses.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return rows
    everyone = torch.distributed.nn.functional.all_gather(rows.contiguous())
    return torch.cat(everyone)


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
