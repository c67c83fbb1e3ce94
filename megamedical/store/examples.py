"""Where the slices of an example are, found without looking at every other example."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa

_TASKS = 64  # whose subjects are kept by name


class ExampleIndex:
    """Positions of image and mask by task and subject."""

    def __init__(self, examples: pa.Table) -> None:
        tasks = examples["task"].combine_chunks().dictionary_encode()
        codes = tasks.indices.to_numpy()
        self._rows = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes, range(len(tasks.dictionary) + 1), sorter=self._rows)
        self._spans = dict(zip(tasks.dictionary.to_pylist(), pairwise(ends), strict=True))
        self._examples = examples.select(["subject", "image", "mask"])
        self._subjects = lru_cache(_TASKS)(self._read_subjects)

    def find(self, task: str, subject: str) -> tuple[int, int] | None:
        """The positions of an example's slices in its group's `images` and `masks`."""
        return self._subjects(task).get(subject)

    def _read_subjects(self, task: str) -> dict[str, tuple[int, int]]:
        begin, end = self._spans.get(task, (0, 0))
        rows = self._examples.take(self._rows[begin:end])
        names, images, masks = (column.to_pylist() for column in rows.columns)
        return dict(zip(names, zip(images, masks, strict=True), strict=True))
