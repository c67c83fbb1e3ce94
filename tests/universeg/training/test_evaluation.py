"""What a training is judged by: the same episodes every time, and Dice, nested as the data are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from tiny_store import SIZE, Discs, write_store
from torch import nn

from megamedical.store.sampling.episodes import Episode
from megamedical.store.sampling.tasks import TaskChoice, choose_tasks
from universeg.training.config import Evaluation
from universeg.training.data.cache import open_arrays
from universeg.training.data.loading import Batch, Reader
from universeg.training.evaluation import Judgement, Score, episodes_to_judge, judge, predict

CPU = torch.device("cpu")


class Bright(nn.Module):
    """Finds what is bright, whatever the support is; remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def forward(self, query, images, labels):  # noqa: ARG002
        self.asked.append((self.training, torch.is_grad_enabled(), tuple(labels.shape)))
        return 40 * (query - 0.5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(
        tmp_path_factory.mktemp("evaluation") / "store",
        Discs("many", labels=[f"organ {number}" for number in range(8)]),
        Discs("one", patients=(3, 5, 2), scans=1),
    )


@pytest.fixture(scope="module")
def tasks(store):
    return choose_tasks(store, TaskChoice()).judged


def judged(tasks, seed=0, size=3, most=100, **settings):
    return episodes_to_judge(tasks, Evaluation(tasks=most, **settings), size, seed)


def described(episodes):
    return [(e.task.name, e.subject, e.images.tolist(), e.masks.tolist()) for e in episodes]


class TestEpisodesToJudge:
    def test_are_the_same_every_time(self, tasks):
        assert described(judged(tasks)) == described(judged(tasks))
        assert described(judged(tasks)) != described(judged(tasks, seed=1))

    def test_are_the_same_whichever_other_tasks_there_are(self, tasks):
        assert set(map(str, described(judged(tasks[3:])))) < set(map(str, described(judged(tasks))))

    def test_have_queries_of_the_dev_split_and_support_of_the_train_split(self, store, tasks):
        rows = {name: rows.set_index("image") for name, rows in store.examples.groupby("task")}
        for episode in judged(tasks, queries=100):
            splits = rows[episode.task.name].loc[episode.images, "split"]
            assert list(splits) == ["dev", "train", "train", "train"]
        assert len(judged(tasks, queries=100)) == ((store.examples["split"] == "dev").sum())

    @pytest.mark.parametrize(("most", "queries"), [(1, 1), (4, 2), (8, 3), (9, 5), (100, 100)])
    def test_are_so_many_and_each_once(self, tasks, most, queries):
        episodes = judged(tasks, most=most, queries=queries)
        each = Counter(episode.task.name for episode in episodes)
        assert len(each) == min(most, len(tasks))
        by_name = {task.name: task for task in tasks}
        assert all(count == min(queries, len(by_name[n].dev)) for n, count in each.items())
        assert len(set(map(str, described(episodes)))) == len(episodes)

    def test_are_of_tasks_spread_over_all(self, tasks):
        named = [episode.task.name for episode in judged(tasks, most=3, queries=1)]
        assert named == [tasks[0].name, tasks[4].name, tasks[8].name]


def test_dice_is_the_mean_of_queries_then_tasks_then_datasets():
    scores = [
        Score("a/1", "a", 1.0, 0.0),
        Score("a/1", "a", 0.0, 0.2),
        Score("a/2", "a", 0.9, 0.3),
        Score("b/1", "b", 0.2, 0.6),
        Score("b/1", "b", 0.3, 0.6),
        Score("b/1", "b", 0.4, 0.6),
    ]
    judgement = Judgement(scores)
    assert judgement.dice == pytest.approx(((0.5 + 0.9) / 2 + 0.3) / 2)
    assert judgement.mean_mask == pytest.approx(((0.1 + 0.3) / 2 + 0.6) / 2)


def test_the_mean_mask_is_cut_at_a_half_and_compared_with_the_truth(tasks):
    """Three masks of four pixels in a row; the mean is above a half in the first and the third."""
    masks = [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    stack = torch.tensor(masks).float()[None, :, None]
    images = torch.tensor([[1.0, 0, 0, 0]]).expand(4, 1, 4)[None]

    class OfThese:
        def read(self, episodes):  # noqa: ARG002
            return Batch(images, stack)

    episode = Episode(tasks[0], "somebody", np.zeros(4, int), np.zeros(4, int))
    (score,) = judge(Bright(), OfThese(), [episode], torch.float32)
    assert score.mean_mask == pytest.approx(2 * 1 / (2 + 2))
    assert score.dice == pytest.approx(2 * 1 / (1 + 2))
    assert (score.task, score.dataset) == (tasks[0].name, "many")


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_network_is_judged_as_it_is_used(store, tasks, precision):
    reader = Reader(open_arrays(store, store.attributes.groups), CPU)
    network, episodes = Bright(), judged(tasks)
    network.train()
    scores = judge(network, reader, episodes, precision)
    assert [score.task for score in scores] == [episode.task.name for episode in episodes]
    assert network.training
    assert set(network.asked) == {(False, False, (1, 3, 1, SIZE, SIZE))}
    (one,) = [score for score in scores if score.dataset == "one"][:1]
    assert one.dice == 1  # what is bright is what is meant
    assert 0 <= one.mean_mask < 1


def test_judging_waits_for_the_device_once(store, tasks, monkeypatch):
    waits = []
    for name in ("item", "tolist"):
        wait = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda own, wait=wait, name=name: waits.append(name) or wait(own)
        )
    reader = Reader(open_arrays(store, store.attributes.groups), CPU)
    assert len(judge(Bright(), reader, judged(tasks)[:3], torch.float32)) == 3
    assert waits == ["tolist"]
    assert judge(Bright(), reader, [], torch.float32) == []


def test_a_prediction_leaves_no_trace(store, tasks):
    reader = Reader(open_arrays(store, store.attributes.groups), CPU)
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout())
    network.forward = lambda query, *_: nn.Sequential.forward(network, query)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    predict(network, reader.read(judged(tasks)[:2]))
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert network.training
