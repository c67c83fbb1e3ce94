"""HTTP connections that are watched from their first byte, and go only where they may."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from megamedical.obtaining.redirects import Place, place_of, places_of, refuse_inward
from megamedical.obtaining.watching import Watch

if TYPE_CHECKING:
    import requests


class Peers:
    """Where the hosts of a session are, proxies but for."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._own: Place | None = None
        self._first: Place | None = None

    def allow_only_like_the_first(self, url: str) -> Place:
        """From now on refuse connections inward, unless the first host, of `url`, is there too."""
        known = sorted(places_of(url))
        self._own = self._first or (known[0] if len(known) == 1 else "public")
        return self._own

    def met(self, connection: socket.socket, *, is_proxy: bool) -> None:
        """A connection is made."""
        self._watch.add(connection)
        if is_proxy:
            return
        place = place_of(str(connection.getpeername()[0]))
        if self._own is None:
            self._first = place
        else:
            refuse_inward(place, self._own)


def watch_connections(session: requests.Session, watch: Watch) -> Peers:
    """Watch every connection of a session."""
    peers = Peers(watch)

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            peers.met(connection, is_proxy=self.proxy is not None)
            return connection

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connection = super()._new_conn()
            peers.met(connection, is_proxy=self.proxy is not None)
            return connection

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    pools = {"http": PlainPool, "https": SecurePool}

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
            super().init_poolmanager(*given, **named)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401
            manager = super().proxy_manager_for(*given, **named)
            manager.pool_classes_by_scheme = pools
            return manager

    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return peers
