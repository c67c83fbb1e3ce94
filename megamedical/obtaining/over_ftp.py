"""Files over FTP, continued by REST where the server says that they have not changed."""

from __future__ import annotations

import ftplib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from socket import socket
from urllib.parse import unquote, urlsplit

from megamedical.files.disk import is_full
from megamedical.obtaining.partial_file import (
    Address,
    Failed,
    PartialFile,
    Passing,
    Unreachable,
    Version,
    without_secrets,
)
from megamedical.obtaining.watching import Watch

_CHUNK = 64 * 1024
_MOST_LINES = 10_000


class FtpAddress(Address):
    """An `ftp://` address, asked as `anonymous` where it names no user."""

    def deliver(self, part: PartialFile) -> None:
        """See `Address`."""
        with Watch(self.timeout) as watch, self._connection(watch) as server, self._explained():
            path = unquote(urlsplit(self.url).path)
            server.voidcmd("TYPE I")
            version = self._version(server, path)
            known = part.begun_from(self.url)
            same = known is not None and known.validator is not None and known == version
            data, continued = _open(server, path, part.size if same else 0)
            watch.add(data)
            with data:
                chunks = watch.counted(iter(lambda: data.recv(_CHUNK), b""))
                if continued:
                    self.append(chunks, part)
                else:
                    self.begin(version, chunks, part)
            if version.length is None:
                server.voidresp()  # else the end of the file and of the connection look alike

    @contextmanager
    def _connection(self, watch: Watch) -> Iterator[ftplib.FTP]:
        server = _Server(watch, self.timeout)
        try:
            address = urlsplit(self.url)
            server.connect(address.hostname or "", address.port or 0)
        except TimeoutError:
            raise Unreachable(f"nothing came for {self.timeout:g} s") from None
        except (OSError, EOFError, ftplib.Error, ValueError) as error:
            said = getattr(error, "strerror", None)
            raise Unreachable(f"it could not be reached{f' ({said})' if said else ''}") from None
        with closing(server):
            with self._explained():
                server.login(unquote(address.username or ""), unquote(address.password or ""))
            yield server

    def _version(self, server: ftplib.FTP, path: str) -> Version:
        """What the server says of a file; not every one knows these commands."""
        length, changed = None, None
        with suppress(ftplib.error_perm):
            length = server.size(path)
        with suppress(ftplib.error_perm):
            changed = server.sendcmd(f"MDTM {path}").partition(" ")[2] or None
        return Version(without_secrets(self.url), changed, length)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what went wrong by the server's code: its texts may hold what a user has sent."""
        try:
            yield
        except TimeoutError:
            raise Passing(f"nothing came for {self.timeout:g} s") from None
        except ftplib.error_perm as error:
            code = str(error)[:3]
            words = {"530": ": it wants a login", "550": ": there is no such file, or not for you"}
            raise Failed(f"it answers {code}{words.get(code, '')}") from None
        except ftplib.Error as error:
            raise Passing(f"it answers {str(error)[:3]}") from None
        except (OSError, EOFError) as error:
            if is_full(error):
                raise
            raise Passing("the connection was dropped") from None
        except ValueError:
            raise Failed("its path cannot be asked for, or its answer makes no sense") from None
        except (LookupError, ArithmeticError) as error:
            raise Failed(f"its answer makes no sense ({type(error).__name__})") from None


class _Server(ftplib.FTP):
    """A server whose answers are bounded, and watched from the first byte."""

    def __init__(self, watch: Watch, timeout: float) -> None:
        super().__init__(timeout=timeout)  # some archives are nowhere else
        self._watch = watch
        self._lines = 0

    def getresp(self) -> str:
        """An answer, which begins when the connection does."""
        if self.sock is not None and not self._lines:
            self._watch.add(self.sock)
        return super().getresp()

    def getline(self) -> str:
        """A line of an answer, of which there are no more than anybody sends."""
        self._lines += 1
        if self._lines > _MOST_LINES:
            raise ftplib.error_proto("it does not come to its end")  # noqa: S321
        return super().getline()


def _open(server: ftplib.FTP, path: str, start: int) -> tuple[socket, bool]:
    """The content of a file from a byte on, or from the first where the server cannot otherwise."""
    if start:
        with suppress(ftplib.error_perm):
            return server.transfercmd(f"RETR {path}", rest=start), True
    return server.transfercmd(f"RETR {path}"), False
