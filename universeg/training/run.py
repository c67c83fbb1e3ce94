"""The training of a network from a store, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from megamedical import __version__
from megamedical.errors import MegaMedicalError
from megamedical.files.checksums import sha256_of
from megamedical.reporting.progress import Listener
from megamedical.spread import spread
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import TaskError, choose_tasks
from megamedical.store.store import Store
from universeg.training.checkpoint import Checkpoint
from universeg.training.clock import Clock, about
from universeg.training.config import Config, save_config
from universeg.training.curve import draw_curve
from universeg.training.data.loading import Batch, Loader, ended_workers_explained
from universeg.training.data.opening import Reading, open_reading
from universeg.training.data.steps import step_of
from universeg.training.evaluation import Judgement, episodes_to_judge, judge
from universeg.training.folder import Folder
from universeg.training.learner import Diverged, Learner, progress
from universeg.training.log import Log, Unwritten
from universeg.training.prediction_sheet import draw_predictions
from universeg.training.team import Team
from universeg.training.trackers import trackers_of
from universeg.weights.card import ModelCard
from universeg.weights.models import save_model, seen_by
from universeg.weights.releases import file_of

_LOGGED = 50  # steps between two rows of the log
_NOTHING = 0.01  # Dice of a network that has collapsed


class TrainingError(MegaMedicalError):
    """A run came to nothing, and had better stop."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        weights: the best ones, on the leader's disk.
        judged: the tasks that they were judged by, in words.
        dice: theirs, on the dev split of these.
        mean_mask: the Dice of the mean mask of each support, there.
        examples: episodes a second, evaluations left out.
        shares: of the phases of a step, each its share of that time.
    """

    weights: Path
    judged: str
    dice: float
    mean_mask: float
    examples: float
    shares: Mapping[str, float]


def train(config: Config, store: Store, out: Path, team: Team, listener: Listener) -> Outcome:
    """Train a network, or go on with a run that was broken off.

    In `out` lie then `config.yaml`, `log.jsonl`, `curve.png`, `checkpoint.pt`, `pictures/`, and
    `best.safetensors`: the weights of the best Dice on the dev split, with their model card. All
    are written, and read again, by the leader of the team alone.

    Args:
        config: all settings.
        store: what is learnt from.
        out: the folder of the run.
        team: the processes that train together.
        listener: hears how it goes.

    Raises:
        TaskError: the store has no tasks to train on, or slices of another size.
        CheckpointError: another run lies in `out`.
        InUseError: a run goes on there.
        CacheError: there is no room where slices are to be kept.
        LoadingError: a process that reads slices has ended.
        ModelError: there is no such network.
        TrainingError: the loss is no number any more.
    """
    _expect_fit(config, store, team)
    return _Run(config, store, Folder(out), team, listener).to_the_end()


class _Run:
    """A run: the network, its optimiser, and how far they are."""

    def __init__(
        self, config: Config, store: Store, folder: Folder, team: Team, listener: Listener
    ) -> None:
        self._config = config
        self._store = store
        self._folder = folder
        self._team = team
        self._listener = listener
        self._tasks = choose_tasks(store, config.tasks)
        self._learner = Learner(config, team)
        self._seen_before = seen_by(config.begin_with) if config.begin_with else {}
        self._begun_with = sha256_of(file_of(config.begin_with)) if config.begin_with else ""
        self._step = 0
        self._seconds = 0.0  # of training
        self._best = self._mean_mask = -math.inf
        self._began_at = 0, 0.0  # steps and seconds that were there when this part of it began
        self._time_left = ""
        self._losses: list[float] = []  # since the last row of the log
        self._judged = episodes_to_judge(
            self._tasks.judged, config.evaluation, config.support_size, config.seed
        )

    def to_the_end(self) -> Outcome:
        """Take all steps that are left, as the only run in its folder."""
        with ExitStack() as held:
            self._team.from_leader(lambda: held.enter_context(self._folder.held()))
            self._resume()
            groups = {task.group for task in (*self._tasks.train, *self._tasks.unseen)}
            self._listener.say(f"{self._tasks}.")
            reading = open_reading(
                self._config, self._store, groups, self._team, self._listener.say
            )
            self._reader = reading.reader
            self._log = held.enter_context(closing(self._begin_log()))
            with ended_workers_explained():
                clock = self._take_steps(reading)
        return Outcome(
            self._folder.best,
            self._judged_by,
            self._best,
            self._mean_mask,
            clock.rate,
            clock.shares,
        )

    def _take_steps(self, reading: Reading) -> Clock:
        """Learn until the steps or the minutes are over; the clock that was kept."""
        config, team = self._config, self._team
        sampler = EpisodeSampler(self._tasks.train, config.support_size, config.seed, config.tasks)
        loader = Loader(
            sampler,
            reading.reader,
            config.augmentation,
            config.seed,
            reading.workers,
            reading.ahead,
        )
        remaining = range(self._step, config.steps if not self._is_over else self._step)
        steps = (step_of(config, number, team) for number in remaining)
        clock = Clock(team.device, self._seconds)
        self._began_at = self._step, self._seconds
        stage = self._listener.stage("train", len(remaining), "steps")
        with closing(loader.batches(steps, clock)) as batches, stage as done:
            for batch in batches:
                loss = self._learn(batch, clock.spent if config.minutes else 0.0)
                self._losses.append(loss)
                clock.mark("network")
                clock.tick(len(batch.images) * team.size)
                self._time_left = self._left(clock)
                times = f"{clock}{self._time_taken}{self._time_left}"
                done(f"loss {loss:.3f}{self._best_so_far}, {times}")
                if self._is_due(_LOGGED):
                    self._log.write(self._step, loss=fmean(self._losses), **clock.figures())
                    self._losses.clear()
                if self._is_due(config.evaluation.every):
                    with clock.stopped():
                        self._judge()
                if self._is_due(config.save_every):
                    self._save(self._folder.checkpoint)
                clock.mark("writing")
                if self._is_over:
                    break
        return clock

    def _learn(self, batch: Batch, seconds: float) -> float:
        """Take one step, after so many seconds; the loss before it."""
        try:
            loss = self._learner.learn(batch, self._step, seconds)
        except Diverged as error:
            self._save(self._folder.stopped)
            raise TrainingError(
                f"{error} at step {self._step + 1}; the state before it is in "
                f"{self._folder.stopped}",
                "Try a lower optimiser.learning_rate, optimiser.clip=1, or precision=float32.",
            ) from error
        self._step += 1
        self._seconds = self._learner.seconds
        return loss

    def _judge(self) -> None:
        """Score the network on the dev split, and keep its weights if they are the best so far."""
        own = judge(
            self._learner.best_network,
            self._reader,
            self._judged[self._team.rank :: self._team.size],
            self._learner.precision,
        )
        judgement = Judgement(self._team.gather(own))
        if judgement.dice < _NOTHING < self._best:
            self._listener.say(
                "The network finds nothing any more, and seldom recovers: try a lower "
                "optimiser.learning_rate, or loss=dice-and-cross-entropy."
            )
        self._mean_mask = judgement.mean_mask
        is_best = judgement.dice > self._best
        self._best = max(self._best, judgement.dice)
        if not self._team.leads:
            return
        self._log.write(self._step, dev_dice=judgement.dice, mean_mask_dice=judgement.mean_mask)
        draw_curve(self._log.rows, self._folder.curve)
        if is_best:
            save_model(self._learner.best_network, self._folder.best, self._card(judgement))
        drawn = spread(self._judged, self._config.evaluation.pictures)
        draw_predictions(
            self._learner.best_network, self._reader, drawn, self._folder.picture(self._step)
        )
        self._listener.say(
            f"step {self._step}: dev Dice {judgement.dice:.3f}, "
            f"of the mean mask {judgement.mean_mask:.3f}{self._time_left}"
        )

    def _resume(self) -> None:
        """Go on from the checkpoint of this run, if the leader has one."""
        found = self._team.from_leader(self._checkpoint)
        if found is None:
            return
        self._learner.restore(found.learner)
        self._step, self._losses = found.step, found.losses
        self._seconds = found.seconds
        self._best, self._mean_mask = found.best, found.mean_mask
        steps = self._config.steps
        self._listener.say(f"Going on after step {self._step} of {steps}.")
        if self._config.optimiser.decay != "none" and found.settings["steps"] != steps:
            self._listener.say(f"The learning rate follows the new number of steps, {steps}.")

    def _checkpoint(self) -> Checkpoint | None:
        path = self._folder.checkpoint
        if not path.exists():
            return None
        found = Checkpoint.load(path)
        settings = self._config.model_dump(mode="json")
        found.expect_same_run(settings, self._store.attributes.fingerprint, path)
        return found

    def _save(self, path: Path) -> None:
        if self._team.leads:
            Checkpoint(
                step=self._step,
                seconds=self._seconds,
                learner=self._learner.state(),
                losses=self._losses,
                best=self._best,
                mean_mask=self._mean_mask,
                settings=self._config.model_dump(mode="json"),
                store=self._store.attributes.fingerprint,
            ).save(path)

    def _card(self, judgement: Judgement) -> ModelCard:
        config, store = self._config, self._store.attributes
        groups = sorted({task.group for task in self._tasks.train})
        return ModelCard(
            model=config.model,
            architecture=config.architecture,
            megamedical=__version__,
            store=store.fingerprint,
            groups={**self._seen_before, **{group: store.groups[group] for group in groups}},
            tasks=len(self._tasks.train),
            unseen=tuple(task.name for task in self._tasks.unseen),
            step=self._step,
            scores={"dev Dice": judgement.dice, "dev Dice of the mean mask": judgement.mean_mask},
            # A card travels: it says which weights these were, not where they lay.
            settings=config.model_dump(mode="json") | {"begin_with": self._begun_with},
        )

    def _begin_log(self) -> Log:
        """Make the folder ready, and open the log to go on with it."""
        if not self._team.leads:
            return Unwritten()
        self._folder.prepare()
        save_config(self._config, self._folder.config)
        trackers = trackers_of(self._config, self._folder, self._step)
        return Log(self._folder.log, self._step, trackers)

    def _is_due(self, every: int) -> bool:
        return self._step % every == 0 or self._is_over

    @property
    def _is_over(self) -> bool:
        return progress(self._config, self._step, self._seconds) >= 1

    def _left(self, clock: Clock) -> str:
        """How long learning will still take, evaluations left out; nothing at the end."""
        share = progress(self._config, self._step, self._seconds)
        begun = progress(self._config, self._began_at[0], self._began_at[1])
        if share >= 1 or share <= begun:
            return ""
        spent = (self._seconds if self._config.minutes else clock.spent) - self._began_at[1]
        return f", {about(spent * (1 - share) / (share - begun))} left"

    @property
    def _time_taken(self) -> str:
        minutes = self._config.minutes
        return f", {self._seconds / 60:.1f} of {minutes:g} minutes" if minutes else ""

    @property
    def _best_so_far(self) -> str:
        return f", dev Dice {self._best:.3f}" if math.isfinite(self._best) else ""

    @property
    def _judged_by(self) -> str:
        count = len({episode.task for episode in self._judged})
        return f"{count} {'unseen tasks' if self._tasks.unseen else 'tasks that it was trained on'}"


def _expect_fit(config: Config, store: Store, team: Team) -> None:
    if store.resolution != config.resolution:
        raise TaskError(
            f"{store.location} has slices of {store.resolution} pixels a side, these settings are "
            f"for {config.resolution}",
            f"Set resolution={store.resolution}, or build a store with --resolution "
            f"{config.resolution}.",
        )
    if config.pairs is None and config.batch_size % team.size:
        raise TrainingError(
            f"{team.size} processes cannot share batches of {config.batch_size}",
            f"Set batch_size to a multiple of {team.size}.",
        )
