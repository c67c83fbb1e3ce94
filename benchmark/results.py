"""Result rows: one for each query and draw, in Parquet, with all that says how they came about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from benchmark.method import About
from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from megamedical.task_id import slug

if TYPE_CHECKING:
    import pandas as pd

ENSEMBLE = -1  # the draw of a row that scores the mean prediction of all draws
POOL = 0  # the support size of a method that was trained on all that supports are drawn from


class ResultsError(MegaMedicalError):
    """Results are missing or damaged, or must not be mixed."""


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind, metadata={"meaning": meaning}) for name, kind, meaning in columns]
    )


ROWS = _schema(
    ("suite", pa.string(), "id of the suite"),
    ("protocol", pa.string(), "SHA-256 of the suite's protocol"),
    ("data", pa.string(), "fingerprint of the task in the store"),
    ("method", pa.string(), "name of the method"),
    ("version", pa.string(), "of the method's code"),
    ("weights", pa.string(), "SHA-256 of its weights; empty if it has none"),
    ("task", pa.string(), "id of the task"),
    ("dataset", pa.string(), "id of the dataset"),
    ("group", pa.string(), "<dataset>/<group>"),
    ("subject", pa.string(), "the query"),
    ("patient", pa.string(), "its patient"),
    ("support_size", pa.int32(), "as asked for; 0: all that supports are drawn from"),
    ("draw", pa.int32(), "from 0; -1: the ensemble of all draws"),
    ("dice", pa.float64(), "0 to 1; empty where the method failed"),
    ("hd95", pa.float64(), "pixels"),
    ("assd", pa.float64(), "pixels"),
    ("surface_dice", pa.float64(), "0 to 1, within one pixel"),
    ("seconds", pa.float64(), "to fit and predict; of an ensemble, of all its draws"),
    ("memory", pa.int64(), "bytes, the peak of the process while the task was run"),
    ("mask", pa.binary(), "of an ensemble: what was found, packed bits of (H, W), zlib"),
    ("failure", pa.string(), "why there is no score; empty where there is one"),
)


@dataclass(frozen=True)
class Provenance:
    """What stands beside the rows of a method: who made them, on what."""

    asked: str
    about: About
    hardware: str
    package: str
    store: str
    store_fingerprint: str
    missing: Sequence[str]

    def save(self, folder: Path) -> None:
        """Write it as JSON."""
        sweep(folder / "method.json")
        with whole_file(folder / "method.json") as path:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Provenance:
        """Read what `save` wrote.

        Raises:
            ResultsError: it is missing or damaged.
        """
        try:
            said = json.loads((folder / "method.json").read_text(encoding="utf-8"))
            return cls(**{**said, "about": About(**said["about"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ResultsError(
                f"{folder / 'method.json'} cannot be read: {error}",
                f"Delete {folder}, and run the method again.",
            ) from error


def folder_of(out: Path, suite: str, about: About) -> Path:
    """Where the rows of a method lie: by its name, version and weights."""
    parts = [slug(about.name), f"v{about.version}", about.weights[:8]]
    return out / suite / "-".join(part for part in parts if part)


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows as Parquet, whole or not at all."""
    import pyarrow.parquet as pq

    with whole_file(path) as unfinished:
        pq.write_table(pa.Table.from_pylist(list(rows), ROWS), unfinished, compression="zstd")


def sweep(path: Path) -> None:
    """Remove what a run that died had not written of a file to its end; no other may write it."""
    for unfinished in path.parent.glob(f".{escape(path.name)}.*.unfinished"):
        unfinished.unlink(missing_ok=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read rows; none if there is no such file.

    Raises:
        ResultsError: it is damaged, or of another version.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(f"{path} is damaged: {error}", "Delete it and run again.") from error
    if table.schema.names != ROWS.names:
        raise ResultsError(f"{path} has other columns than this version writes", "Delete it.")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_results(out: Path) -> tuple[pd.DataFrame, list[Provenance]]:
    """All rows below a folder, and the methods that they are of.

    Raises:
        ResultsError: there are none, or some are damaged.
    """
    import pandas as pd

    folders = sorted(path.parent for path in out.rglob("method.json"))
    if not folders:
        raise ResultsError(f"There are no results in {out}", "Make some with `run`.")
    rows = [
        row
        for folder in folders
        for path in sorted(folder.glob("*.parquet"))
        for row in read_rows(path)
    ]
    return pd.DataFrame(rows, columns=ROWS.names), [Provenance.load(each) for each in folders]
