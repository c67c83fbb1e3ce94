"""A network that learns, and what makes it learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from universeg.training.config import Config
from universeg.training.data.loading import Batch
from universeg.training.losses import LOSSES
from universeg.training.team import Team
from universeg.weights.files import expect_layout
from universeg.weights.models import load_model, make_model


class Diverged(Exception):
    """What a network learns by is no number any more."""


class Learner:
    """A network and its optimiser.

    Attributes:
        network: as it is now.
        precision: of its maps.
    """

    def __init__(self, config: Config, team: Team) -> None:
        """Make a network, untrained or with the weights to begin with; PyTorch's seed is set.

        Raises:
            ModelError: there is no such network.
            WeightsError: the weights to begin with are not there, or are of another network.
        """
        torch.manual_seed(config.seed)
        self.network = make_model(config.model, config.architecture)
        if config.begin_with:
            trained = load_model(config.begin_with).state_dict()
            expect_layout(Path(config.begin_with), trained, self.network.state_dict())
            self.network.load_state_dict(trained)
        self.network.to(team.device)
        self.precision: torch.dtype = getattr(torch, config.precision)
        self._answer: Callable[..., Any] = team.wrap(self.network)
        if config.compile:  # for batches of training: any other shape would be compiled anew
            self._answer = torch.compile(self._answer)
        self._optimiser = torch.optim.Adam(self.network.parameters())
        self._config = config
        self._team = team

    def learn(self, batch: Batch, step: int) -> float:
        """Take a step, of a number from 0; the loss before it.

        Raises:
            Diverged: the loss or its gradient is no number; the network is as it was.
        """
        device, is_mixed = self._team.device.type, self.precision != torch.float32
        with torch.autocast(device, self.precision, is_mixed):
            answer = self._answer(*batch.inputs)
        logits, own_loss = answer if isinstance(answer, tuple) else (answer, 0.0)
        loss: Tensor = LOSSES[self._config.loss](logits, batch.truth) + own_loss
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        settings = self._config.optimiser
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip or math.inf)
        found = self._team.mean(torch.stack([loss.detach(), norm]))  # the one wait for the device
        for name, number in zip(("loss", "norm of the gradient"), found, strict=True):
            if not math.isfinite(number):
                raise Diverged(f"The {name} is {number}")
        for group in self._optimiser.param_groups:
            group["lr"] = settings.learning_rate * pace(self._config, step)
        self._optimiser.step()
        return found[0]

    def state(self) -> dict[str, Any]:
        """Of the network, of its optimiser, and of PyTorch's generators, which some models use."""
        return {
            "model": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        random = state["random"]
        torch.set_rng_state(random["cpu"])
        if random["cuda"] and torch.cuda.device_count() == len(random["cuda"]):
            torch.cuda.set_rng_state_all(random["cuda"])


def pace(config: Config, step: int) -> float:
    """The share of the learning rate at a step, from 0: it follows from the settings alone."""
    optimiser = config.optimiser
    risen = min(1.0, (step + 1) / optimiser.warm_up) if optimiser.warm_up else 1.0
    if optimiser.decay == "none":
        return risen
    return risen * (1 + math.cos(math.pi * min(1.0, step / config.steps))) / 2
