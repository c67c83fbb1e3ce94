"""On what terms a dataset came into a store, and whether it may go on to others."""

from __future__ import annotations

from megamedical.catalogue.datasets import Catalog
from megamedical.catalogue.licences import cited
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.store.describing.provenance import Provenance
from megamedical.store.store import Store


def provenance_of(dataset: DatasetManifest) -> Provenance:
    """What a store says of where a dataset is from."""
    terms = dataset.licence
    return Provenance(
        dataset.title,
        terms.name,
        terms.commercial,
        terms.redistribution,
        dataset.home,
        cited(dataset),
        dataset.notes,
    )


def provenances_of(store: Store, catalog: Catalog) -> dict[str, Provenance]:
    """Those of the datasets in a store; what it does not say itself is the catalogue's."""
    listed = set(store.tasks["dataset"]) & set(catalog)
    return {**{name: provenance_of(catalog[name]) for name in listed}, **store.provenances}


def why_not(name: str, known: Provenance | None) -> str:
    """Why a dataset may not be passed on, in words; empty if it may."""
    if known is None:
        return f"{name} may not be passed on: its terms are not known"
    if known.redistribution is None:
        return f"{name} may not be passed on: its owners do not say so ({known.licence})"
    if not known.redistribution:
        return f"{name} may not be passed on: its owners forbid it ({known.licence})"
    return ""
