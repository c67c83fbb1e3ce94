"""A store as a dataset of Hugging Face's: Parquet with pictures in it, and a card with the terms.

Layout: https://huggingface.co/docs/datasets/repository_structure. Only what its owners allow to be
passed on is written.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from megamedical.errors import MegaMedicalError, SelectionError
from megamedical.files.disk import explain_full
from megamedical.files.writing import unfinished_name
from megamedical.reporting.progress import Listener, Silence, Step
from megamedical.sharing.card import card
from megamedical.sharing.terms import why_not
from megamedical.store.array_reader import Slices
from megamedical.store.describing.provenance import Provenances
from megamedical.store.store import Store

_OF_TASK = ("dataset", "group", "modality", "plane", "slicing", "label", "role")
_OF_EXAMPLE = ("task", "subject", "patient")
_SHARD = 4096  # examples of a file
_AT_ONCE = 256  # examples in memory

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCHEMA = pa.schema(
    [
        ("image", _PICTURE),
        ("mask", _PICTURE),
        *((name, pa.string()) for name in (*_OF_EXAMPLE, *_OF_TASK)),
        ("area", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Exported:
    """What was written, and which datasets were not, each with the reason."""

    folder: str
    datasets: tuple[str, ...]
    examples: int
    refused: tuple[str, ...]


def export(
    store: Store,
    folder: Path,
    provenances: Provenances,
    names: Sequence[str] = (),
    listener: Listener | None = None,
) -> Exported:
    """Write what may be passed on of a store into a new folder, whole or not at all.

    `<dataset>/<split>-00000-of-00001.parquet` has a row for each example: `image`, a PNG of 16 bits
    with 65,535 x its value, `mask`, one of 8 bits with 255 x its coverage, and what they are.
    `README.md` is the card.

    Args:
        store: an open store.
        folder: is made; it may be there, if it is empty.
        provenances: the terms of the store's datasets, as far as they are known.
        names: datasets; all that may be passed on by default.
        listener: hears how it goes.

    Raises:
        SelectionError: a name is not in the store, or nothing may be passed on, or not that.
        MegaMedicalError: there is something in the folder.
    """
    chosen, refused = _allowed(store, provenances, names)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MegaMedicalError(f"{folder} is not empty", "Name a new folder.")
    tasks = store.tasks[store.tasks["dataset"].isin(chosen)].set_index("task")
    examples = store.examples[store.examples["task"].isin(tasks.index)]
    unfinished = unfinished_name(folder.absolute())
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    listener = listener or Silence()
    try:
        with (
            listener.stage("export", len(examples), "examples") as step,
            explain_full(unfinished.parent, None, "the export"),
        ):
            unfinished.mkdir()
            homes = tasks.loc[examples["task"], "dataset"].to_numpy()
            for (dataset, split), rows in examples.groupby([homes, "split"], sort=True):
                _write(store, rows, tasks, unfinished / dataset, split, step)
            known = {name: provenances[name] for name in chosen}
            text = card(store, tasks.reset_index(), known)
            (unfinished / "README.md").write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Exported(str(folder), tuple(chosen), len(examples), tuple(refused))


def _allowed(
    store: Store, provenances: Provenances, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The datasets that are written, and why others are not."""
    there = sorted(set(store.tasks["dataset"]))
    for name in names:
        if name not in there:
            near = get_close_matches(name, there)
            raise SelectionError(
                f"The store at {store.location} has no dataset {name}",
                f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(there)}.",
            )
    reasons = {name: why_not(name, provenances.get(name)) for name in names or there}
    refused = [reason for reason in reasons.values() if reason]
    if refused and (names or len(refused) == len(reasons)):
        raise SelectionError("; ".join(refused), "Leave it out; nothing was written.")
    if not reasons:
        raise SelectionError(f"The store at {store.location} is empty.")
    return [name for name, reason in reasons.items() if not reason], refused


def _write(
    store: Store, rows: pd.DataFrame, tasks: pd.DataFrame, folder: Path, split: str, step: Step
) -> None:
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    shards = -(-len(rows) // _SHARD)
    for shard in range(shards):
        own = rows.iloc[shard * _SHARD : (shard + 1) * _SHARD]
        name = f"{split}-{shard:05}-of-{shards:05}.parquet"
        with pq.ParquetWriter(folder / name, _SCHEMA.with_metadata(_features())) as writer:
            for table in _tables(store, own, tasks):
                writer.write_table(table)
                for _ in range(len(table)):
                    step(f"{folder.name} {split}")


def _tables(store: Store, rows: pd.DataFrame, tasks: pd.DataFrame) -> Iterator[pa.Table]:
    arrays: dict[str, tuple[Slices, Slices]] = {}
    groups = (tasks["dataset"] + "/" + tasks["group"]).to_dict()
    for group, own in rows.groupby(rows["task"].map(groups), sort=True):
        if group not in arrays:
            arrays[group] = store.slices(group)
        for start in range(0, len(own), _AT_ONCE):
            part = own.iloc[start : start + _AT_ONCE]
            images, masks = (
                array.read(part[name].to_numpy())
                for array, name in zip(arrays[group], ("image", "mask"), strict=True)
            )
            columns = {
                "image": [*map(_picture, _as_16_bits(images))],
                "mask": [*map(_picture, masks)],
                **{name: part[name].to_list() for name in (*_OF_EXAMPLE, "area")},
                **{name: tasks.loc[part["task"], name].to_list() for name in _OF_TASK},
            }
            yield pa.Table.from_pydict(columns, schema=_SCHEMA)


def _as_16_bits(images: NDArray[np.float16]) -> NDArray[np.uint16]:
    return np.rint(images.astype(np.float32) * 65535).astype(np.uint16)


def _picture(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> dict[str, bytes | None]:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return {"bytes": content.getvalue(), "path": None}


def _features() -> dict[str, str]:
    """What the `datasets` library reads the kinds of columns from."""
    kinds = {str(pa.string()): "string", str(pa.float32()): "float32"}
    features = {
        field.name: {"_type": "Image"}
        if field.type == _PICTURE
        else {"dtype": kinds[str(field.type)], "_type": "Value"}
        for field in _SCHEMA
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}
