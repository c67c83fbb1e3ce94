"""What methods are called on a board, so that those of one name are told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from benchmark.results import Provenance

if TYPE_CHECKING:
    import pandas as pd

_METHOD = ["method", "version", "weights"]


def with_labels(rows: pd.DataFrame, provenance: Sequence[Provenance] = ()) -> pd.DataFrame:
    """The rows with names of methods that tell them apart, where one has several weights.

    Weights are called as they were asked for, where that tells them apart, and else by their hash.
    The order of the rows makes no difference to the names.
    """
    methods = rows[_METHOD].drop_duplicates()
    names, versions = methods["method"], methods["method"] + methods["weights"]
    called = _names_of_weights(provenance)
    labels = {
        (name, version, weights): " ".join(
            part
            for part, is_needed in (
                (name, True),
                (called.get((name, weights), weights[:8]), (names == name).sum() > 1),
                (f"v{version}", (versions == name + weights).sum() > 1),
            )
            if is_needed and part
        )
        for name, version, weights in methods.itertuples(index=False)
    }
    return rows.assign(
        name=rows["method"],
        method=[labels[key] for key in rows[_METHOD].itertuples(index=False, name=None)],
    )


def _names_of_weights(provenance: Sequence[Provenance]) -> dict[tuple[str, str], str]:
    """What the weights of a method were called, where no others of it were called so."""
    called: dict[tuple[str, str], set[str]] = defaultdict(set)
    for said in provenance:
        argument = said.asked.partition(":")[2].partition("+")[0]
        called[said.about.name, PurePath(argument).stem].add(said.about.weights)
    return {
        (method, weights): name
        for (method, name), (weights, *others) in called.items()
        if name and weights and not others
    }
