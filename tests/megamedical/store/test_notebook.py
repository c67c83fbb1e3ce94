"""A store in a notebook: it says what it is, and shows it; names from outside stay text."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tiny_store import Discs, write_store

from megamedical import open_store
from megamedical.errors import StoreError
from universeg.training.data.stores import joined

TASK = "one/discs/mri/axial/mid/disc"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    return write_store(folder / "a <b>", Discs("one", labels=("disc", "ring")))


def test_it_has_its_tasks(store):
    assert len(store) == 2
    assert list(store) == list(store.tasks["task"])
    assert TASK in store
    assert "one" not in store


def test_a_task_has_its_examples(store):
    task = store[TASK]
    assert len(task) == len(task.examples) == 14
    image, mask = task.read("000-0")
    np.testing.assert_array_equal(image, store.read(TASK, "000-0")[0])
    assert next(iter(task))[1].mean() == mask.mean()
    assert len(task.dataset(split="train")) == 8
    assert task.episodes(support_size=1)[0].about["task"] == TASK


def test_another_name_gives_the_nearest(store):
    with pytest.raises(StoreError, match=r"Did you mean one/discs/mri/axial/mid/disc"):
        store["one/discs/mri/axial/mid/disk"]


def test_tasks_are_pictures(store):
    shown = store[TASK].show(3)
    assert shown.size[1] < store.preview(columns=1).size[1]
    whole = Image.open(io.BytesIO(store[TASK]._repr_png_()))
    assert whole.format == "PNG"


def test_its_page_says_what_it_is(store, built):
    page = open_store(built.store)._repr_html_()
    for said in ("acdc", "mri", "CC-BY", "not stated"):
        assert said in page
    assert f"{len(open_store(built.store).tasks):,} tasks" in page


def test_what_is_called_like_html_stays_text(store):
    page = store._repr_html_()
    assert "a &lt;b&gt;" in page
    assert "<b>" not in page.replace("<b>/", "")


def test_an_empty_store_is_one_too(tmp_path):
    empty = write_store(tmp_path / "empty")
    assert empty
    assert len(empty) == 0
    assert "0 tasks" in empty._repr_html_()


def test_joined_stores_show_themselves_too(store, tmp_path):
    both = joined([store, write_store(tmp_path / "two", Discs("two"))])
    assert "one" in both._repr_html_()
    assert "two" in both._repr_html_()
