"""MegaMedical: public medical segmentation datasets in one store of slices.

>>> import megamedical
>>> report = megamedical.build("wbc", "stare", store="store.store")  # doctest: +SKIP
>>> megamedical.open_store("store.store").tasks  # doctest: +SKIP
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megamedical.building.build import BuildReport, build
    from megamedical.catalogue.datasets import Catalog, catalog
    from megamedical.store.store import Store, open_store

__all__ = ["BuildReport", "Catalog", "Store", "build", "catalog", "open_store"]
__version__ = version("megamedical")

_HOMES = {
    "BuildReport": "building.build",
    "build": "building.build",
    "Catalog": "catalogue.datasets",
    "catalog": "catalogue.datasets",
    "Store": "store.store",
    "open_store": "store.store",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is asked for, and only then: the command line must answer at once."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
