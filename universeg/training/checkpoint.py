"""Everything that a run needs to go on where it was broken off, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file

_MAY_CHANGE = {
    "steps",
    "minutes",
    "save_every",
    "workers",
    "cache",
    "compile",
    "tensorboard",
    "wandb",
    "mlflow",
}


class CheckpointError(MegaMedicalError):
    """A checkpoint is damaged, or belongs to another run."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after so many steps.

    Episodes, their augmentation and the learning rate follow from the settings and the number of
    the step, so that stands for the state of all. `seconds` were spent on training, where it goes
    by the clock; `losses` are those of the steps that the log does not have yet; `learner` is what
    `Learner.state` gave.
    """

    step: int
    seconds: float
    learner: dict[str, Any]
    losses: list[float]
    best: float
    mean_mask: float
    settings: dict[str, Any]
    store: str

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        content = BytesIO()  # writing to a file, PyTorch does not say that the disk is full
        torch.save(asdict(self), content)
        with whole_file(path) as unfinished:
            unfinished.write_bytes(content.getbuffer())

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

    def expect_same_run(self, settings: Mapping[str, Any], store: str, path: Path) -> None:
        """Make sure that a run of some settings, on a store of a fingerprint, may go on from here.

        Raises:
            CheckpointError: it is of another run, or has as many steps already.
        """
        others = {
            name for name, value in self.settings.items() if settings.get(name) != value
        } - _MAY_CHANGE
        if store != self.store:
            others.add("the store")
        if others:
            raise CheckpointError(
                f"{path} is of a run with another setting of {', '.join(sorted(others))}",
                "Name another --out, or give the settings of that run.",
            )
        if settings["steps"] != self.settings["steps"] and settings["steps"] <= self.step:
            raise CheckpointError(
                f"{path} is of a run that has taken {self.step} steps",
                f"Set steps to more than {self.step}, or name another --out.",
            )
