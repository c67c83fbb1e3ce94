"""Where a server may send a download to: nowhere inside, unless it is there itself."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Literal
from urllib.parse import urljoin, urlsplit

from megamedical.obtaining.partial_file import Failed

if TYPE_CHECKING:
    import requests

Place = Literal["public", "this machine", "link-local", "a private network"]

MOST = 20  # redirects


def place_of(address: str) -> Place:
    """In which part of the network an IP address is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified:
        return "this machine"
    if ip.is_link_local:
        return "link-local"
    return "public" if ip.is_global else "a private network"


def refuse_inward(place: Place, own: Place) -> None:
    """Make sure that a redirect leads outside, or to where the manifest's own host is.

    Raises:
        Failed: it leads to what the server itself may not reach.
    """
    if place not in ("public", own):
        raise Failed(f"it redirects to an address of {place}, which is not followed")


def places_of(url: str) -> set[Place]:
    """In which parts of the network a URL's host is; none where no name server knows it."""
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname or "", None)
        return {place_of(str(each[4][0])) for each in found}
    except (OSError, ValueError):
        return set()


def next_address(session: requests.Session, response: requests.Response, url: str) -> str | None:
    """Where an answer sends to, if it does.

    Raises:
        Failed: that is no address, or one that is not as secure.
    """
    try:
        location = session.get_redirect_target(response)
        if not location:
            return None
        onward = urljoin(url, location)
        parts = urlsplit(onward)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except (ValueError, LookupError):
        known, onward = False, ""
    if not known:
        raise Failed("it redirects to what is no address of the web")
    if url.lower().startswith("https:") and onward.lower().startswith("http:"):
        raise Failed("it redirects from https to http, which anybody on the way can change")
    return onward
