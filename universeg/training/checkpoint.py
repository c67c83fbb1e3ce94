"""Everything that a run needs to go on where it was broken off, in one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from megamedical.errors import MegaMedicalError
from megamedical.location import whole_file


class CheckpointError(MegaMedicalError):
    """A checkpoint is damaged, or belongs to another run."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after so many steps.

    Episodes and their augmentation follow from the seed and their number, so the step stands for
    the state of both; `random` is PyTorch's own generators, for models that use them. `losses` are
    those of the steps that the log does not have yet.
    """

    step: int
    model: dict[str, Any]
    optimiser: dict[str, Any]
    schedule: dict[str, Any]
    random: dict[str, Any]
    losses: list[float]
    best: float
    mean_mask: float
    settings: dict[str, Any]
    store: str

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        with whole_file(path) as unfinished:
            torch.save(asdict(self), unfinished)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read one.

        Raises:
            CheckpointError: it is damaged, or holds anything else than tensors and numbers.
        """
        try:
            return cls(**torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged file can fail anywhere
            raise CheckpointError(
                f"{path} is damaged, or no checkpoint", "Delete it to begin anew."
            ) from error


def random_state() -> dict[str, Any]:
    """The state of PyTorch's generators."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_state(state: dict[str, Any]) -> None:
    """Set PyTorch's generators to a state."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
