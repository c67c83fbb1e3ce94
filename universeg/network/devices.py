"""Where a network computes, and how exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def usual_device() -> str:
    """The GPU where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network lie."""
    return next((each.device for each in network.parameters()), torch.device("cpu"))


@contextmanager
def exact() -> Iterator[None]:
    """Let convolutions of a GPU round as float32 does, to 1e-6 and not to TF32's 2e-3."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
