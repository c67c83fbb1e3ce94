"""Some of many, from all over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, in their order, evenly spread over all.

    >>> spread("abcdefg", 3)
    ['a', 'd', 'g']
    """
    count = min(most, len(items))
    if count < 2:
        return list(items[:count])
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]
