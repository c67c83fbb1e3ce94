"""What a dataset manifest may say: the typed form of `manifests/datasets/<id>.yaml`.

A manifest holds facts only. `DatasetManifest` is the whole file; a `Group` is one part of it whose
subjects are processed the same way.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.facts import Facts, Slug
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.honesty import KnownError, OfOnePerson
from megamedical.catalogue.patterns import Pattern
from megamedical.catalogue.terms import Citation, Licence

Proof = Literal["real data", "miniature", "evidence"]
Role = Literal["train", "dev", "heldout", "extra"]
Access = Literal[
    "open", "manual", "kaggle", "synapse", "registration", "agreement", "dead", "generated"
]


class Generator(Facts):
    """A dataset that is drawn, not downloaded (paper.md, Synthetic tasks)."""

    tasks: Annotated[int, Field(gt=0)]
    subjects: Annotated[int, Field(gt=0)]
    size: Annotated[int, Field(ge=32)]
    seed: Annotated[int, Field(ge=0)] = 0


class DatasetManifest(Facts):
    """One dataset: what it is, where it comes from, what one may do with it, how it is read.

    `shares_patients` says that the same `patient` in two groups is the same person, who is then in
    the same split in both; where that holds of some groups only, they are of one `cohort`.
    `same_patients` names groups of other datasets, `<dataset>/<group>`, that show them too.
    `proven` is what was built from the manifest: the real archives, miniatures in their layout, or
    nothing, so that it rests on the evidence of its groups alone; `proven_on` counts the subjects
    of real archives that were built, `looked_for` says where such were sought in vain. `how_to_get`
    is what a user must
    do where access is not open. `of_one_person` is what was looked for, so that no person is in two
    splits; `known_errors` what others have found wrong.
    """

    id: Slug
    title: str
    home: str | None
    role: Role
    access: Access
    how_to_get: str = ""
    licence: Licence
    citation: Citation
    archives: tuple[Archive, ...] = ()
    generator: Generator | None = None
    shares_patients: bool = False
    same_patients: tuple[str, ...] = ()
    proven: Proof = "evidence"
    proven_on: Annotated[int, Field(ge=0)] = 0
    looked_for: str = ""
    groups: dict[Slug, FileGroup] = Field(default={})
    notes: str = ""
    of_one_person: tuple[OfOnePerson, ...] = ()
    known_errors: tuple[KnownError, ...] = ()

    _later = frozenset({"proven_on", "looked_for", "of_one_person", "known_errors"})

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.generator is None) == (not self.groups):
            raise ValueError("a dataset has either `groups:` or a `generator:`")
        if (self.access == "generated") != (self.generator is not None):
            raise ValueError("`access: generated` and `generator:` go together")
        if (self.proven == "real data") != bool(self.proven_on):
            raise ValueError(
                "`proven: real data` and `proven_on:`, how many subjects were built, go together"
            )
        if self.proven == "real data" and self.looked_for:
            raise ValueError("`looked_for:` is for what was not found: `proven: real data` was")
        if self.access not in ("open", "generated") and not self.how_to_get:
            raise ValueError(f"`access: {self.access}` needs `how_to_get:`, the steps for a user")
        names = [archive.name for archive in self.archives]
        if len(set(names)) < len(names):
            raise ValueError("two of `archives:` have the same name; give each its own")
        return self

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        names = {archive.name for archive in self.archives}
        for group_name, group in self.groups.items():
            for name in group.archives or ():
                if name not in names:
                    raise ValueError(
                        f"group {group_name} needs {name}, which is not in `archives:`"
                    )
            for name in group.parts:
                if name not in {archive.name for archive in self.archives_of(group_name)}:
                    raise ValueError(
                        f"`parts: [{name}]` of group {group_name} is none of its archives"
                    )
        for error in self.known_errors:
            for name in error.groups:
                if name not in self.groups:
                    raise ValueError(f"`known_errors:` speak of {name}, which is no group here")
        return self

    def archives_of(self, group: str) -> tuple[Archive, ...]:
        """The archives that a group is read from, in the order of the manifest."""
        needed = self.groups[group].archives
        return tuple(a for a in self.archives if needed is None or a.name in needed)

    def needed_by(self, group: str) -> list[str]:
        """The archives without which a group cannot be built; shared patients need those of all."""
        if self.generator:
            return []
        names = {a.name for name in self.together_with(group) for a in self.archives_of(name)}
        return [archive.name for archive in self.archives if archive.name in names]

    def suffice(self, group: str, here: Container[str]) -> bool:
        """Whether a group can be built, be it in part, from those archives that are here."""
        for name in self.together_with(group):
            parts = self.groups[name].parts
            whole = [a.name for a in self.archives_of(name) if a.name not in parts]
            if not all(archive in here for archive in whole):
                return False
            if parts and not any(archive in here for archive in parts):
                return False
        return True

    def known_wrong(self, group: str) -> dict[str, list[KnownError]]:
        """What is known to be wrong of the subjects of a group, by their names."""
        wrong: dict[str, list[KnownError]] = {}
        for error in self.known_errors:
            for subject in error.subjects if error.is_of(group) else ():
                wrong.setdefault(subject, []).append(error)
        return wrong

    def patterns_of(self, archive: Archive) -> list[Pattern]:
        """What the files inside an archive are called, as far as anything is read from them."""
        return [
            pattern
            for name, group in self.groups.items()
            if archive.name in {each.name for each in self.archives_of(name)}
            for pattern in group.patterns
        ]

    def together_with(self, group: str) -> tuple[str, ...]:
        """The groups whose patients may be those of a group, itself among them."""
        if self.shares_patients:
            return tuple(self.groups)
        cohort = self.groups[group].cohort
        return tuple(
            name
            for name, other in self.groups.items()
            if name == group or (cohort and other.cohort == cohort)
        )
