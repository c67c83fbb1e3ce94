"""The columns of the store's Parquet tables: names, types, units and meanings, in one place.

`FORMAT` counts up whenever a column changes its name, type or meaning, or the arrays their layout.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import get_args

import pyarrow as pa

from megamedical.errors import Stage, StoreError

FORMAT = 2
READABLE = (1, FORMAT)  # the first had no checksums of files and chunks, and no table of groups

# Of the patients of a group (paper.md, Data).
SHARES: Mapping[str, float] = {"train": 0.6, "dev": 0.2, "test": 0.2}


def _table(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    fields = [
        pa.field(name, type_, nullable=False, metadata={"meaning": meaning})
        for name, type_, meaning in columns
    ]
    return pa.schema(fields, metadata={"megamedical": str(FORMAT)})


_FILE = pa.struct(
    [pa.field("path", pa.string(), nullable=False), pa.field("sha256", pa.string(), nullable=False)]
)

TASKS = _table(
    ("task", pa.string(), "<dataset>/<group>/<modality>/<plane>/<slicing>/<label>"),
    ("dataset", pa.string(), "id of the dataset"),
    ("group", pa.string(), "group within the dataset"),
    ("modality", pa.string(), "what took the image, e.g. mri"),
    ("plane", pa.string(), "axial, coronal, sagittal; 2d for pictures"),
    ("slicing", pa.string(), "mid: the middle slice; max: the one where the label is largest"),
    ("label", pa.string(), "the anatomical name, as the manifest has it"),
    ("role", pa.string(), "train, dev, heldout or extra: what the dataset is meant for"),
    ("train", pa.int32(), "subjects of the task in the train split"),
    ("dev", pa.int32(), "subjects of the task in the dev split"),
    ("test", pa.int32(), "subjects of the task in the test split"),
    ("empty", pa.int32(), "subjects of the task whose mask has no pixel; -1 where nobody counted"),
    ("fingerprint", pa.string(), "SHA-256 of what the task was made from"),
)

EXAMPLES = _table(
    ("task", pa.string(), "id of the task"),
    ("subject", pa.string(), "subject, unique within its group"),
    ("patient", pa.string(), "patient, unique within the dataset"),
    ("split", pa.string(), "train, dev or test"),
    ("image", pa.int32(), "position of the slice in the group's `images`"),
    ("mask", pa.int32(), "position of the mask in the group's `masks`"),
    ("slice", pa.int16(), "index of the slice, of as many as the resolution"),
    ("area", pa.float32(), "share of the slice that the label covers, 0 to 1"),
)

SUBJECTS = _table(
    ("dataset", pa.string(), "id of the dataset"),
    ("group", pa.string(), "group within the dataset"),
    ("subject", pa.string(), "subject, unique within its group"),
    ("patient", pa.string(), "patient, unique within the dataset"),
    ("split", pa.string(), "train, dev or test"),
    ("fields", pa.map_(pa.string(), pa.string()), "what the file names say, e.g. frame, phase"),
    ("files", pa.list_(_FILE), "the source files, by their path in the archive"),
    ("spacing", pa.list_(pa.float32()), "mm between voxels, in the order of `shape`"),
    ("shape", pa.list_(pa.int32()), "voxels (Z, Y, X) in canonical order, or pixels (H, W)"),
    ("orientation", pa.string(), "axes (i, j, k) of the file, e.g. RAS; empty for pictures"),
    ("known_errors", pa.list_(pa.string()), "what is known to be wrong, see docs/datasets.md"),
)
_LATER = {"known_errors"}  # columns that stores of earlier versions lack

*_EARLY, _LAST = get_args(Stage)
_STAGES = f"{', '.join(_EARLY)} or {_LAST}"

FAILURES = _table(
    ("dataset", pa.string(), "id of the dataset"),
    ("group", pa.string(), "group within the dataset"),
    ("subject", pa.string(), "subject, or the file where no subject is known"),
    ("stage", pa.string(), _STAGES),
    ("file", pa.string(), "the file at fault, by its path in the archive"),
    ("reason", pa.string(), "what is wrong with it"),
)

GROUPS = _table(
    ("dataset", pa.string(), "id of the dataset"),
    ("group", pa.string(), "group within the dataset"),
    ("subjects", pa.int32(), "subjects of the group that are in the store"),
    ("expected", pa.int32(), "subjects that its manifest says there are; 0 where it is not known"),
    ("images", pa.int32(), "length of the group's `images`"),
    ("masks", pa.int32(), "length of the group's `masks`"),
    ("fingerprint", pa.string(), "SHA-256 of what the group was made from"),
    ("checksum", pa.string(), "SHA-256 of the group's `zarr.json`, which has those of its files"),
)

TABLES: Mapping[str, pa.Schema] = {
    "groups": GROUPS,
    "tasks": TASKS,
    "examples": EXAMPLES,
    "subjects": SUBJECTS,
    "failures": FAILURES,
}

ORDER: Mapping[str, tuple[str, ...]] = {
    "groups": ("dataset", "group"),
    "tasks": ("task",),
    "examples": ("task", "subject"),
    "subjects": ("dataset", "group", "subject"),
    "failures": ("dataset", "group", "subject", "file", "reason"),
}


def tables_of(format_: int) -> tuple[str, ...]:
    """The tables that a store of a format has."""
    return tuple(name for name in TABLES if format_ > 1 or name != "groups")


def task_fingerprint(group: str, task: str) -> str:
    """The fingerprint of a task, from that of its group and its own id."""
    return hashlib.sha256(json.dumps([group, task]).encode()).hexdigest()


def encode_table(table: pa.Table) -> bytes:
    """A table as Parquet: the same rows give the same bytes."""
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", store_schema=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def decode_table(content: bytes, name: str) -> pa.Table:
    """A table of the store from its Parquet bytes.

    Raises:
        StoreError: it is no table, or its columns are not those of this version.
    """
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{name}.parquet cannot be read: {error}") from error
    if name == "tasks" and "empty" not in table.column_names and "test" in table.column_names:
        uncounted = pa.array([-1] * len(table), pa.int32())
        place = table.column_names.index("test") + 1
        table = table.add_column(place, TASKS.field("empty"), uncounted)
    for place, column in enumerate(TABLES[name]):
        if column.name in _LATER and column.name not in table.column_names:
            nothing = pa.array([[]] * len(table), column.type)
            table = table.add_column(place, column, nothing)
    if not table.schema.equals(TABLES[name]):
        raise StoreError(
            f"{name}.parquet has other columns than this version of megamedical writes",
            "Build the store anew, or use the version that built it.",
        )
    return table


def in_order(table: pa.Table, name: str) -> pa.Table:
    """The rows of a table in the order they have in the store."""
    return table.sort_by([(column, "ascending") for column in ORDER[name]])
