"""What is known to be wrong with a dataset, and what one person has several of in it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from megamedical.catalogue.facts import Facts, Slug

Date = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$")]
Done = Literal["left out", "kept", "corrected"]


class KnownError(Facts):
    """An error that somebody has found in the data, and what is done about it.

    `subjects` are those of the groups, or none where the dataset as a whole is meant; `groups` the
    groups where it is not all of them. `since` is when it was told, `sources` where: a page, an
    issue, a paper. What is certainly wrong is `left out` of a build, unless that is asked for. What
    is `kept` is less than certain, or wrong in a part, or put right by how it is read here. What
    its owners have `corrected` is right in the version `corrected_in` and later ones.
    """

    subjects: tuple[str, ...] = ()
    groups: tuple[Slug, ...] = ()
    what: str
    since: Date | None = None
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    done: Done
    corrected_in: str = ""

    @model_validator(mode="after")
    def _says_what_is_done(self) -> Self:
        if (self.done == "corrected") != bool(self.corrected_in):
            raise ValueError("`done: corrected` and `corrected_in: <version>` go together")
        if self.done == "left out" and not self.subjects:
            raise ValueError("`done: left out` needs `subjects:`, those that are left out")
        return self

    def is_of(self, group: str) -> bool:
        """Whether a group has it."""
        return not self.groups or group in self.groups


class OfOnePerson(Facts):
    """What one person may have several of, and how it is known that they are the same person's.

    They are in one split where `told_by` says what tells the person; nothing does where it is
    empty.
    """

    what: str
    told_by: str = ""
