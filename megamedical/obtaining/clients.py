"""Collections that have clients of their own: Google Drive, Kaggle, Synapse, and the IDC of TCIA.

    gdrive:<file id>   kaggle:<owner>/<dataset>[/<file>]   synapse:<syn id>   idc:<collection>

A client is installed and logged in by the user; credentials stay where it keeps them. It works in a
process of its own, which is ended with this one, and when it brings next to nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from megamedical.files.disk import explain_full, require_room
from megamedical.obtaining.client_process import Outcome
from megamedical.obtaining.partial_file import (
    Address,
    Failed,
    PartialFile,
    Passing,
    TooSlow,
    Version,
    without_secrets,
)
from megamedical.obtaining.watching import LEAST
from megamedical.reporting.downloads import Report

_CHUNK = 1024 * 1024
_EVERY = 0.5  # seconds
_PATIENCE = 4  # times the time limit of a server: a client logs in, and looks for what is asked for
_CLEARING_UP = 0.75  # seconds
_MODULE = "megamedical.obtaining.client_process"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can say


@dataclass(frozen=True)
class Client:
    """What fetches from a collection.

    Attributes:
        package: that it is in.
        extra: of this package, which installs it.
        login: what a user does once, where a login is needed.
    """

    package: str
    extra: str
    login: str


class ClientAddress(Address):
    """An address that a client understands."""

    def deliver(self, part: PartialFile) -> None:
        """See `Address`."""
        scheme, _, address = self.url.partition(":")
        folder = part.path.with_name(f".{part.path.name}.client")
        folder.mkdir(parents=True, exist_ok=True)
        with explain_full(folder, self.size, part.purpose):
            found = self._fetched(scheme.lower(), address, folder)
            if found.is_dir():
                found = _packed(found, folder.with_name(f"{folder.name}.zip"))
            version = Version(without_secrets(self.url), None, found.stat().st_size)
            with found.open("rb") as file:
                self.begin(version, iter(lambda: file.read(_CHUNK), b""), part)
        shutil.rmtree(folder)
        found.unlink(missing_ok=True)

    def _fetched(self, scheme: str, address: str, folder: Path) -> Path:
        """What a client brings; its own texts are not shown, for they may hold credentials."""
        client = CLIENTS[scheme]
        said = self._said_by_client([scheme, address, str(folder), self.timeout], folder)
        if "path" in said:
            return Path(said["path"])
        if "is_missing" in said:
            raise Failed(f"it needs {client.package}: pip install 'megamedical[{client.extra}]'")
        if "is_full" in said:
            raise OSError(said["is_full"], os.strerror(said["is_full"]))
        if "is_dropped" in said:
            raise Passing("the connection was dropped")
        how = said.get("failed", "its process died")
        raise Failed(f"{client.package} cannot fetch it ({how}). {client.login}")

    def _said_by_client(self, task: list[object], folder: Path) -> Outcome:
        """What the process of a client says in the end, unless it brings next to nothing."""
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        with subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is this process's to hear
            text=True,
        ) as process:
            try:
                with suppress(BrokenPipeError):
                    process.communicate(json.dumps(task), timeout=_EVERY)
            except subprocess.TimeoutExpired:
                _watch(process, folder, self.report, _PATIENCE * self.timeout)
            finally:
                _end(process)
            said: Outcome = json.loads(process.communicate()[0] or "{}")
            return said


def _packed(folder: Path, archive: Path) -> Path:
    """The files of a folder as one archive, the same for the same files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    require_room(archive.parent, sum(file.stat().st_size for file in files), "packing")
    with zipfile.ZipFile(archive, "w", strict_timestamps=False) as content:
        for file in files:
            name = file.relative_to(folder)
            if not any(part.startswith(".") for part in name.parts):
                member = zipfile.ZipInfo(name.as_posix(), _EARLIEST)
                with file.open("rb") as data, content.open(member, "w", force_zip64=True) as to:
                    shutil.copyfileobj(data, to, _CHUNK)
    return archive


def _watch(process: subprocess.Popen[str], folder: Path, report: Report, seconds: float) -> None:
    """Report how much has arrived in a folder, until a client has done.

    Raises:
        TooSlow: in so many seconds it wrote less than `LEAST` bytes, wherever to.
    """
    begun, before = time.monotonic(), 0
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_EVERY)
        arrived = _bytes_in(folder)
        report(arrived, None)
        written = max(arrived, _written_by(process.pid))
        if written - before >= LEAST:
            begun, before = time.monotonic(), written
        elif time.monotonic() - begun > seconds:
            raise TooSlow(f"it brought less than {LEAST // 1024} kB in {seconds:g} s")


def _bytes_in(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # one is renamed just now
            found += path.stat().st_size if path.is_file() else 0
    return found


def _written_by(process: int) -> int:
    """Bytes that a process and those that it started have written, where the system counts them."""
    with suppress(psutil.Error, AttributeError):
        own = psutil.Process(process)
        return sum(each.io_counters().write_chars for each in (own, *own.children(recursive=True)))
    return 0


def _end(process: subprocess.Popen[str]) -> None:
    """End what still works, and what it has started."""
    if process.poll() is not None:
        return
    with suppress(psutil.Error):
        started = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_CLEARING_UP)
        for each in started:
            with suppress(psutil.Error):
                each.kill()
    process.kill()
    process.wait()


CLIENTS = {
    "gdrive": Client(
        "gdown",
        "google-drive",
        "Where a file is not public or has been fetched too often today, open it in a browser.",
    ),
    "kaggle": Client(
        "kagglehub",
        "kaggle",
        "Accept the dataset's terms on its page, and put your API token where kagglehub reads it "
        "(~/.kaggle/kaggle.json).",
    ),
    "synapse": Client(
        "synapseclient",
        "synapse",
        "Accept the dataset's terms on its page, and log in once: `synapse config`.",
    ),
    "idc": Client("idc-index", "tcia", "Look at the collection's name."),
}
