"""What work says to whoever waits for it, be it done in another thread or process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Hearer = Callable[[str], None]

_hearer: ContextVar[Hearer | None] = ContextVar("hearer", default=None)


def tell(line: str) -> None:
    """Say something that a user should read; where nobody listens, it is not heard."""
    if hearer := _hearer.get():
        hearer(line)


@contextmanager
def heard_by(hearer: Hearer | None) -> Iterator[None]:
    """Whatever `tell` is told while the block lasts is heard."""
    before = _hearer.set(hearer)
    try:
        yield
    finally:
        _hearer.reset(before)
