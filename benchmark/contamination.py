"""Whether a method's weights have seen the data that it is judged by, or the people in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from benchmark.method import About
from megamedical.catalogue.datasets import Catalog, catalog


@dataclass(frozen=True)
class Contamination:
    """What weights have seen of held-out data.

    Attributes:
        is_stated: whether it is known what they have seen.
        seen: held-out groups that they have seen.
        patients: held-out groups of whose patients they have seen other images, or may have.
        datasets: held-out datasets of which they have seen other groups only.
    """

    is_stated: bool
    seen: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`yes`, `no`, or `undisclosed`: whether they have seen slices, or patients, held out."""
        if not self.is_stated:
            return "undisclosed"
        return "yes" if self.seen or self.patients else "no"

    @property
    def in_words(self) -> str:
        """For a column, in a few words: the verdict, and of what."""
        parts = {
            "": self.seen,
            "patients of ": self.patients,
            "other groups of ": self.datasets,
        }
        said = "; ".join(f"{what}{', '.join(groups)}" for what, groups in parts.items() if groups)
        if not said:
            return self.verdict
        return f"{self.verdict}{': ' if self.verdict == 'yes' else ', but '}{said}"


def contamination(about: About, held_out: Iterable[str]) -> Contamination:
    """What a method's weights have seen of held-out groups.

    The catalogue says which groups of a dataset share patients; what is generated shares nothing.

    Args:
        about: the method; one with weights that name no group does not state what they have seen.
        held_out: `<dataset>/<group>` of each.
    """
    if about.weights and not about.trained_on:
        return Contamination(is_stated=False)
    groups, trained = sorted(set(held_out)), set(about.trained_on)
    seen = [group for group in groups if group in trained]
    patients = [
        group
        for group in groups
        if group not in seen and any(_share_patients(group, other) for other in trained)
    ]
    datasets = {
        _dataset(group)
        for group in groups
        if group not in (*seen, *patients)
        and any(_are_of_one_dataset(group, other) for other in trained)
    }
    return Contamination(True, tuple(seen), tuple(patients), tuple(sorted(datasets)))


def _share_patients(one: str, other: str) -> bool:
    dataset, _, group = one.partition("/")
    manifest = _catalog().get(dataset)
    if manifest and group in manifest.groups and dataset == _dataset(other):
        return other.partition("/")[2] in manifest.together_with(group)
    return one in _same_patients(other) or other in _same_patients(one)


def _same_patients(group: str) -> tuple[str, ...]:
    """Groups of other datasets that show the patients of this one too."""
    manifest = _catalog().get(_dataset(group))
    return manifest.same_patients if manifest else ()


def _are_of_one_dataset(one: str, other: str) -> bool:
    if _dataset(one) != _dataset(other):
        return False
    manifest = _catalog().get(_dataset(one))
    return manifest is None or manifest.generator is None


@cache
def _catalog() -> Catalog:
    return catalog()


def _dataset(group: str) -> str:
    return group.split("/", maxsplit=1)[0]
