"""What one may do with a built store, given what is in it, and whom to cite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from megamedical.catalogue.datasets import Catalog
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.catalogue.terms import Citation
from megamedical.task_id import slug


@dataclass(frozen=True)
class Terms:
    """The terms of what is in a store.

    Attributes:
        datasets: those in the store that the catalogue knows.
        unknown: ids of those it does not.
    """

    datasets: tuple[DatasetManifest, ...]
    unknown: tuple[str, ...]

    def verdict(self, use: str) -> tuple[bool | None, tuple[str, ...]]:
        """Whether all of the store may be put to a use, and the datasets that stand against it.

        Args:
            use: `commercial` or `redistribution`.

        Returns:
            False with the datasets that forbid it; None with those whose owners do not say, or that
            nobody knows; else True.
        """
        said = {dataset.id: getattr(dataset.licence, use) for dataset in self.datasets}
        forbidden = tuple(name for name, allowed in said.items() if allowed is False)
        if forbidden:
            return False, forbidden
        unsaid = tuple(name for name, allowed in said.items() if allowed is None) + self.unknown
        return (None, unsaid) if unsaid else (True, ())


def terms(datasets: Iterable[str], catalog: Catalog) -> Terms:
    """The terms of the datasets that a store holds, by their ids."""
    names = sorted(set(datasets))
    return Terms(
        tuple(catalog[name] for name in names if name in catalog),
        tuple(name for name in names if name not in catalog),
    )


def bibliography(datasets: Sequence[DatasetManifest]) -> str:
    """What to cite, as BibTeX: an entry for each dataset, under its id."""
    return "\n\n".join(map(cited, datasets)) + "\n"


def cited(dataset: DatasetManifest) -> str:
    """What to cite for a dataset, as BibTeX."""
    return _entry(dataset.id, dataset.citation)


def _entry(name: str, citation: Citation) -> str:
    fields = {
        "title": f"{{{citation.title}}}",  # the inner braces keep the capitals
        "author": _authors(citation.authors),
        "year": str(citation.year),
        "doi": citation.doi or "",
    }
    lines = [f"  {key} = {{{_escaped(value)}}}," for key, value in fields.items() if value]
    return "\n".join([f"@article{{{slug(name)},", *lines, "}"])


def _authors(said: str) -> str:
    """`Bernard O, Lalande A, et al.` as BibTeX has it: `Bernard, O and Lalande, A and others`."""
    names = []
    for name in said.split(", "):
        family, _, initials = name.strip().rpartition(" ")
        is_person = family and initials.replace("-", "").isupper()
        names.append(f"{family}, {initials}" if is_person else f"{{{name}}}")
    return " and ".join(names).replace("{et al.}", "others")


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "&%#_$" else sign for sign in text)
