"""A client of a collection in a process of its own, so that it can be ended whatever it is at.

    python -m megamedical.obtaining.client_process

reads `[scheme, address, folder, seconds]` in JSON, for an address may hold what nobody else should
see among the arguments of a process, and writes an `Outcome`. Whatever a client says is dropped: it
may hold credentials.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from megamedical.files.disk import is_full


class Outcome(TypedDict, total=False):
    """What has come of it: one of these.

    `path` is the file or folder that was brought, `failed` the name of an error. `is_missing` says
    that the client is not installed, `is_dropped` that a connection was; `is_full` is the number of
    the error of a disk.
    """

    path: str
    failed: str
    is_missing: bool
    is_dropped: bool
    is_full: int


def main() -> None:
    """Do what is asked for, and say what came of it."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    scheme, address, folder, seconds = json.load(sys.stdin)
    with answer:
        json.dump(_outcome(FETCHERS[scheme], address, Path(folder), float(seconds)), answer)


def _outcome(fetch: Fetcher, address: str, folder: Path, seconds: float) -> Outcome:
    import requests

    try:
        return {"path": str(fetch(address, folder, seconds))}
    except ImportError:
        return {"is_missing": True}
    except (requests.ConnectionError, requests.Timeout, ConnectionError, TimeoutError):
        return {"is_dropped": True}
    except Exception as error:
        if is_full(error):
            return {"is_full": getattr(error, "errno", None) or 0}
        return {"failed": type(error).__name__}


def _from_google_drive(file_id: str, folder: Path, seconds: float) -> Path:
    import gdown

    file = str(folder / "file")
    return Path(gdown.download(id=file_id, output=file, quiet=True, resume=True, timeout=seconds))


def _from_kaggle(address: str, folder: Path, seconds: float) -> Path:
    del seconds
    import kagglehub

    owner, dataset, *file = address.split("/", 2)
    return Path(
        kagglehub.dataset_download(
            f"{owner}/{dataset}",
            path=file[0] if file else None,
            output_dir=str(folder),
            force_download=True,
        )
    )


def _from_synapse(syn_id: str, folder: Path, seconds: float) -> Path:
    del seconds
    from synapseclient import Synapse
    from synapseclient.operations import FileOptions, get

    synapse = Synapse(silent=True)
    synapse.login(silent=True)
    options = FileOptions(download_location=str(folder), if_collision="overwrite.local")
    return Path(get(syn_id, file_options=options, synapse_client=synapse).path)


def _from_idc(collection: str, folder: Path, seconds: float) -> Path:
    del seconds
    from idc_index import IDCClient

    IDCClient().download_collection(
        collection, str(folder), show_progress_bar=False, use_s5cmd_sync=True
    )
    return folder


Fetcher = Callable[[str, Path, float], Path]

FETCHERS: dict[str, Fetcher] = {
    "gdrive": _from_google_drive,
    "kaggle": _from_kaggle,
    "synapse": _from_synapse,
    "idc": _from_idc,
}

if __name__ == "__main__":
    main()
