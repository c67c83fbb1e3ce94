"""A desk is opened: its folder is held, its address said, its page served until it is closed."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from megamedical.errors import MegaMedicalError
from megamedical.files.locking import held
from universeg.desk.catalogue import lay_out
from universeg.desk.desk import Desk
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.process import Predicting
from universeg.desk.predicting.tasks import Settings, Workplace
from universeg.desk.predicting.tuning import Tunings
from universeg.desk.results.errand import Errand
from universeg.desk.server.guard import Door

if TYPE_CHECKING:
    import uvicorn

_LONGEST_GOODBYE = 2  # seconds that a request may take when the desk is closed
_FIRST_LABEL = "label 1"  # so that one can draw at once; it is renamed with a click
_TURN = 0.0005  # seconds that a thread computes while others wait: a stroke takes many short turns
_BROWSER = 0.5  # seconds until the browser is opened, so that somebody answers


class DeskError(MegaMedicalError):
    """A desk cannot be opened so."""


@dataclass(frozen=True)
class Opening:
    """What a person asks for; `folder` is where all that comes of it lies."""

    scans: Path
    folder: Path
    support: Path | None
    settings: Settings
    labels: Mapping[int, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    tls: tuple[Path, Path] | None = None


def folder_beside(scans: Path) -> Path:
    """Where the work on a folder of scans lies, if nobody says it."""
    whole = scans.absolute()
    return whole.with_name(f"{whole.name}-desk")


def open_desk(
    opening: Opening, say: Callable[[str], None], look: Callable[[str], object] | None = None
) -> None:
    """Open a desk, and serve it until it is interrupted.

    Args:
        opening: what is asked for.
        say: is told the address, and what is left out.
        look: opens the address in a browser.

    Raises:
        DeskError: the folder lies among the scans; or others could listen in.
        InUseError: another desk holds the folder.
        SupportError: there is no scan that can be used.
    """
    import uvicorn

    from universeg.desk.server.app import application
    from universeg.desk.server.patience import Patient

    _expect_apart(opening)
    _expect_certificate(opening)
    with closing(_listening(opening)) as own, _holding(opening.folder):
        entries = lay_out(opening.scans, say)
        desk = Desk(entries, opening.folder, opening.settings.plane, opening.labels)
        if not desk.notes.labels and not opening.support:
            desk.add_label(_FIRST_LABEL)
        agenda, errand = Agenda(desk), Errand(desk)
        place = Workplace(
            entries, desk.work, opening.support, replace(opening.settings, plane=desk.plane)
        )
        predicting, tunings = Predicting(place, agenda), Tunings(desk, place)
        desk.on_change = predicting.wake
        door = _door(opening, own.getsockname()[1])
        config = uvicorn.Config(
            application(desk, agenda, tunings, errand, door),
            log_config=None,
            access_log=False,
            http=Patient,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_LONGEST_GOODBYE,
        )
        _encrypt(config, opening)
        sys.setswitchinterval(_TURN)
        say(f"The desk is open at {door.address}")
        if look:
            Timer(_BROWSER, look, [door.address]).start()
        try:
            uvicorn.Server(config).run(sockets=[own])
        finally:
            predicting.close()
            tunings.close()
            errand.close()


def _expect_apart(opening: Opening) -> None:
    scans, folder = opening.scans.resolve(), opening.folder.resolve()
    if folder == scans or folder.is_relative_to(scans):
        raise DeskError(
            f"{opening.folder} lies among the scans",
            "Name an --out beside them; what is drawn would be taken for scans.",
        )
    if opening.support and folder == opening.support.resolve():
        raise DeskError(f"{opening.folder} holds the examples", "Name another --out.")


def _holding(folder: Path) -> AbstractContextManager[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise DeskError(f"{folder} is a link", "Name the folder itself as --out.")
        return held(folder / ".lock", what=f"the desk at {folder}", doing="a desk", wait=False)
    except OSError as error:
        raise DeskError(
            f"{folder} cannot be written to: {error.strerror}", "Name another --out."
        ) from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _listening(opening: Opening) -> socket.socket:
    """The socket that is listened on: of this machine alone, or with TLS.

    Raises:
        DeskError: others could read what is sent; or nobody can listen there.
    """
    host = opening.host
    if not _is_loopback(host):
        if not opening.tls:
            raise DeskError(
                f"At {host} everybody on the network in between could read the images and the "
                "token, and take your place",
                "Give --tls-cert and --tls-key; or leave --host out, and come in through SSH: "
                "ssh -L PORT:127.0.0.1:PORT that-machine",
            )
        if host in ("0.0.0.0", "::", ""):  # noqa: S104  (it is what is refused)
            raise DeskError(
                f"{host} is no name that a browser goes to",
                "Name the address, or the name, that this machine has for others.",
            )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, opening.port, type=socket.SOCK_STREAM
        )[0]
        own = socket.socket(family, kind, protocol)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(address)
        own.listen()  # so that whoever comes before the server is ready waits for it
    except OSError as error:
        raise DeskError(
            f"Nobody can listen at {host}, port {opening.port}: {error.strerror or error}",
            "Name another --port, or none.",
        ) from error
    return own


def _door(opening: Opening, port: int) -> Door:
    name = f"[{opening.host}]" if ":" in opening.host else opening.host
    names = [name]
    if _is_loopback(opening.host):
        names += [each for each in ("127.0.0.1", "localhost", "[::1]") if each != name]
    scheme = "https" if opening.tls else "http"
    return Door(secrets.token_urlsafe(32), tuple(f"{each}:{port}" for each in names), scheme)


def _expect_certificate(opening: Opening) -> None:
    if not opening.tls:
        return
    certificate, key = opening.tls
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DeskError(
            f"{certificate} and {key} are no certificate with its key: {error}",
            "Give both in PEM.",
        ) from error


def _encrypt(config: uvicorn.Config, opening: Opening) -> None:
    if opening.tls:
        config.ssl_certfile, config.ssl_keyfile = map(str, opening.tls)
