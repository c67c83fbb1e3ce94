"""Whether the tables of a store agree with its attributes, and with each other."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from megamedical.store.attributes import store_fingerprint
from megamedical.store.store import Store
from megamedical.store.tables import SHARES, task_fingerprint
from megamedical.task_id import TaskId, slug

_PARTS = ("dataset", "group", "modality", "plane", "slicing")


def problems_of_tables(store: Store) -> Iterator[str]:
    """All that is wrong with the tables, a line each."""
    said = store.attributes
    if said.fingerprint != store_fingerprint(said.groups):
        yield "zarr.json: the fingerprint is not that of its groups"
    tasks = store.tasks
    if tasks["task"].duplicated().any():
        yield "tasks: an id comes twice"
        tasks = tasks.drop_duplicates("task")
    yield from _ids(tasks)
    yield from _fingerprints(store, tasks)
    if said.format > 1:
        yield from _groups(store)
    yield from _examples(store, tasks)
    yield from _subjects(store)


def remarks_on(store: Store) -> Iterator[str]:
    """What is not wrong, and should be known: groups that have not all of their subjects."""
    if store.attributes.format == 1:
        yield (
            "the store has format 1, without checksums: of its images only the range of their "
            "values was checked, of its zarr.json files nothing; nor is it known how many "
            "subjects there should be"
        )
    failed = store.failures.groupby(["dataset", "group"]).size()
    for row in store.groups.itertuples():
        if row.subjects < row.expected:
            lost = failed.get((row.dataset, row.group), 0)
            more = f", {lost:,} could not be processed" if lost else ""
            yield (
                f"{row.dataset}/{row.group}: {row.subjects:,} subjects; its manifest says "
                f"{row.expected:,}{more}"
            )


def _ids(tasks: pd.DataFrame) -> Iterator[str]:
    for row in tasks.itertuples():
        parts = (*(getattr(row, part) for part in _PARTS), slug(row.label))
        if row.task != "/".join(parts):
            yield f"tasks: {row.task} is called otherwise than its columns say"


def _fingerprints(store: Store, tasks: pd.DataFrame) -> Iterator[str]:
    groups = store.attributes.groups
    for task, stated in zip(tasks["task"], tasks["fingerprint"], strict=True):
        home = TaskId.parse(task).home if task.count("/") == len(_PARTS) else ""
        if home in groups and stated != task_fingerprint(groups[home], task):
            yield f"tasks: the fingerprint of {task} is not that of its group"
    foreign = set(tasks["dataset"] + "/" + tasks["group"]) - set(groups)
    if foreign:  # the other way round, a group may be without a task
        yield f"tasks has groups that the store does not have: {', '.join(sorted(foreign))}"


def _groups(store: Store) -> Iterator[str]:
    rows = store.groups
    paths = rows["dataset"] + "/" + rows["group"]
    if dict(zip(paths, rows["fingerprint"], strict=True)) != store.attributes.groups or (
        paths.duplicated().any()
    ):
        yield "groups: they, or their fingerprints, are not those of zarr.json"
    subjects = store.subjects
    counted = (subjects["dataset"] + "/" + subjects["group"]).value_counts()
    stated = pd.Series(rows["subjects"].to_numpy(), index=paths)
    unlike = counted.reindex(stated.index, fill_value=0) != stated
    for path in stated.index[unlike]:
        yield f"groups: {path} has not {stated[path]:,} subjects, but {counted.get(path, 0):,}"


def _examples(store: Store, tasks: pd.DataFrame) -> Iterator[str]:
    examples = store.examples
    unknown = set(examples["task"].unique()) ^ set(tasks["task"])
    if unknown:
        yield f"tasks and examples differ in {sorted(unknown)[0]} and {len(unknown) - 1} more"
    if examples.duplicated(["task", "subject"]).any():
        yield "examples: a subject comes twice in a task"
    stated = tasks.set_index("task")[list(SHARES)]
    counted = pd.crosstab(examples["task"], examples["split"])
    counted = counted.reindex(index=stated.index, columns=stated.columns, fill_value=0)
    for split in SHARES:
        if (counted[split] != stated[split]).any():
            yield f"tasks: the numbers of {split} subjects are not those of examples"


def _subjects(store: Store) -> Iterator[str]:
    subjects, examples = store.subjects, store.examples
    for dataset, patient in in_several_splits(subjects):
        own = subjects[(subjects["dataset"] == dataset) & (subjects["patient"] == patient)]
        splits = sorted(own["split"].unique())
        yield f"{dataset}: patient {patient} is in several splits: {splits}"
    key = ["home", "subject"]
    known = subjects.assign(home=subjects["dataset"] + "/" + subjects["group"])
    if known.duplicated(key).any():
        yield "subjects: one comes twice"
        known = known.drop_duplicates(key)
    found = examples.assign(home=homes_of(examples["task"])).merge(
        known[[*key, "split", "patient"]], on=key, how="left", suffixes=("", " there")
    )
    if not (found["split"] == found["split there"]).all():
        yield "examples: a subject is not in subjects, or in another split there"
    elif not (found["patient"] == found["patient there"]).all():
        yield "examples: a subject has another patient in subjects"


def in_several_splits(subjects: pd.DataFrame) -> list[tuple[str, str]]:
    """Datasets and patients of them that are in more than one split."""
    pairs = subjects[["dataset", "patient", "split"]].drop_duplicates()
    several = pairs[pairs.duplicated(["dataset", "patient"])]
    keys = several[["dataset", "patient"]].drop_duplicates()
    return list(keys.itertuples(index=False, name=None))


def homes_of(tasks: pd.Series) -> pd.Series:
    """`<dataset>/<group>` of each of very many tasks' ids, most of which come often."""
    homes = {task: "/".join(task.split("/")[:2]) for task in tasks.unique()}
    return tasks.map(homes)
