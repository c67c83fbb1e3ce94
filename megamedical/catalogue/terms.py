"""What one may do with a dataset, and whom to cite."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from megamedical.catalogue.facts import Facts


class Licence(Facts):
    """What one may do with the data. `None` means that nobody has said."""

    name: str
    commercial: bool | None = None
    redistribution: bool | None = None

    @staticmethod
    def said(allowed: bool | None) -> str:
        """A permission, in words."""
        return "not stated" if allowed is None else "yes" if allowed else "no"


class Citation(Facts):
    """The paper to cite when the dataset is used."""

    title: str
    authors: str
    year: int
    doi: Annotated[str, StringConstraints(pattern=r"^10\.[0-9]{4,}/\S+$")] | None = None
