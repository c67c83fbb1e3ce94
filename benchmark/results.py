"""Result rows: one for each query and draw, in Parquet, with all that says how they came about."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.machine.places import name_of, without_folders
from benchmark.method import About, Track
from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from megamedical.task_id import slug

if TYPE_CHECKING:
    import pandas as pd

ENSEMBLE = -1  # the draw of a row that scores the mean prediction of all draws
POOL = 0  # the support size of a method that was trained on all that supports are drawn from
OF_QUERY, OF_TASK, OF_POOL = "query", "task", "pool"  # whose a support is


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
    ("track", pa.string(), "in context: its weights stay as they are; tuned: they change"),
    ("support", pa.string(), "whose it is: query, task (all its queries share it), or pool"),
    ("support_size", pa.int32(), "as asked for; 0: all that supports are drawn from"),
    ("draws", pa.int32(), "supports of each query, or of the task"),
    ("draw", pa.int32(), "from 0; -1: the ensemble of all draws"),
    ("dice", pa.float64(), "0 to 1; empty where the method failed"),
    ("expected", pa.float64(), "Dice that the method expected of queries; empty if it cannot say"),
    ("hd95", pa.float64(), "pixels"),
    ("assd", pa.float64(), "pixels"),
    ("surface_dice", pa.float64(), "0 to 1, within one pixel"),
    ("cldice", pa.float64(), "of vessels: centreline Dice, 0 to 1"),
    ("object_f1", pa.float64(), "of cells: F1 of objects at an IoU of 0.5, 0 to 1"),
    ("calibration_error", pa.float64(), "0 to 1, of pixels that matter"),
    ("dice_at", pa.list_(pa.float64()), "Dice of the prediction cut at 0.1, 0.2 … 0.9"),
    ("native_dice", pa.float64(), "on the grid of the scan; empty where its mask was not at hand"),
    ("native_hd95", pa.float64(), "mm, on the grid of the scan; empty of pictures, too"),
    ("device", pa.string(), "where the method computed"),
    ("fit_seconds", pa.float64(), "of a fit that queries share; of an ensemble, of all draws"),
    ("seconds", pa.float64(), "to predict, and to fit where queries share no fit; likewise"),
    ("memory", pa.int64(), "bytes, the peak of the process while the task was run"),
    ("mask", pa.binary(), "of an ensemble: what was found, packed bits of (H, W), zlib"),
    ("failure", pa.string(), "why there is no score; empty where there is one"),
)

# Columns that rows of 0.1 lack.
_LATER = {
    *("track", "support", "draws", "expected", "cldice", "object_f1", "calibration_error"),
    *("dice_at", "native_dice", "native_hd95", "device", "fit_seconds"),
}
_ALWAYS = [name for name in ROWS.names if name not in _LATER]


@dataclass(frozen=True)
class Provenance:
    """What stands beside the rows of a method: who made them, on what.

    `options` are those of `run` that stand in no other place: `--limit 5`. `store` is its name. Of
    the machine it says nothing but the hardware: files go by their names.
    """

    asked: str
    about: About
    hardware: str
    package: str
    store: str
    store_fingerprint: str
    missing: Sequence[str]
    options: Sequence[str] = ()

    def save(self, folder: Path) -> None:
        """Write it as JSON."""
        sweep(folder / "method.json")
        with whole_file(folder / "method.json") as path:
            path.write_text(self.written, encoding="utf-8")

    @property
    def written(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self.without_folders), indent=2) + "\n"

    @property
    def without_folders(self) -> Provenance:
        """The same, without what a machine calls its folders; 0.1 told them."""
        return replace(
            self,
            asked=without_folders(self.asked),
            store=name_of(self.store),
            options=[without_folders(option) for option in self.options],
        )

    @classmethod
    def load(cls, folder: Path) -> Provenance:
        """Read what `save` wrote.

        Raises:
            ResultsError: it is missing or damaged.
        """
        try:
            said = json.loads((folder / "method.json").read_text(encoding="utf-8"))
            return cls(**{**said, "about": About(**said["about"])}).without_folders
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
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
    with whole_file(path) as unfinished:
        unfinished.write_bytes(_encoded(rows))


def _encoded(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), ROWS), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def published(path: Path) -> bytes:
    """A file of results as others get it: what says where things lie on a machine is left out.

    Raises:
        ResultsError: it is damaged.
    """
    if path.suffix == ".json":
        return Provenance.load(path.parent).written.encode()
    rows = read_rows(path)
    told = [row | {"failure": without_folders(row["failure"])} for row in rows]
    return path.read_bytes() if told == rows else _encoded(told)


def packed(mask: NDArray[np.bool_]) -> bytes:
    """A mask (H, W) in few bytes."""
    return zlib.compress(np.packbits(mask).tobytes())


def unpacked(content: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (H, W) that `packed` made small.

    Raises:
        ValueError: it is another's, or damaged.
    """
    height, width = shape
    unzipped = zlib.decompressobj().decompress(content, max_length=height * width)
    bits = np.frombuffer(unzipped, np.uint8)
    return np.unpackbits(bits, count=height * width).reshape(shape).astype(bool)


def sweep(path: Path) -> None:
    """Remove what a run that died had not written of a file to its end; no other may write it."""
    for unfinished in path.parent.glob(f".{escape(path.name)}.*.unfinished"):
        unfinished.unlink(missing_ok=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read rows; none if there is no such file.

    Raises:
        ResultsError: it is damaged, or of a later version; what an earlier one wrote is read, and
            says nothing of what was not measured then.
    """
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(f"{path} is damaged: {error}", "Delete it and run again.") from error
    return _completed(table, path)


def _completed(table: pa.Table, path: Path) -> list[dict[str, Any]]:
    """Rows with all columns; an earlier version wrote fewer."""
    unknown = sorted(set(table.schema.names) - set(ROWS.names))
    lost = [name for name in _ALWAYS if name not in table.schema.names]
    if unknown or lost:
        said = f"lacks {', '.join(lost)}" if lost else f"has {', '.join(unknown)}"
        raise ResultsError(
            f"{path} holds no rows that this version knows: it {said}",
            "Read it with the version of megamedical that wrote it, or delete it and run again.",
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    absent = [name for name in ROWS.names if name not in table.schema.names]
    return [row | dict.fromkeys(absent) for row in rows]


def completed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that all say their track and whose their support was, as those of 0.1 did not.

    Those were of methods that were shown a support with each query, or trained on the pool.
    """
    is_of_pool = rows["support_size"] == POOL
    track = is_of_pool.map({True: str(Track.TUNED), False: str(Track.IN_CONTEXT)})
    support = is_of_pool.map({True: OF_POOL, False: OF_QUERY})
    known = {name: rows[name].astype(object) for name in ("track", "support")}
    return rows.assign(
        track=known["track"].where(rows["track"].notna(), track),
        support=known["support"].where(rows["support"].notna(), support),
    )


def read_results(*places: Path) -> tuple[pd.DataFrame, list[Provenance]]:
    """All rows below folders, and the methods that they are of.

    Raises:
        ResultsError: there are none in one of them, or some are damaged.
    """
    import pandas as pd

    folders = []
    for place in dict.fromkeys(places):
        below = sorted(path.parent for path in place.rglob("method.json"))
        if not below:
            raise ResultsError(f"There are no results in {place}", "Make some with `run`.")
        folders += below
    rows = [
        row
        for folder in folders
        for path in sorted(folder.glob("*.parquet"))
        for row in read_rows(path)
    ]
    return pd.DataFrame(rows, columns=ROWS.names), [Provenance.load(each) for each in folders]
