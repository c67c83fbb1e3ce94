"""A store in a training loop of one's own: what items are, by whomever they are read."""

from __future__ import annotations

import gc
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT
from tiny_store import SIZE, Discs, write_store
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from megamedical import open_store
from megamedical.errors import StoreError
from megamedical.store.sampling import slots
from megamedical.store.sampling.batches import Batch, Episodes
from megamedical.store.sampling.datasets import EpisodeDataset
from megamedical.store.sampling.tasks import TaskError
from universeg import Augmentation


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(
        tmp_path_factory.mktemp("sampling") / "store",
        Discs("one", labels=("disc", "ring")),
        Discs("two", role="heldout", patients=(3, 1, 2)),
        Discs("lone", patients=(1, 0, 1), scans=1),
    )


def is_read(store, image, mask, about) -> bool:
    known = store.read(about["task"], about["subject"])
    return all(
        torch.allclose(part[0], torch.from_numpy(whole), atol=1e-6)
        for part, whole in zip((image, mask), known, strict=True)
    )


class TestSlices:
    def test_an_item_is_what_the_store_reads(self, store):
        slices = store.dataset()
        assert isinstance(slices, Dataset)
        assert len(slices) == len(store.examples)
        for number in (0, 7, -1):
            image, mask, about = slices[number]
            assert image.shape == mask.shape == (1, SIZE, SIZE)
            assert image.dtype == mask.dtype == torch.float32
            assert is_read(store, image, mask, about)

    @given(st.lists(st.integers(0, 41), min_size=1, max_size=9))
    @settings(max_examples=25, deadline=None)
    def test_a_batch_has_its_items_in_their_order(self, store, numbers):
        slices = store.dataset()
        images, masks, about = batch = slices.__getitems__(numbers)
        assert len(batch) == len(numbers)
        for place, number in enumerate(numbers):
            assert torch.equal(images[place], slices[number].image)
            assert torch.equal(masks[place], slices[number].mask)
            assert about["subject"][place] == slices[number].about["subject"]

    def test_patterns_splits_and_roles_choose(self, store):
        assert set(store.dataset("one/*", split="test").rows["split"]) == {"test"}
        assert len(store.dataset("two")) == len(store.dataset(role="heldout")) == 12
        assert set(store.dataset("*/disc").rows["task"].str[-4:]) == {"disc"}

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"tasks": ["won/*"]}, r"won/\*.*one/\*"),
            ({"role": "extra"}, "extra"),
            ({"split": "validation"}, "train, dev, test"),
            ({"tasks": ["lone"], "split": "dev"}, "dev split"),
        ],
    )
    def test_what_is_not_there_is_said(self, store, asked, said):
        with pytest.raises(TaskError) as error:
            store.dataset(*asked.pop("tasks", ()), **asked)
        assert re.search(said, str(error.value).replace("\n", " "))

    def test_a_transform_is_done_to_each(self, store):
        flipped = store.dataset("one", transform=lambda image, mask: (image.flip(-1), mask))
        plain = store.dataset("one")
        assert torch.equal(flipped[3].image, plain[3].image.flip(-1))
        assert torch.equal(flipped[3].mask, plain[3].mask)

    def test_parts_of_it_are_datasets_too(self, store):
        slices = store.dataset("one")
        first, *_ = DataLoader(Subset(slices, [5, 2]), batch_size=2)
        assert torch.equal(first.images[1], slices[2].image)
        (both,) = DataLoader(ConcatDataset([Subset(slices, [5]), Subset(slices, [2])]), 2)
        assert isinstance(both, Batch)
        assert torch.equal(both.images, first.images)
        assert both.about == first.about


class TestEpisodes:
    def test_the_support_is_of_other_patients(self, store):
        examples = store.examples.set_index(["task", "subject"])
        for episode in (store.episodes("one", "two", support_size=4)[n] for n in range(30)):
            query, support_images, support_masks, truth, about = episode
            assert query.shape == truth.shape == (1, SIZE, SIZE)
            assert support_images.shape == support_masks.shape == (4, 1, SIZE, SIZE)
            own = examples.loc[(about["task"], about["subject"])]
            assert own["split"] == "train"
            others = store.examples[store.examples["task"] == about["task"]]
            others = others[(others["split"] == "train") & (others["patient"] != own["patient"])]
            known = [store.read(about["task"], subject)[0] for subject in others["subject"]]
            for image in support_images:
                assert any(np.allclose(image[0], each) for each in known)

    def test_queries_may_be_of_another_split(self, store):
        test = set(store.examples[store.examples["split"] == "test"]["subject"])
        episodes = store.episodes(support_size=2, split="test")
        assert {episodes[number].about["subject"] for number in range(20)} <= test

    def test_a_number_is_an_episode_and_another_seed_another(self, store):
        first, again = store.episodes(support_size=2), store.episodes(support_size=2)
        assert torch.equal(first[5].support_images, again[5].support_images)
        other = store.episodes(support_size=2, seed=1)
        assert any(
            not torch.equal(first[n].support_images, other[n].support_images) for n in range(5)
        )

    def test_a_task_of_one_patient_gives_none(self, store):
        with pytest.raises(TaskError, match="another patient"):
            store.episodes("lone")
        store.episodes("lone", split="test", support_size=1)

    def test_augmented_ones_are_the_same_by_their_number(self, store):
        asked = {"support_size": 3, "augment": Augmentation()}
        plain = store.episodes(support_size=3)
        one, another = store.episodes(**asked), store.episodes(**asked)
        batch = one.__getitems__([4, 9])
        assert torch.equal(batch.query[1], another[9].query)
        assert not torch.equal(batch.images, plain.__getitems__([4, 9]).images)

    def test_a_batch_is_what_a_network_takes(self, store):
        batch, *_ = DataLoader(store.episodes(support_size=3, length=8), batch_size=4)
        assert isinstance(batch, Episodes)
        assert batch.query.shape == batch.truth.shape == (4, 1, SIZE, SIZE)
        assert batch.support_images.shape == batch.support_masks.shape == (4, 3, 1, SIZE, SIZE)
        assert torch.equal(batch.to("cpu").images, batch.images)


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
class TestWorkers:
    def test_they_read_the_same_and_batches_may_be_kept(self, store, start):
        episodes = store.episodes(support_size=2, length=60)
        alone = list(DataLoader(episodes, batch_size=3))
        loader = DataLoader(episodes, batch_size=3, num_workers=2, multiprocessing_context=start)
        kept = list(loader)  # more than a worker has slots in flight
        assert [batch.about for batch in kept] == [batch.about for batch in alone]
        for ours, theirs in zip(kept, alone, strict=True):
            assert torch.equal(ours.images, theirs.images)
            assert torch.equal(ours.masks, theirs.masks)

    def test_what_is_looked_at_stays_while_they_go_on(self, store, start):
        """A view of a batch that is long gone is not written over."""
        slices = store.dataset("one")
        loader = DataLoader(slices, batch_size=2, num_workers=1, multiprocessing_context=start)
        stored = [batch.stored[0][1] for batch in loader]
        for number, image in enumerate(stored):
            assert torch.equal(image.float(), slices[2 * number + 1].image)

    def test_their_memory_is_given_back(self, store, start):
        for _ in range(2):
            loader = DataLoader(
                store.dataset("one"), batch_size=4, num_workers=1, multiprocessing_context=start
            )
            for batch in loader:
                assert len(batch)
            del batch, loader
            gc.collect()
        assert slots._known == {}


def test_of_a_store_that_was_built_anew_nothing_wrong_is_read(tmp_path):
    store = write_store(tmp_path / "store", Discs("one"))
    slices = store.dataset()
    write_store(tmp_path / "store", Discs("one", patients=(5, 2, 1)))
    with pytest.raises(StoreError, match="built anew"):
        slices[0]


def test_without_pytorch_it_is_one_sentence(store):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import megamedical\n"
        f"store = megamedical.open_store({str(store.location)!r})\n"
        "try: store.dataset()\n"
        "except megamedical.errors.MegaMedicalError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'megamedical[universeg]'" in ended.stdout, ended.stderr


def test_a_store_is_opened_by_its_path(store):
    assert len(open_store(str(store.location)).dataset()) == len(store.dataset())


def test_the_loop_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (loop,) = [block for block in blocks if "DataLoader" in block]
    write_store(tmp_path / "store", Discs("stare"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpisodeDataset, "__len__", lambda _: 4)  # is enough
    exec(loop, said := {})  # noqa: S102
    assert f"[8, 1, {SIZE}, {SIZE}]" in capsys.readouterr().out
    assert said["loss"].isfinite()
