"""One task of a store: what it is, its examples, and how they look."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.store.notebook.page import table
from megamedical.store.tables import SHARES

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from megamedical.store.sampling.datasets import EpisodeDataset, SliceDataset
    from megamedical.store.store import Store

_SHOWN = ("dataset", "group", "modality", "plane", "slicing", "label", "role")


@dataclass(frozen=True, eq=False)
class StoredTask:
    """A task: `name` is its id, `row` what `Store.tasks` says of it."""

    store: Store
    name: str
    row: pd.Series

    def __len__(self) -> int:
        """How many subjects it has."""
        return len(self.examples)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """The image and the mask of each subject; see `Store.read`."""
        return (self.read(subject) for subject in self.examples["subject"])

    @cached_property
    def examples(self) -> pd.DataFrame:
        """Its rows of `Store.examples`."""
        examples = self.store.examples
        return examples[examples["task"] == self.name].reset_index(drop=True)

    def read(self, subject: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The image and the mask of a subject; see `Store.read`."""
        return self.store.read(self.name, subject)

    def dataset(self, **asked: Any) -> SliceDataset:  # noqa: ANN401
        """Its slices for PyTorch; see `Store.dataset`."""
        return self.store.dataset(self.name, **asked)

    def episodes(self, **asked: Any) -> EpisodeDataset:  # noqa: ANN401
        """Its episodes for PyTorch; see `Store.episodes`."""
        return self.store.episodes(self.name, **asked)

    def show(self, subjects: int = 6) -> Image:
        """A picture: some of its slices, with the mask as an outline."""
        return self.store.preview(self.name, per_task=subjects, columns=1)

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.row[split]} {split}" for split in SHARES)
        return f"<task {self.name}: {counts}>"

    def _repr_html_(self) -> str:
        values = [[str(self.row[name]) for name in _SHOWN] + [int(self.row[s]) for s in SHARES]]
        return table((*_SHOWN, *SHARES), values, SHARES)

    def _repr_png_(self) -> bytes | None:
        if not len(self):
            return None
        content = io.BytesIO()
        self.show().save(content, format="PNG")
        return content.getvalue()
