"""Batches: what the store holds, the same whoever reads them, and whenever reading began."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_store import Discs, write_store

from megamedical.store.array_reader import Slices
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import TaskChoice, choose_tasks
from universeg.training.augmentation import Augmentation, augment
from universeg.training.config import Config
from universeg.training.data import loading
from universeg.training.data.cache import (
    CacheError,
    bytes_of,
    choose_cache,
    expect_room_to_pass,
    open_arrays,
)
from universeg.training.data.loading import Loader, Reader
from universeg.training.data.opening import affordable_workers
from universeg.training.data.steps import Step
from universeg.training.team import Team

CPU = torch.device("cpu")
SEED = 7
SUPPORT = 2


def step(number, *episodes: int, drawn=None):
    return Step(number, SUPPORT, 0, episodes, drawn or {})


STEPS = [step(number, 2 * number, 2 * number + 1) for number in range(6)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads only hold each other up over slices so small."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(
        tmp_path_factory.mktemp("loading") / "store",
        Discs("mri", labels=("kidney", "liver")),
        Discs("ct", planes=("axial", "coronal")),
    )


@pytest.fixture(scope="module")
def sampler(store):
    return EpisodeSampler(choose_tasks(store, TaskChoice()).train, SUPPORT, SEED)


def reader(store, place="disk"):
    return Reader(open_arrays(store, store.attributes.groups, place, CPU), CPU)


def loader(store, sampler, workers=0, place="disk", augmentation=None):
    augmentation = augmentation or Augmentation()
    return Loader(sampler, reader(store, place), augmentation, SEED, workers)


@pytest.fixture(scope="module")
def expected(store, sampler):
    """The batches of all steps, read in this process."""
    return list(loader(store, sampler).batches(STEPS))


@pytest.fixture
def started_by(request):
    """Processes are started by another method than is usual here."""
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(usual, force=True)


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, wanted in zip(batches, expected, strict=True):
        assert torch.equal(batch.images, wanted.images)
        assert torch.equal(batch.masks, wanted.masks)


def test_a_batch_holds_what_the_store_has(store, sampler):
    episodes = [sampler[number] for number in range(4)]
    batch = reader(store).read(episodes)
    query, images, masks = batch.inputs
    for own, episode in enumerate(episodes):
        rows = store.examples[store.examples["task"] == episode.task.name].set_index("image")
        subjects = rows.loc[episode.images, "subject"]
        for place, subject in enumerate(subjects):
            image, mask = map(torch.from_numpy, store.read(episode.task.name, subject))
            assert torch.equal(batch.images[own, place], image)
            assert torch.equal(batch.masks[own, place], mask)
        assert torch.equal(query[own, 0], batch.images[own, 0])
        assert torch.equal(batch.truth[own, 0], batch.masks[own, 0])
    assert torch.equal(images[:, :, 0], batch.images[:, 1:])
    assert torch.equal(masks[:, :, 0], batch.masks[:, 1:])
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
    assert batch.images.dtype == batch.masks.dtype == torch.float32


@pytest.mark.parametrize("place", ["memory", "shared memory", "device"])
def test_where_slices_are_kept_changes_nothing(store, sampler, expected, place):
    assert_same(list(loader(store, sampler, place=place).batches(STEPS)), expected)


@pytest.mark.parametrize(
    ("started_by", "place"),
    [
        ("fork", "disk"),
        ("fork", "shared memory"),
        pytest.param("spawn", "disk", marks=pytest.mark.long),
    ],
    indirect=["started_by"],
)
@pytest.mark.usefixtures("started_by")
def test_workers_change_nothing(store, sampler, expected, place):
    ahead = loader(store, sampler, workers=2, place=place)
    assert_same(list(ahead.batches(STEPS)), expected)


def test_a_thread_that_reads_ahead_changes_nothing(store, sampler, expected):
    ahead = Loader(sampler, reader(store), Augmentation(), SEED, workers=0, ahead=True)
    assert_same(list(ahead.batches(STEPS)), expected)
    some = ahead.batches(step(number, number) for number in range(10**6))
    assert len(next(some).images) == 1
    some.close()  # without having read the rest


@pytest.mark.parametrize("workers", [0, 1])
def test_a_later_step_has_the_batch_that_would_have_come(store, sampler, expected, workers):
    later = loader(store, sampler, workers).batches(STEPS[4:])
    assert_same(list(later), expected[4:])


def test_reading_draws_nothing_from_pytorch(store, sampler):
    before = torch.get_rng_state()
    list(loader(store, sampler, workers=1).batches(STEPS[:2]))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_episode_is_augmented_by_its_own_number(store, sampler, expected):
    plain = list(loader(store, sampler, augmentation=Augmentation.none()).batches(STEPS))
    one_by_one = list(loader(store, sampler).batches([step(0, n) for n in range(12)]))
    episodes = [pair for batch in expected for pair in zip(batch.images, batch.masks, strict=True)]
    for batch, (images, masks) in zip(one_by_one, episodes, strict=True):
        assert torch.equal(batch.images[0], images)
        assert torch.equal(batch.masks[0], masks)
    assert_same(plain, [reader(store).read([sampler[n] for n in each.stored]) for each in STEPS])
    assert not torch.equal(expected[0].images, plain[0].images)
    again = augment(plain[1].images[0], plain[1].masks[0], Augmentation(), (SEED, 2, 1))
    assert torch.equal(again[0], expected[1].images[0])


@pytest.mark.parametrize(("device", "pins"), [("cpu", False), ("cuda", True)])
def test_workers_pin_memory_for_a_gpu(store, sampler, monkeypatch, device, pins):
    asked = {}
    monkeypatch.setattr(loading, "DataLoader", lambda *_, **settings: asked.update(settings) or [])
    arrays = open_arrays(store, store.attributes.groups)
    far = Reader(arrays, torch.device(device))
    list(Loader(sampler, far, Augmentation.none(), SEED, workers=1)._by_workers(STEPS))
    assert asked["pin_memory"] == pins


def kept(asked, needed, **readers):
    return choose_cache(asked, needed, CPU, **readers)


class TestTheCache:
    @pytest.fixture(autouse=True)
    def _room(self, monkeypatch):
        """1000 bytes of memory are free, 600 of them to be shared."""
        monkeypatch.setattr("psutil.virtual_memory", type("Memory", (), {"available": 1000}))
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 600}))
        monkeypatch.setattr("universeg.training.data.cache._SHARED", Path("/"))

    def test_is_in_memory_where_there_is_room_for_twice_as_much(self):
        place, why = kept("auto", 499)
        assert place == "memory"
        assert "are free" in why
        place, why = kept("auto", 500)
        assert place == "disk"
        assert "too much" in why

    def test_is_shared_with_workers_where_there_is_room_for_that(self):
        place, why = kept("auto", 299, workers=1)
        assert place == "shared memory"
        assert "free in /" in why
        place, why = kept("auto", 300, workers=1)
        assert place == "disk"
        assert "too much" in why
        assert "free in /" in why
        assert kept("auto", 300)[0] == "memory"

    def test_has_room_for_every_process_on_the_machine(self):
        place, why = kept("auto", 249, processes=2)
        assert place == "memory"
        assert "in 2 processes" in why
        assert kept("auto", 250, processes=2)[0] == "disk"
        assert kept("auto", 149, workers=1, processes=2)[0] == "shared memory"
        assert kept("auto", 150, workers=1, processes=2)[0] == "disk"

    @pytest.mark.parametrize(
        ("asked", "place"), [("none", "disk"), ("host", "memory"), ("device", "device")]
    )
    def test_is_what_is_asked_for(self, asked, place):
        assert kept(asked, 10**12) == (place, "as asked")

    def test_is_refused_where_workers_would_be_killed_for_it(self):
        assert kept("host", 599, workers=1) == ("shared memory", "as asked")
        for refused in ({"workers": 1}, {"workers": 1, "processes": 2}):
            with pytest.raises(CacheError, match="Workers cannot share") as error:
                kept("host", 600 // refused.get("processes", 1), **refused)
            assert "workers=0" in error.value.remedy

    def test_has_room_for_what_workers_pass_on(self):
        expect_room_to_pass(299, 2)
        with pytest.raises(CacheError, match=r"pass 2 batches of 0 MB on: .* free in /") as error:
            expect_room_to_pass(300, 2)
        assert "--shm-size" in error.value.remedy

    def test_leaves_workers_out_where_they_cannot_pass_on_what_nobody_asked_for(self):
        said = []
        alone = Team(0, 1, CPU)
        config = Config(resolution=16, support_size=1, batch_size=1)
        assert affordable_workers(config, 2, alone, said.append) == 0
        assert "Workers cannot pass" in said[0]
        with pytest.raises(CacheError):
            affordable_workers(config.model_copy(update={"workers": 2}), 2, alone, said.append)

    def test_knows_what_the_slices_take(self, store):
        taken = sum(
            array[:].nbytes for group in store.attributes.groups for array in store.arrays(group)
        )
        assert bytes_of(store, store.attributes.groups) == taken

    @pytest.mark.parametrize(
        ("place", "is_shared"), [("memory", False), ("shared memory", True), ("device", False)]
    )
    def test_shares_memory_with_workers_only(self, store, place, is_shared):
        for sources in open_arrays(store, store.attributes.groups, place, CPU).values():
            assert [source.slices.is_shared() for source in sources] == [is_shared] * 2

    def test_never_holds_in_memory_what_it_takes_to_a_device(self, store, monkeypatch):
        """The device `meta` has no memory: only what is allocated elsewhere is seen."""
        allocated = []
        empty = torch.empty
        monkeypatch.setattr(
            torch, "empty", lambda *a, **kw: allocated.append(kw["device"]) or empty(*a, **kw)
        )
        read = Slices.read
        most = []
        monkeypatch.setattr(
            Slices, "read", lambda self, part: most.append(len(part)) or read(self, part)
        )
        monkeypatch.setattr("universeg.training.data.cache._AT_ONCE", 3)
        meta = torch.device("meta")
        open_arrays(store, store.attributes.groups, "device", meta)
        assert set(allocated) == {meta}
        assert max(most) == 3

    def test_holds_arrays_longer_than_what_is_read_at_once(self, tmp_path):
        large = write_store(tmp_path / "store", Discs("large", patients=(1100, 1, 0), scans=1))
        images, masks = open_arrays(large, ["large/discs"], "memory")["large/discs"]
        stored = large.arrays("large/discs")
        everything = np.arange(1101)
        assert np.array_equal(images.read(everything), stored[0][:])
        assert np.array_equal(masks.read(everything[::-1].copy()), stored[1][:][::-1])
