"""Several stores, trained on as one."""

from __future__ import annotations

import pytest
import torch
from tiny_store import Discs, write_store

from megamedical.errors import StoreError
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import TaskChoice, choose_tasks
from universeg.training.data.cache import open_arrays
from universeg.training.data.loading import Reader
from universeg.training.data.stores import joined


@pytest.fixture
def stores(tmp_path):
    return [write_store(tmp_path / name, Discs(name)) for name in ("mine", "yours")]


def test_have_the_tasks_and_slices_of_all(stores):
    both = joined(stores)
    tasks = choose_tasks(both, TaskChoice()).train
    assert [task.levels["dataset"] for task in tasks] == ["mine", "yours"]
    reader = Reader(open_arrays(both, both.attributes.groups), torch.device("cpu"))
    for task, store in zip(tasks, stores, strict=True):
        (alone,) = choose_tasks(store, TaskChoice()).train
        episodes = [EpisodeSampler([each], 2, 0)[3] for each in (task, alone)]
        one = Reader(open_arrays(store, store.attributes.groups), torch.device("cpu"))
        assert torch.equal(reader.read(episodes[:1]).images, one.read(episodes[1:]).images)
    assert both.attributes.groups == {
        name: mark for store in stores for name, mark in store.attributes.groups.items()
    }


def test_one_alone_stays_what_it_is(stores):
    assert joined(stores[:1]) is stores[0]


def test_have_one_fingerprint_in_any_order(stores):
    marks = [joined(order).attributes.fingerprint for order in (stores, stores[::-1])]
    assert marks[0] == marks[1]
    assert marks[0] not in {store.attributes.fingerprint for store in stores}


def test_messages_name_both(stores):
    with pytest.raises(Exception, match=r"mine and .*yours") as error:
        choose_tasks(joined(stores), TaskChoice(include=("nothing/*",)))
    assert "nearest" in str(error.value.remedy) or "Store.tasks" in str(error.value.remedy)


def test_are_refused_where_they_do_not_fit(tmp_path, stores):
    other = write_store(tmp_path / "large", Discs("large"), size=32)
    with pytest.raises(StoreError, match=r"16 pixels a side, .* of 32"):
        joined([*stores, other])
    again = write_store(tmp_path / "again", Discs("mine"))
    with pytest.raises(StoreError, match=r"mine/discs is both in .*mine and in .*again"):
        joined([*stores, again])
