"""A network that is shown examples finds the same, however much it has kept from slice to slice."""

import numpy as np
import pytest
import torch

from universeg.network.universeg import UniverSeg
from universeg.tuning import in_context
from universeg.tuning.in_context import InContext
from universeg.tuning.support import Example, Support


def volumes(planes=(9, 7, 4), size=16):
    """Examples of two labels, the second of which the last does not show."""
    rng = np.random.default_rng(0)
    examples = []
    for number, count in enumerate(planes):
        labels = (1, 2) if number + 1 < len(planes) else (1,)
        masks = {label: rng.random((count, size, size)).astype(np.float16) for label in labels}
        examples.append(Example(rng.random((count, size, size)).astype(np.float16), masks))
    return Support(examples, {1: "a", 2: "b"}, 6, seed=0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UniverSeg((5, 4), (3,)).eval()


@pytest.fixture
def threads():
    """Sets how many threads compute, and takes it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("room", "count"), [(0, 1), (20_000, 2), (1 << 30, 1), (1 << 30, 2)])
def test_slice_after_slice_is_found_as_each_alone(network, monkeypatch, threads, room, count):
    threads(count)
    monkeypatch.setattr(in_context, "_KEPT", room)
    support, queries = volumes(), np.random.default_rng(1).random((12, 16, 16)).astype(np.float32)
    places = [(number + 0.5) / 12 for number in range(12)]
    shown = InContext(network, support)
    found = np.concatenate(
        [shown.logits(queries[at : at + 2], places[at : at + 2]) for at in range(0, 12, 2)]
    )
    for number, place in enumerate(places):
        for channel, label in enumerate(support.labels):
            ((picks, _),) = support.shared(label, 0, [place]).items()
            given = [torch.from_numpy(each)[:, None] for each in support.shown(picks, label)]
            query = torch.from_numpy(queries[number])[None, None]
            with torch.inference_mode():
                plain = network(query, *(each[None] for each in given))
            np.testing.assert_allclose(found[number, channel], plain[0, 0], atol=1e-4)
    assert sum(t.nbytes for kept in shown._previews.values() for t in kept.values()) <= room


def test_pictures_that_are_found_side_by_side_are_found_as_each_alone(network, threads):
    rng = np.random.default_rng(0)
    support = Support.of_pictures(*rng.random((2, 3, 16, 16)).astype(np.float32))
    queries = rng.random((5, 16, 16)).astype(np.float32)
    threads(1)
    expected = np.concatenate([InContext(network, support).logits(one[None]) for one in queries])
    threads(2)
    np.testing.assert_allclose(InContext(network, support).logits(queries), expected, atol=1e-4)
    assert torch.get_num_threads() == 2
