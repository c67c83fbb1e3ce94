"""How good a network is at tasks, while it is trained: Dice on their dev split."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor, nn

from megamedical.spread import spread
from megamedical.store.sampling.episodes import Episode, draw_episode
from megamedical.store.sampling.tasks import Task
from universeg.training.config import Evaluation
from universeg.training.data.loading import Batch, Reader
from universeg.training.losses import dice_score


@dataclass(frozen=True)
class Score:
    """The Dice of one query: of what was predicted, and of the mean mask of its support."""

    task: str
    dataset: str
    dice: float
    mean_mask: float


@dataclass(frozen=True)
class Judgement:
    """The scores of all queries."""

    scores: Sequence[Score]

    @property
    def dice(self) -> float:
        """The mean over queries in a task, tasks in a dataset, and datasets."""
        return _nested_mean([(score.dataset, score.task, score.dice) for score in self.scores])

    @property
    def mean_mask(self) -> float:
        """Likewise, of the mean mask of each support, cut at 0.5: what anything must surpass."""
        return _nested_mean([(score.dataset, score.task, score.mean_mask) for score in self.scores])


def episodes_to_judge(
    tasks: Sequence[Task], settings: Evaluation, support_size: int, seed: int
) -> list[Episode]:
    """The same queries of the dev split, each with the same support, at every evaluation."""
    return [
        episode
        for task in spread(tasks, settings.tasks)
        for episode in _of_task(task, settings.queries, support_size, seed)
    ]


@torch.inference_mode()
def predict(model: nn.Module, batch: Batch) -> Tensor:
    """The probability of each query's mask: (B, 1, H, W)."""
    was_training = model.training
    model.eval()
    probabilities: Tensor = model(*batch.inputs).float().sigmoid()
    model.train(was_training)
    return probabilities


def judge(
    model: nn.Module, reader: Reader, episodes: Sequence[Episode], precision: torch.dtype
) -> list[Score]:
    """Score episodes, one at a time: supports are large."""
    dice = []
    for episode in episodes:
        batch = reader.read([episode])
        with torch.autocast(batch.images.device.type, precision, precision != torch.float32):
            found = predict(model, batch)
        mean_mask = batch.masks[:, 1:].mean(1, keepdim=True)
        dice.append(torch.cat([dice_score(masks, batch.truth) for masks in (found, mean_mask)]))
    return [
        Score(episode.task.name, episode.task.levels["dataset"], *both)
        for episode, both in zip(episodes, torch.stack(dice).tolist() if dice else [], strict=True)
    ]


def _of_task(task: Task, queries: int, support_size: int, seed: int) -> Iterator[Episode]:
    for query in spread(range(len(task.dev)), queries):
        name = f"{task.name}/{task.dev.subjects[query]}"
        rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
        yield draw_episode(task, task.dev, query, support_size, rng)


def _nested_mean(values: Sequence[tuple[str, str, float]]) -> float:
    datasets: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for dataset, task, value in values:
        datasets[dataset][task].append(value)
    return fmean(fmean(fmean(queries) for queries in tasks.values()) for tasks in datasets.values())
