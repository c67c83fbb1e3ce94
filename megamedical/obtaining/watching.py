"""Connections that are watched: one that brings next to nothing is ended from outside."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType

from megamedical.obtaining.partial_file import Failed, TooSlow

LEAST = 64 * 1024  # bytes in each span of time
_EVERY = 0.1  # seconds


class Watch:
    """Ends connections over which, in `seconds`, less than `LEAST` bytes of a file have come.

    Time limits of sockets are for a single byte: a server that sends one now and then, be it of an
    answer's header, would keep a download for days.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._has_ended = False
        self._begun, self._came = time.monotonic(), 0

    def __enter__(self) -> Watch:
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()
        # The end of a connection may also look like that of a file whose length nobody has told.
        if self._has_ended and (error is None or isinstance(error, Failed)):
            raise TooSlow(
                f"it brought less than {LEAST // 1024} kB in {self._seconds:g} s"
            ) from None

    def add(self, connection: socket.socket) -> None:
        """Watch one more connection."""
        with self._lock, suppress(OSError):
            self._sockets.append(connection.dup())  # of its own, whatever TLS does with the other

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pieces of a file as they come; none comes too late."""
        for chunk in chunks:
            self._came += len(chunk)
            if self._came >= LEAST:
                self._begun, self._came = time.monotonic(), 0
            yield chunk

    def _look(self) -> None:
        while not self._is_over.wait(_EVERY):
            if time.monotonic() - self._begun > self._seconds:
                with self._lock:
                    self._has_ended = bool(self._sockets)
                    for each in self._sockets:
                        with suppress(OSError):
                            each.shutdown(socket.SHUT_RDWR)
                    if self._has_ended:
                        return
