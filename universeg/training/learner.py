"""A network that learns, and what makes it learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from universeg.training.config import Config
from universeg.training.data.loading import Batch
from universeg.training.losses import LOSSES
from universeg.training.team import Team
from universeg.weights.claims import expect_layout
from universeg.weights.models import load_model, make_model


class Diverged(Exception):
    """What a network learns by is no number any more."""


class Learner:
    """A network and its optimiser.

    Attributes:
        network: as it is now.
        precision: of its maps.
        seconds: of training, as the team agreed on them at the last step.
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
        optimiser = config.optimiser
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            betas=optimiser.betas,
            weight_decay=optimiser.weight_decay,
            fused=team.device.type == "cuda",
        )
        self._mean = RunningMean(self.network, config.running_mean) if config.running_mean else None
        self._config = config
        self._team = team
        self.seconds = 0.0

    @property
    def best_network(self) -> nn.Module:
        """What is judged and saved: the running mean, if there is one, else the network."""
        return self._mean.network if self._mean else self.network

    def learn(self, batch: Batch, step: int, seconds: float = 0.0) -> float:
        """Take a step, of a number from 0, after so many seconds of training; the loss before it.

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
        numbers = torch.stack([loss.detach(), norm, loss.new_tensor(seconds)])
        *found, self.seconds = self._team.mean(numbers)  # the one wait for the device
        for name, number in zip(("loss", "norm of the gradient"), found, strict=True):
            if not math.isfinite(number):
                raise Diverged(f"The {name} is {number}")
        for group in self._optimiser.param_groups:
            group["lr"] = settings.learning_rate * pace(self._config, step, self.seconds)
        self._optimiser.step()
        if self._mean:
            self._mean.update(self.network, step)
        return found[0]

    def state(self) -> dict[str, Any]:
        """Of the network, of its optimiser, and of PyTorch's generators, which some models use."""
        return {
            "model": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "mean": self._mean.network.state_dict() if self._mean else {},
            "random": {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._mean:
            self._mean.network.load_state_dict(state["mean"])
        random = state["random"]
        torch.set_rng_state(random["cpu"])
        if random["cuda"] and torch.cuda.device_count() == len(random["cuda"]):
            torch.cuda.set_rng_state_all(random["cuda"])


class RunningMean:
    """The exponential mean of the weights of a network over its steps.

    Attributes:
        network: one that has them.
    """

    def __init__(self, network: nn.Module, kept: float) -> None:
        """Begin with the weights as they are; `kept` is the share that a step keeps."""
        self.network = deepcopy(network).requires_grad_(False)
        self._kept = kept

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step, of a number from 0; early ones are soon forgotten."""
        kept = min(self._kept, (1 + step) / (10 + step))
        mean, now = (list(each.state_dict().values()) for each in (self.network, network))
        floating = [place for place, value in enumerate(now) if value.is_floating_point()]
        average = get_ema_multi_avg_fn(kept)  # type: ignore[no-untyped-call]
        average([mean[p] for p in floating], [now[p] for p in floating], None)
        for own, value in zip(mean, now, strict=True):
            if not value.is_floating_point():
                own.copy_(value)


def pace(config: Config, step: int, seconds: float = 0.0) -> float:
    """The share of the learning rate at a step, from 0, after so many seconds of training."""
    optimiser = config.optimiser
    risen = min(1.0, (step + 1) / optimiser.warm_up) if optimiser.warm_up else 1.0
    if optimiser.decay == "none":
        return risen
    return risen * (1 + math.cos(math.pi * min(1.0, progress(config, step, seconds)))) / 2


def progress(config: Config, step: int, seconds: float) -> float:
    """How much of a run is done after so many steps and seconds: 1 is all of it."""
    by_time = seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(step / config.steps, by_time)
