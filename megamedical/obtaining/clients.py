"""Collections that have clients of their own: Google Drive, Kaggle, Synapse, and the IDC of TCIA.

    gdrive:<file id>   kaggle:<owner>/<dataset>[/<file>]   synapse:<syn id>   idc:<collection>

A client is installed and logged in by the user; credentials stay where it keeps them.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from megamedical.errors import MegaMedicalError
from megamedical.files.disk import explain_full, is_full, require_room
from megamedical.obtaining.partial_file import (
    Address,
    Failed,
    PartialFile,
    Passing,
    Version,
    without_secrets,
)
from megamedical.reporting.downloads import Report

_CHUNK = 1024 * 1024
_EVERY = 0.5  # seconds
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can say


@dataclass(frozen=True)
class Client:
    """What fetches from a collection.

    Attributes:
        package: that it is in.
        extra: of this package, which installs it.
        login: what a user does once, where a login is needed.
        fetch: brings what an address names into a folder, and says where it is: a file, or a folder
            of files.
    """

    package: str
    extra: str
    login: str
    fetch: Callable[[str, Path, Report, float], Path]


class ClientAddress(Address):
    """An address that a client understands."""

    def deliver(self, part: PartialFile) -> None:
        """See `Address`."""
        scheme, _, address = self.url.partition(":")
        folder = part.path.with_name(f".{part.path.name}.client")
        folder.mkdir(parents=True, exist_ok=True)
        with explain_full(folder, self.size, part.purpose):
            found = self._fetch(CLIENTS[scheme.lower()], address, folder)
            if found.is_dir():
                found = _packed(found, folder.with_name(f"{folder.name}.zip"))
            version = Version(without_secrets(self.url), None, found.stat().st_size)
            with found.open("rb") as file:
                self.begin(version, iter(lambda: file.read(_CHUNK), b""), part)
        shutil.rmtree(folder)
        found.unlink(missing_ok=True)

    def _fetch(self, client: Client, address: str, folder: Path) -> Path:
        """What a client brings; its own texts are not shown, for they may hold credentials."""
        import requests

        try:
            return client.fetch(address, folder, self.report, self.timeout)
        except ImportError:
            raise Failed(
                f"it needs {client.package}: pip install 'megamedical[{client.extra}]'"
            ) from None
        except (requests.ConnectionError, requests.Timeout, ConnectionError, TimeoutError):
            raise Passing("the connection was dropped") from None
        except MegaMedicalError:
            raise
        except Exception as error:
            if is_full(error):
                raise
            raise Failed(
                f"{client.package} cannot fetch it ({type(error).__name__}). {client.login}"
            ) from None


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


def _from_google_drive(file_id: str, folder: Path, report: Report, timeout: float) -> Path:
    import gdown

    return Path(
        gdown.download(
            id=file_id,
            output=str(folder / "file"),
            quiet=True,
            resume=True,
            progress=report,
            timeout=timeout,
        )
    )


def _from_kaggle(address: str, folder: Path, report: Report, timeout: float) -> Path:
    del timeout
    import kagglehub

    owner, dataset, *file = address.split("/", 2)
    with _watched(folder, report):
        return Path(
            kagglehub.dataset_download(
                f"{owner}/{dataset}",
                path=file[0] if file else None,
                output_dir=str(folder),
                force_download=True,
            )
        )


def _from_synapse(syn_id: str, folder: Path, report: Report, timeout: float) -> Path:
    del timeout
    from synapseclient import Synapse
    from synapseclient.operations import FileOptions, get

    synapse = Synapse(silent=True)
    synapse.login(silent=True)
    options = FileOptions(download_location=str(folder), if_collision="overwrite.local")
    with _watched(folder, report):
        return Path(get(syn_id, file_options=options, synapse_client=synapse).path)


def _from_idc(collection: str, folder: Path, report: Report, timeout: float) -> Path:
    del timeout
    from idc_index import IDCClient

    with _watched(folder, report):
        IDCClient().download_collection(
            collection, str(folder), show_progress_bar=False, use_s5cmd_sync=True
        )
    return folder


@contextmanager
def _watched(folder: Path, report: Report) -> Iterator[None]:
    """Report how much has arrived in a folder, for a client that does not."""
    is_over = Event()

    def look() -> None:
        while not is_over.wait(_EVERY):
            files = [path for path in folder.rglob("*") if path.is_file()]
            with suppress(OSError):  # one is renamed just now
                report(sum(file.stat().st_size for file in files), None)

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


CLIENTS = {
    "gdrive": Client(
        "gdown",
        "google-drive",
        "Where a file is not public or has been fetched too often today, open it in a browser.",
        _from_google_drive,
    ),
    "kaggle": Client(
        "kagglehub",
        "kaggle",
        "Accept the dataset's terms on its page, and put your API token where kagglehub reads it "
        "(~/.kaggle/kaggle.json).",
        _from_kaggle,
    ),
    "synapse": Client(
        "synapseclient",
        "synapse",
        "Accept the dataset's terms on its page, and log in once: `synapse config`.",
        _from_synapse,
    ),
    "idc": Client("idc-index", "tcia", "Look at the collection's name.", _from_idc),
}
