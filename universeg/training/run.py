"""The training of a network from a store, step by step."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from megamedical import __version__
from megamedical.errors import MegaMedicalError
from megamedical.progress import Listener
from megamedical.store import Store
from universeg.card import ModelCard
from universeg.models import make_model
from universeg.training.cache import bytes_of, choose_cache, open_arrays
from universeg.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    random_state,
    restore_random_state,
)
from universeg.training.config import Config, save_config
from universeg.training.episodes import EpisodeSampler
from universeg.training.evaluation import Judgement, episodes_to_judge, judge, spread
from universeg.training.loading import Batch, Loader, Reader
from universeg.training.log import Log
from universeg.training.losses import LOSSES
from universeg.training.memory import keep_freed_memory
from universeg.training.pictures import draw_predictions
from universeg.training.tasks import TaskError, choose_tasks
from universeg.training.team import Team
from universeg.weights import save_model

_LOGGED = 50  # steps between two rows of the log
_MAY_CHANGE = {"steps", "save_every", "workers", "cache", "compile", "tensorboard"}


class TrainingError(MegaMedicalError):
    """A run came to nothing, and had better stop."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        weights: the best ones.
        dice: theirs, on the dev split.
        mean_mask: the Dice of the mean mask of each support, there.
        examples: episodes a second, evaluations left out.
        waited: the share of that time in which the device waited for slices.
    """

    weights: Path
    dice: float
    mean_mask: float
    examples: float
    waited: float


def train(config: Config, store: Store, out: Path, team: Team, listener: Listener) -> Outcome:
    """Train a network, or go on with a run that was broken off.

    In `out` lie then `config.yaml`, `log.jsonl`, `checkpoint.pt`, `pictures/`, and
    `best.safetensors`: the weights of the best Dice on the dev split, with their model card.

    Args:
        config: all settings.
        store: what is learnt from.
        out: the folder of the run.
        team: the processes that train together.
        listener: hears how it goes.

    Raises:
        TaskError: the store has no tasks to train on, or slices of another size.
        CheckpointError: another run lies in `out`.
        ModelError: there is no such network.
        TrainingError: the loss is no number any more.
    """
    _expect_fit(config, store, team)
    if team.device.type == "cpu":
        keep_freed_memory()
    return _Run(config, store, out, team, listener).to_the_end()


class _Run:
    """A run: the network, its optimiser, and how far they are."""

    def __init__(
        self, config: Config, store: Store, out: Path, team: Team, listener: Listener
    ) -> None:
        self._config = config
        self._store = store
        self._out = out
        self._team = team
        self._listener = listener
        self._tasks = choose_tasks(store, config.tasks)
        torch.manual_seed(config.seed)
        self._network = make_model(config.model, config.architecture).to(team.device)
        self._model = team.wrap(self._network)
        if config.compile:
            self._model.compile()
        self._optimiser = torch.optim.Adam(
            self._network.parameters(), lr=config.optimiser.learning_rate
        )
        self._schedule = LambdaLR(self._optimiser, lambda step: _pace(config, step))
        self._precision: torch.dtype = getattr(torch, config.precision)
        self._step = 0
        self._best = self._mean_mask = -math.inf
        self._losses: list[float] = []  # since the last row of the log
        self._resume()
        self._reader = self._open_reader()
        self._judged = episodes_to_judge(
            self._tasks.judged, config.evaluation, config.support_size, config.seed
        )
        board = out / "tensorboard" if config.tensorboard and team.leads else None
        self._log = Log(out / "log.jsonl", self._step, board)

    def to_the_end(self) -> Outcome:
        """Take all steps that are left."""
        config = self._config
        if self._team.leads:
            self._out.mkdir(parents=True, exist_ok=True)
            save_config(config, self._out / "config.yaml")
        loader = Loader(
            EpisodeSampler(self._tasks.train, config.support_size, config.seed, config.tasks),
            self._reader,
            config.augmentation,
            config.seed,
            _workers(config, self._team),
        )
        clock = _Clock(config.batch_size)
        remaining = range(self._step, config.steps)
        with self._listener.stage("train", len(remaining), "steps") as done:
            for batch in loader.batches([self._numbers(step) for step in remaining]):
                loss = self._learn(batch)
                self._losses.append(loss)
                clock.tick(loader.waited)
                done(f"loss {loss:.3f}, dev Dice {self._best:.3f}, {clock}")
                if self._is_due(_LOGGED):
                    self._note(loss=fmean(self._losses), **clock.figures())
                    self._losses.clear()
                if self._is_due(config.evaluation.every):
                    with clock.stopped():
                        self._judge()
                if self._is_due(config.save_every):
                    self._save(self._out / "checkpoint.pt")
        return Outcome(self._best_weights, self._best, self._mean_mask, *clock.rates())

    def _learn(self, batch: Batch) -> float:
        """Take one step; the loss before it."""
        config, device = self._config, self._team.device.type
        with torch.autocast(device, self._precision, self._precision != torch.float32):
            answer = self._model(*batch.inputs)
        logits, own_loss = answer if isinstance(answer, tuple) else (answer, 0.0)
        loss = LOSSES[config.loss](logits, batch.truth) + own_loss
        self._optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(
            self._network.parameters(), config.optimiser.clip or math.inf
        )
        value = self._team.mean(loss)
        for name, number in (("loss", value), ("norm of the gradient", norm.item())):
            if not math.isfinite(number):
                self._stop(name, number)
        self._optimiser.step()
        self._schedule.step()
        self._step += 1
        return value

    def _judge(self) -> None:
        """Score the network on the dev split, and keep its weights if they are the best so far."""
        own = judge(
            self._network,
            self._reader,
            self._judged[self._team.rank :: self._team.size],
            self._precision,
        )
        judgement = Judgement(self._team.gather(own))
        self._mean_mask = judgement.mean_mask
        is_best = judgement.dice > self._best
        self._best = max(self._best, judgement.dice)
        if not self._team.leads:
            return
        self._note(dev_dice=judgement.dice, mean_mask_dice=judgement.mean_mask)
        if is_best:
            save_model(self._network, self._best_weights, self._card(judgement))
        drawn = spread(self._judged, self._config.evaluation.pictures)
        draw_predictions(
            self._network, self._reader, drawn, self._out / f"pictures/{self._step:07d}.png"
        )
        self._listener.say(
            f"step {self._step}: dev Dice {judgement.dice:.3f}, "
            f"of the mean mask {judgement.mean_mask:.3f}"
        )

    def _resume(self) -> None:
        """Go on from the checkpoint of this run, if there is one."""
        path = self._out / "checkpoint.pt"
        if not path.exists():
            return
        found = Checkpoint.load(path)
        self._expect_same(found, path)
        self._network.load_state_dict(found.model)
        self._optimiser.load_state_dict(found.optimiser)
        self._schedule.load_state_dict(found.schedule)
        restore_random_state(found.random)
        self._step, self._losses = found.step, found.losses
        self._best, self._mean_mask = found.best, found.mean_mask
        self._listener.say(f"Going on after step {self._step} of {self._config.steps}.")

    def _expect_same(self, found: Checkpoint, path: Path) -> None:
        settings = self._config.model_dump(mode="json")
        others = {
            name for name, value in found.settings.items() if settings.get(name) != value
        } - _MAY_CHANGE
        if found.store != self._store.attributes.fingerprint:
            others.add("the store")
        if others:
            raise CheckpointError(
                f"{path} is of a run with another setting of {', '.join(sorted(others))}",
                "Name another --out, or give the settings of that run.",
            )

    def _save(self, path: Path) -> None:
        if self._team.leads:
            Checkpoint(
                step=self._step,
                model=self._network.state_dict(),
                optimiser=self._optimiser.state_dict(),
                schedule=self._schedule.state_dict(),
                random=random_state(),
                losses=self._losses,
                best=self._best,
                mean_mask=self._mean_mask,
                settings=self._config.model_dump(mode="json"),
                store=self._store.attributes.fingerprint,
            ).save(path)

    def _stop(self, name: str, number: float) -> None:
        path = self._out / "stopped.pt"
        self._save(path)
        raise TrainingError(
            f"The {name} is {number} at step {self._step + 1}; the state before it is in {path}",
            "Try a lower optimiser.learning_rate, optimiser.clip=1, or precision=float32.",
        )

    def _card(self, judgement: Judgement) -> ModelCard:
        config, store = self._config, self._store.attributes
        groups = sorted({task.group for task in self._tasks.train})
        return ModelCard(
            model=config.model,
            architecture=config.architecture,
            megamedical=__version__,
            store=store.fingerprint,
            groups={group: store.groups[group] for group in groups},
            tasks=len(self._tasks.train),
            unseen=tuple(task.name for task in self._tasks.unseen),
            step=self._step,
            scores={"dev Dice": judgement.dice, "dev Dice of the mean mask": judgement.mean_mask},
            settings=config.model_dump(mode="json"),
        )

    def _open_reader(self) -> Reader:
        groups = {task.group for task in (*self._tasks.train, *self._tasks.unseen)}
        device = self._team.device
        cache, why = choose_cache(self._config.cache, bytes_of(self._store, groups), device)
        self._listener.say(f"{self._tasks}.")
        self._listener.say(f"Slices are kept {_PLACES[cache]}: {why}. Training on {device}.")
        return Reader(open_arrays(self._store, groups, cache), cache, device)

    def _numbers(self, step: int) -> Sequence[int]:
        """The numbers of the episodes of a step that are this process's."""
        first = step * self._config.batch_size
        return self._team.share(range(first, first + self._config.batch_size))

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self._config.steps

    def _note(self, **values: float) -> None:
        if self._team.leads:
            self._log.write(self._step, **values)

    @property
    def _best_weights(self) -> Path:
        return self._out / "best.safetensors"


class _Clock:
    """Episodes a second, and the share of time spent waiting for them; evaluations left out."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._begun = time.perf_counter()
        self._steps = 0
        self._waited = 0.0

    def tick(self, waited: float) -> None:
        """A step is done; so many seconds were waited for slices in all."""
        self._steps += 1
        self._waited = waited

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done inside takes no time."""
        paused = time.perf_counter()
        yield
        self._begun += time.perf_counter() - paused

    def rates(self) -> tuple[float, float]:
        """Episodes a second, and the share of the time that was waited."""
        spent = time.perf_counter() - self._begun
        return self._steps * self._batch_size / spent, self._waited / spent

    def figures(self) -> dict[str, float]:
        """The rates, by name."""
        examples, waited = self.rates()
        return {"examples_per_second": examples, "waiting": waited}

    def __str__(self) -> str:
        return f"{self.rates()[0]:.1f} episodes/s"


_PLACES = {"none": "on the disk", "host": "in memory", "device": "on the GPU"}


def _expect_fit(config: Config, store: Store, team: Team) -> None:
    if store.resolution != config.resolution:
        raise TaskError(
            f"{store.location} has slices of {store.resolution} pixels a side, these settings are "
            f"for {config.resolution}",
            f"Set resolution={store.resolution}, or build a store with --resolution "
            f"{config.resolution}.",
        )
    if config.batch_size % team.size:
        raise TrainingError(
            f"{team.size} processes cannot share batches of {config.batch_size}",
            f"Set batch_size to a multiple of {team.size}.",
        )


def _workers(config: Config, team: Team) -> int:
    """Processes that read for this one."""
    if config.workers is not None:
        return config.workers
    return 0 if team.device.type == "cpu" else max(1, (os.cpu_count() or 1) // team.size - 1)


def _pace(config: Config, step: int) -> float:
    """The share of the learning rate at a step."""
    optimiser = config.optimiser
    risen = min(1.0, (step + 1) / optimiser.warm_up) if optimiser.warm_up else 1.0
    if optimiser.decay == "none":
        return risen
    return risen * (1 + math.cos(math.pi * min(1.0, step / config.steps))) / 2
