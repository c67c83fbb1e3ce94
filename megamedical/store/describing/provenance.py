"""Where the datasets of a store are from, and on what terms: kept in the attributes of its root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """What is known of a dataset besides its slices; `None` where nobody says.

    Attributes:
        title: its name in full.
        licence: its terms, by their SPDX name where they have one.
        commercial: whether its owners allow commercial use.
        redistribution: whether they allow to pass it on.
        home: its page.
        citation: what to cite, as BibTeX.
        notes: what a user should know of it.
    """

    title: str
    licence: str = "unknown"
    commercial: bool | None = None
    redistribution: bool | None = None
    home: str | None = None
    citation: str = ""
    notes: str = ""


Provenances = Mapping[str, Provenance]  # by the id of the dataset


def provenances_in(root: bytes) -> Provenances:
    """The provenances that a store's root has; none where it was written by an earlier version."""
    said = json.loads(root or b"{}").get("attributes", {}).get("datasets", {})
    known = {field.name for field in fields(Provenance)}
    return {
        name: Provenance(**{key: value for key, value in each.items() if key in known})
        for name, each in said.items()
    }


def as_attribute(provenances: Provenances) -> dict[str, Any]:
    """Provenances as the attributes of the root have them."""
    return {name: asdict(provenance) for name, provenance in sorted(provenances.items())}
