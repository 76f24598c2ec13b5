"""What processes tell each other within a task; nothing to do where there is only one."""

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


def each_share(count: Tensor) -> Tensor:
    """The mean over processes of a scalar: what a sum over some of the rows is divided by.

    Where processes have different numbers of them, their means would not average to that of all.
    """
    return gather(count[None]).mean()


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


@torch.no_grad()
def first_decides(tensor: Tensor) -> Tensor:
    """Overwrite `tensor` with the first process's, so that no rounding sets processes apart."""
    if world() > 1:
        # GPUs tell each other only what lies on them.
        by_gpu = torch.distributed.get_backend() == "nccl" and not tensor.is_cuda
        told = tensor.cuda() if by_gpu else tensor
        torch.distributed.broadcast(told, src=0)
        if by_gpu:
            tensor.copy_(told)
    return tensor
