"""Where a network computes, and how exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from megamedical.errors import MegaMedicalError


def usual_device() -> str:
    """The GPU where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network lie."""
    return next((each.device for each in network.parameters()), torch.device("cpu"))


def moved(network: nn.Module, device: str) -> nn.Module:
    """A network on a device.

    Raises:
        MegaMedicalError: there is no such device.
    """
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # no such name; not in this PyTorch
        raise MegaMedicalError(
            f"PyTorch cannot use the device {device!r} here", "Take `cpu`, which is always there."
        ) from error


def fast(device: torch.device) -> torch.autocast:
    """Let a step of learning compute in bfloat16, where the device is quicker at it.

    That is every GPU, and processors with AMX; without it bfloat16 is slower than float32.
    """
    is_quicker = device.type != "cpu" or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=is_quicker)


@contextmanager
def exact() -> Iterator[None]:
    """Let convolutions of a GPU round as float32 does, to 1e-6 and not to TF32's 2e-3."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
