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


@pytest.mark.parametrize("room", [0, 20_000, 1 << 30])
def test_slice_after_slice_is_found_as_each_alone(network, monkeypatch, room):
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
