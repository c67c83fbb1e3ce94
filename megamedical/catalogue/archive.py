"""One file as the owners of a dataset distribute it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from megamedical.catalogue.facts import Facts, FileName


class Archive(Facts):
    """One file as its owners distribute it.

    `name` is what it is called on disk and in a mirror; `sha256` or `md5` what it must hash to;
    `size` its length in bytes, or `roughly` where that is not known; `into` a folder that its
    content is unpacked below, for archives whose files would otherwise have the same names;
    `password` what opens it, where its owners publish that.
    """

    name: FileName
    urls: tuple[str, ...] = ()
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    roughly: Annotated[int, Field(gt=0)] | None = None
    into: Annotated[str, StringConstraints(pattern=r"^([^./\\][^/\\]*)?$")] = ""
    password: str | None = None

    @property
    def known_size(self) -> int:
        """Its length in bytes as far as it is known, 0 if nobody says."""
        return self.size or self.roughly or 0

    @property
    def prefix(self) -> str:
        """What the paths of its files begin with, once it is unpacked."""
        return f"{self.into}/" if self.into else ""
