"""Train, dev and test: 60/20/20 of the patients (paper.md, Data)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import accumulate

from megamedical.store.tables import SHARES

SPLITTING = "2"  # counts up whenever the same patients are split in another way


def assign_splits(dataset: str, patients: Iterable[str], seed: int) -> dict[str, str]:
    """The split of every patient of groups of a dataset that may share patients.

    Patients stand in the order of a hash of the seed, the dataset and their name, and the order is
    cut where the shares end. So a patient's split depends on nothing but the arguments, it is the
    same in whatever groups the patient is, and each split has its share to within one.

    A patient who comes or goes moves at most two others, one across each cut, and nobody between
    train and test: a partial download or a growing collection leaves test sets as they were, but
    for that. Another group of patients who are there already moves nobody.

    Args:
        dataset: its id.
        patients: of all these groups; in what order, and how often, does not matter.
        seed: another seed gives another split.
    """
    ranked = sorted({*patients}, key=lambda patient: _rank(seed, dataset, patient))
    cuts = [round(share * len(ranked)) for share in accumulate(SHARES.values())]
    starts = [0, *cuts[:-1]]
    return {
        patient: split
        for split, start, cut in zip(SHARES, starts, cuts, strict=True)
        for patient in ranked[start:cut]
    }


def _rank(seed: int, dataset: str, patient: str) -> str:
    return hashlib.sha256(f"{seed}/{dataset}/{patient}".encode()).hexdigest()
