"""Train, dev and test: 60/20/20 of the patients of a group (paper.md, Data)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from megamedical.store.tables import SHARES


def assign_splits(groups: Mapping[str, Collection[str]], seed: int) -> dict[str, str]:
    """The split of every patient of groups that may share patients.

    Patients come in the order of a hash of the seed and their name, those of most groups first, and
    each goes where its groups lack most. So the split depends on nothing but its arguments, a
    patient is in one split whatever groups it is in, and in a group whose patients are its own
    each split has its share of the patients to within one.

    Args:
        groups: the patients of each group, by the group's name.
        seed: another seed gives another split.
    """
    lacking = {
        name: {split: share * len(set(patients)) for split, share in SHARES.items()}
        for name, patients in groups.items()
    }
    members: dict[str, list[str]] = {}
    for name, patients in groups.items():
        for patient in set(patients):
            members.setdefault(patient, []).append(name)
    splits = {}
    for patient in sorted(members, key=lambda p: (-len(members[p]), _rank(seed, p))):
        needs = [lacking[name] for name in members[patient]]
        split = max(SHARES, key=lambda split: min(need[split] for need in needs))
        for need in needs:
            need[split] -= 1
        splits[patient] = split
    return splits


def _rank(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()
