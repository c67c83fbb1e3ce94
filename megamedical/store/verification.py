"""Is a store whole, and does it hold what it says? Every file is read and every row checked."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from megamedical.errors import StoreError
from megamedical.reporting.progress import Listener, Silence
from megamedical.store.checks.arrays import check_group, problems_of_nodes
from megamedical.store.checks.tables import homes_of, problems_of_tables, remarks_on
from megamedical.store.store import open_store


@dataclass(frozen=True)
class Verdict:
    """What a verification found: how much it looked at, and all that is wrong.

    `remarks` are no faults of the store: groups with fewer subjects than their manifest says there
    are, and what could not be checked.
    """

    groups: int
    images: int
    masks: int
    examples: int
    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def verify(path: str | Path, listener: Listener | None = None) -> Verdict:
    """Check a store against itself.

    Every file must be the one that was written; the tables must be the ones the store was finished
    with and agree with each other, with the attributes, and with the arrays; images must be finite
    and lie in [0, 1]; every mask must cover the area that its examples state; tasks must have the
    fingerprints that their groups' give; no patient may be in two splits.

    Raises:
        StoreError: there is no whole store at the path, see `open_store`; or a build changed it
            while it was read.
    """
    store = open_store(path)
    problems = [*problems_of_tables(store), *problems_of_nodes(store)]
    images = masks = 0
    groups = store.attributes.groups
    examples = store.examples
    of_group = dict(tuple(examples.groupby(homes_of(examples["task"]), sort=False)))
    with (
        (listener or Silence()).stage("verify", len(groups), "groups") as step,
        ThreadPoolExecutor(os.cpu_count()) as executor,
    ):
        for group in groups:
            found = check_group(store, group, of_group.get(group, examples[:0]), executor)
            images, masks = images + found.images, masks + found.masks
            problems += found.problems
            step(group)
    if problems and open_store(path).attributes != store.attributes:
        raise StoreError(f"A build changed the store at {path} meanwhile", "Verify it again.")
    return Verdict(
        len(groups), images, masks, len(examples), tuple(problems), tuple(remarks_on(store))
    )
