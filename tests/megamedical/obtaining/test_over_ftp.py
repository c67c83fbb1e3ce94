"""Downloads from an FTP server that misbehaves: the file is whole and verified, or not there."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from misbehaving import zip_of
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

from megamedical.errors import ArchiveError, Unobtainable
from megamedical.files.checksums import Digest
from megamedical.obtaining.fetch import fetch as download

SCANS = zip_of(300_004)
OTHER = zip_of(300_004, 7)


class Breaking(BytesIO):
    """A file whose disk fails after so many bytes."""

    def __init__(self, path: str, until: int) -> None:
        super().__init__(Path(path).read_bytes())
        self.name = path
        self._until = until

    def read(self, size=-1):
        if self.tell() >= self._until:
            raise OSError("the disk fails")
        return super().read(min(size, self._until - self.tell()))


@dataclass
class Host:
    """A server of one folder, which breaks off at the given places first."""

    folder: Path
    port: int = 0
    breaks: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def url(self, content: bytes = SCANS, name="a b.zip", user="") -> str:
        (self.folder / name).write_bytes(content)
        os.utime(self.folder / name, (len(content), sum(content)))
        return f"ftp://{user}127.0.0.1:{self.port}/{name.replace(' ', '%20')}"


@pytest.fixture
def host(tmp_path) -> Iterator[Host]:
    served = Host(tmp_path / "served")
    served.folder.mkdir()

    class Files(AbstractedFS):
        def open(self, filename, mode):
            if served.breaks:
                return Breaking(filename, served.breaks.pop(0))
            return super().open(filename, mode)

    class Visit(FTPHandler):
        authorizer = DummyAuthorizer()
        abstracted_fs = Files

        def pre_process_command(self, line, cmd, arg):
            served.asked.append(cmd if cmd != "REST" else line)
            if cmd in served.unknown:
                self.respond("502 Command not implemented.")
            else:
                super().pre_process_command(line, cmd, arg)

        def log(self, *_: object, **__: object):
            pass

        logline = logerror = log_exception = log_cmd = log

    Visit.authorizer.add_anonymous(str(served.folder))
    Visit.authorizer.add_user("me", "hid/den", str(served.folder))
    server = ThreadedFTPServer(("127.0.0.1", 0), Visit)
    served.port = server.address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), kwargs={"handle_exit": 0})
    thread.start()
    yield served
    server.close_all()
    thread.join()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "raw" / "ACDC.zip"


def beside(target: Path) -> list[str]:
    """What is in the folder of a file, but for its lock."""
    names = sorted(path.name for path in target.parent.iterdir())
    return [name for name in names if name != f".{target.name}.lock"]


def fetch(url, target, *, content=SCANS, size=None, attempts=4) -> list[float]:
    waits: list[float] = []
    expected = Digest("sha256", hashlib.sha256(content).hexdigest(), "the manifest")
    download(
        [url],
        target,
        expected=expected,
        size=size,
        attempts=attempts,
        timeout=5.0,
        wait=waits.append,
    )
    assert target.read_bytes() == content
    assert beside(target) == [target.name]
    return waits


def test_whole_file_arrives(host, target):
    assert fetch(host.url(), target, size=len(SCANS)) == []


def test_user_and_password_of_the_address_are_used_and_never_shown(host, target):
    fetch(host.url(user="me:hid%2Fden@"), target)
    target.unlink()
    with pytest.raises(Unobtainable, match="530: it wants a login") as failure:
        fetch(host.url(user="me:wrong-hidden@"), target)
    assert "hidden" not in str(failure.value)


def test_what_breaks_off_is_continued(host, target):
    host.breaks = [70_000, 200_000]
    assert fetch(host.url(), target) == [1.0, 2.0]
    assert [line for line in host.asked if line.startswith("REST")] == [
        "REST 70000",
        "REST 200000",
    ]


@pytest.mark.parametrize("unknown", [{"MDTM"}, {"REST"}, {"MDTM", "SIZE"}])
def test_without_the_commands_for_it_the_whole_comes_again(host, target, unknown):
    host.breaks = [70_000]
    host.unknown = unknown
    assert fetch(host.url(), target) == [1.0]


def test_changed_file_is_not_spliced(host, target):
    host.breaks = [70_000]
    url = host.url(OTHER)
    with pytest.raises(Unobtainable, match=r"70\.0 kB of it are kept"):
        fetch(url, target, attempts=1)
    host.url(SCANS)
    fetch(url, target)


def test_file_that_is_not_there(host, target):
    url = host.url().replace("a%20b", "gone")
    with pytest.raises(Unobtainable, match="550: there is no such file"):
        fetch(url, target)


def test_wrong_bytes_and_wrong_lengths_are_never_trusted(host, target):
    with pytest.raises(ArchiveError, match="sha256"):
        fetch(host.url(OTHER), target)
    with pytest.raises(ArchiveError, match="expected 7"):
        fetch(host.url(), target, size=7)
    assert beside(target) == []


def test_web_page_is_told(host, target):
    with pytest.raises(Unobtainable, match="web page"):
        fetch(host.url(b"<!DOCTYPE html><html>Gone</html>"), target)


def test_no_command_is_smuggled_in(host, target):
    with pytest.raises(Unobtainable, match="its path cannot be asked for"):
        fetch(host.url().replace("a%20b", "a%0d%0aDELE%20a"), target)
    assert "DELE" not in host.asked


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999999", "[bad"])
def test_server_that_is_not_there(target, address):
    with pytest.raises(Unobtainable):
        fetch(f"ftp://{address}/a.zip", target)
