"""What looks like the examples, and what does not."""

import numpy as np

from universeg.tuning.likeness import Likeness

RNG = np.random.default_rng(0)


def smooth(count):
    rows, columns = np.meshgrid(*2 * (np.linspace(0, 1, 32),), indexing="ij")
    shifts = RNG.uniform(0, 0.2, (count, 1, 1))
    return np.clip(0.3 + 0.4 * rows * columns + shifts, 0, 1).astype(np.float32)


def test_what_is_of_the_same_kind_is_like():
    likeness = Likeness(smooth(8), range(8))
    assert not any(likeness.is_unlike(image[None]) for image in smooth(10))


def test_stripes_are_unlike_what_is_smooth():
    stripes = np.zeros((1, 32, 32), dtype=np.float32)
    stripes[:, ::2] = 1
    assert Likeness(smooth(8), range(8)).is_unlike(stripes)


def test_few_examples_cannot_tell():
    stripes = np.ones((1, 32, 32), dtype=np.float32)
    assert not Likeness(smooth(3), range(3)).is_unlike(stripes)
    assert not Likeness(smooth(8), [0] * 8).is_unlike(stripes)
