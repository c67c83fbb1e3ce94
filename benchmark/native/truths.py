"""Masks on the grids of their scans: a file of them, and predictions brought back to be scored."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmark.results import packed, unpacked
from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from universeg.measures.masks import Surfaces, dice

if TYPE_CHECKING:
    from benchmark.cases import TaskCases

NATIVE = ("native_dice", "native_hd95")
_MAKE = "Make it with `megamedical-benchmark native`, for this store and this suite."

COLUMNS = pa.schema(
    [
        pa.field(name, kind, metadata={"meaning": meaning})
        for name, kind, meaning in (
            ("task", pa.string(), "id of the task"),
            ("data", pa.string(), "fingerprint of the task in the store"),
            ("subject", pa.string(), "whose scan it is"),
            ("rows", pa.list_(pa.float64()), "where they lie in the slice, in pixels; or NaN"),
            ("columns", pa.list_(pa.float64()), "likewise"),
            ("spacing", pa.list_(pa.float64()), "mm between rows, and columns; none of a picture"),
            ("mask", pa.binary(), "packed bits of (rows, columns), zlib"),
            ("ceiling", pa.float64(), "Dice of the slice's own mask, brought back"),
        )
    ]
)


class NativeError(MegaMedicalError):
    """There are no masks on the grids of scans, or not those of this store."""


@dataclass(frozen=True, eq=False)
class NativeTruth:
    """The mask (h, w) of a query on the grid of its scan.

    `rows` (h,) and `columns` (w,) say where its voxels lie in the slice, in pixels from the centre
    of the first; NaN where the slice does not show them. `spacing` is in mm; None of a picture.
    """

    mask: NDArray[np.bool_]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    spacing: Sequence[float] | None

    def brought_back(self, probability: NDArray[np.floating]) -> NDArray[np.float64]:
        """A prediction (H, W) on the grid of the scan, (h, w).

        Linear between the centres of pixels; 0 where the slice does not show the scan.
        """
        down = _between(np.asarray(probability, np.float64), self.rows)
        return _between(down.T, self.columns).T

    def scores(
        self, probability: NDArray[np.floating], threshold: float, both_empty: float
    ) -> dict[str, float | None]:
        """Dice, and 95 % Hausdorff distance in mm, of a prediction (H, W) that is brought back."""
        found = self.brought_back(probability) > threshold
        far = Surfaces(found, self.mask, self.spacing).hd95() if self.spacing else None
        return {"native_dice": dice(found, self.mask, both_empty), "native_hd95": far}

    def as_row(self) -> dict[str, Any]:
        """As the file has it."""
        return {
            "rows": self.rows.tolist(),
            "columns": self.columns.tolist(),
            "spacing": list(self.spacing or ()),
            "mask": packed(self.mask),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> NativeTruth:
        """What `as_row` wrote.

        Raises:
            ValueError: it is damaged.
        """
        rows, columns = np.array(row["rows"]), np.array(row["columns"])
        mask = unpacked(row["mask"], (len(rows), len(columns)))
        return cls(mask, rows, columns, row["spacing"] or None)


def write_truths(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write rows as Parquet, those of a task together; whole or not at all."""
    import pyarrow.parquet as pq

    ordered = sorted(rows, key=lambda row: (row["task"], row["subject"]))
    with whole_file(path) as unfinished:
        pq.write_table(pa.Table.from_pylist(ordered, COLUMNS), unfinished, compression="zstd")


def read_truths(path: Path, cases: TaskCases) -> dict[str, NativeTruth]:
    """The masks of the queries of a task, by subject.

    Raises:
        NativeError: there is no such file, it is damaged, or it lacks one of them.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        raise NativeError(f"There is no file {path}", _MAKE)
    try:
        table = pq.read_table(path, schema=COLUMNS, filters=[("task", "=", cases.task)])
        found = {
            row["subject"]: NativeTruth.of_row(row)
            for row in table.to_pylist()
            if row["data"] == cases.fingerprint
        }
    except (OSError, ValueError, TypeError, zlib.error, pa.ArrowException) as error:
        raise NativeError(f"{path} is damaged: {error}", _MAKE) from error
    absent = sorted(query.subject for query in cases.queries if query.subject not in found)
    if absent:
        raise NativeError(f"{path} has no mask of {absent[0]} of {cases.task} as it is now", _MAKE)
    return found


def _between(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows of (n, m) at places among them, (len(places), m), linear; 0 where one is NaN."""
    is_seen = np.isfinite(places)
    seen = np.where(is_seen, places, 0).clip(0, len(values) - 1)
    lower = np.minimum(seen.astype(int), max(len(values) - 2, 0))
    share = (seen - lower)[:, None]
    upper = np.minimum(lower + 1, len(values) - 1)
    return (values[lower] * (1 - share) + values[upper] * share) * is_seen[:, None]
