"""How long a client may take to say what it wants, and how many may be connected at once."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Patient(H11Protocol):
    """HTTP with those cut off who send, or take, so slowly that they hold a place for nothing.

    Attributes:
        seconds: until a whole request is there, from its first byte or the beginning of the
            connection; and without any progress of an answer.
        most: connections. Of more, the one that has waited longest for its request has to go, so
            that whoever asks for something is let in.
    """

    seconds = 30.0
    most = 100

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            waiting = [each for each in self.connections if isinstance(each, Patient)]
            min(waiting, key=lambda each: each._due).transport.abort()
        self._hurry()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._hurry()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._rest()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._hurry()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._rest()
        super().connection_lost(exc)

    @property
    def _due(self) -> float:
        return self._deadline.when() if self._deadline else float("inf")

    def _hurry(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self.transport.abort)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
