"""Who may ask: whoever has the token, from the page itself, by the name that the desk goes by."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LARGEST = 32 << 20  # bytes of a request
_SAFE = ("GET", "HEAD")

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Door:
    """By what names and tokens one comes in.

    `hosts` are what a browser may have in its address line, with the port.
    """

    token: str
    hosts: tuple[str, ...]
    scheme: str = "http"

    @property
    def cookie(self) -> str:
        """Its name; cookies do not tell ports apart, so the port is in it."""
        return f"desk-{self.hosts[0].rpartition(':')[2]}"

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"{self.scheme}://{self.hosts[0]}/?token={self.token}"


class Guard:
    """Stands before the application; nothing gets past it that does not show who it is."""

    def __init__(self, app: App, door: Door) -> None:
        """Guard an application."""
        self._app = app
        self._door = door

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if refused := self._refused(scope, headers):
            await _answer(send, *refused)
            return
        if entered := self._entered(scope):
            await _answer(send, 303, "", entered)
            return
        if not self._is_known(headers):
            said = "Open the address that the desk printed where it was started."
            await _answer(send, 401, said)
            return
        await self._app(scope, _bounded(receive), _with_headers(send))

    def _refused(
        self, scope: MutableMapping[str, Any], headers: dict[str, str]
    ) -> tuple[int, str] | None:
        if headers.get("host", "") not in self._door.hosts:
            return 421, "This desk does not go by that name."
        own = {f"{self._door.scheme}://{host}" for host in self._door.hosts}
        origin = headers.get("origin")
        if origin is not None and origin not in own:
            return 403, "Another page may not ask this desk for anything."
        is_safe = scope["method"] in _SAFE
        is_arriving = is_safe and scope["path"] == "/"
        is_own = headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        if not (is_own or is_arriving) or not (is_safe or origin):
            return 403, "Only the desk's own page may ask for anything."
        if not is_safe and headers.get("content-type", "").split(";")[0] != "application/json":
            return 415, "It takes JSON and nothing else."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST:
            return 413, f"A request has at most {LARGEST:,} bytes."
        return None

    def _entered(self, scope: MutableMapping[str, Any]) -> dict[str, str] | None:
        """The headers that let somebody in who comes with the token in the address."""
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_token(given):
            return None
        secure = "; Secure" if self._door.scheme == "https" else ""
        cookie = f"{self._door.cookie}={self._door.token}; Path=/; HttpOnly; SameSite=Strict"
        return {"set-cookie": cookie + secure, "location": "/"}

    def _is_known(self, headers: dict[str, str]) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return self._door.cookie in cookies and self._is_token(cookies[self._door.cookie].value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8"), self._door.token.encode("ascii"))


def _bounded(receive: Receive) -> Receive:
    """What is received, up to a limit, whatever the request said of its length."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > LARGEST else message

    return bounded


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *_encoded(_HEADERS, own)]
        await send(message)

    return with_headers


async def _answer(
    send: Send, status: int, said: str, headers: dict[str, str] | None = None
) -> None:
    body = said.encode("utf-8")
    own = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    both = _encoded({**_HEADERS, **own, **(headers or {})}, set())
    await send({"type": "http.response.start", "status": status, "headers": both})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: dict[str, str], taken: set[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    return [pair for pair in pairs if pair[0] not in taken]
