"""What is known of trained weights: what they have seen, how they were made, how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class ModelCard(BaseModel):
    """The card that weights carry in their file.

    Attributes:
        model: its name.
        architecture: its keyword arguments.
        megamedical: the version that trained it.
        store: the fingerprint of the store.
        groups: the fingerprint of each `<dataset>/<group>` of which slices were seen.
        tasks: how many were trained on.
        unseen: tasks that were not trained on, but by which the weights were chosen.
        step: after how many the weights were taken.
        scores: Dice on the dev split.
        settings: all of the run; `begin_with` is the SHA-256 of the file of weights, or "".
    """

    model_config = ConfigDict(frozen=True)

    model: str
    architecture: Mapping[str, Any]
    megamedical: str
    store: str
    groups: Mapping[str, str]
    tasks: int
    unseen: tuple[str, ...]
    step: int
    scores: Mapping[str, float]
    settings: Mapping[str, Any]
