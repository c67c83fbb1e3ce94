"""Passes that go side by side give what they give one after another."""

import multiprocessing
import threading

import pytest
import torch

from universeg.network.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", range(6))
def test_answers_come_in_the_order_of_their_passes(count):
    assert side_by_side([lambda n=n: n for n in range(count)]) == [*range(count)]


def test_two_go_at_once_with_half_of_the_threads_each_and_what_is_left_has_all():
    met = threading.Barrier(2)

    def meet():
        met.wait(timeout=60)
        return torch.get_num_threads()

    assert side_by_side([meet, meet, torch.get_num_threads]) == [1, 1, 2]
    assert torch.get_num_threads() == 2


def test_with_one_thread_nothing_goes_side_by_side():
    torch.set_num_threads(1)
    own = threading.get_ident()
    assert side_by_side([threading.get_ident, threading.get_ident]) == [own, own]


def test_what_a_pass_raises_is_raised():
    def fail():
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        side_by_side([fail, int, int, int])
    assert side_by_side([int, int]) == [0, 0]


def test_a_process_that_is_forked_has_threads_of_its_own():
    side_by_side([int, int])
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(side_by_side, ([int, int],)).get(timeout=60) == [0, 0]
