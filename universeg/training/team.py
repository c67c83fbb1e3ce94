"""The processes that train together, as `torchrun` starts them; usually one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from megamedical.errors import MegaMedicalError

_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Team:
    """One process of a team: its `rank` of `size`, and its device.

    `beside` are the processes of the team on this machine, itself among them.
    """

    rank: int
    size: int
    device: torch.device
    beside: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with gradients that are the mean over the team."""
        if self.size == 1:
            return model
        # The last block's support path answers to nobody, so its weights have no gradient.
        return DistributedDataParallel(model, find_unused_parameters=True)

    def share(self, things: Sequence[_Thing]) -> Sequence[_Thing]:
        """The part of this process, in order: as many things as any other has."""
        each = len(things) // self.size
        return things[self.rank * each : (self.rank + 1) * each]

    def mean(self, values: Tensor) -> list[float]:
        """The means over the team of some numbers, (n,)."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return (values / self.size).tolist()

    def from_leader(self, make: Callable[[], _Thing]) -> _Thing:
        """What the leader makes; where it fails, all of them do.

        Raises:
            MegaMedicalError: what the leader raised.
        """
        if self.size == 1:
            return make()
        answer: list[Any] = [None]
        if self.leads:
            try:
                answer = [make()]
            except MegaMedicalError as error:
                answer = [error]
        dist.broadcast_object_list(answer)
        if isinstance(answer[0], MegaMedicalError):
            raise answer[0]
        return answer[0]

    def gather(self, things: Sequence[_Thing]) -> list[_Thing]:
        """What all processes have, those of the first rank first."""
        if self.size == 1:
            return list(things)
        gathered: list[Sequence[_Thing]] = [()] * self.size
        dist.all_gather_object(gathered, things)
        return [thing for each in gathered for thing in each]


@contextmanager
def joined(device: str) -> Iterator[Team]:
    """Join the team that `torchrun` started, or be one alone.

    Args:
        device: `auto`, `cpu`, or a GPU as PyTorch names it.

    Raises:
        MegaMedicalError: there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0)
    if size == 1:
        yield Team(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(rank, size, chosen, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    finally:
        dist.destroy_process_group()


def _device(name: str, local_rank: int) -> torch.device:
    if name in ("auto", "cuda") and torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
        return device
    try:
        device = torch.device("cpu" if name == "auto" else name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MegaMedicalError(
            f"PyTorch cannot use the device {name!r} here", "Take `cpu`, which is always there."
        ) from error
    return device
