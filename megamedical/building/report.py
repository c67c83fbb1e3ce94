"""What a build tells: what became of each group, what failed, and what could not be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from megamedical.building.group_job import PackedGroup
from megamedical.errors import MegaMedicalError
from megamedical.subjects.subject import Failure

if TYPE_CHECKING:
    from megamedical.building.group_plan import GroupPlan


@dataclass(frozen=True)
class Missing:
    """Something that cannot be had here, the groups left out for it, and what to do.

    Groups `in_part` are built from the other parts of the whole that it is one of. `archive` is its
    name, where it is one.
    """

    what: str
    groups: Sequence[str]
    remedy: str
    in_part: Sequence[str] = ()
    archive: str = ""

    @classmethod
    def for_want_of(
        cls,
        error: Exception,
        groups: Sequence[str],
        in_part: Sequence[str] = (),
        archive: str = "",
    ) -> Missing:
        """The groups that an error leaves out."""
        problem = error.problem if isinstance(error, MegaMedicalError) else str(error)
        remedy = error.remedy if isinstance(error, MegaMedicalError) else ""
        return cls(problem, groups, remedy, in_part, archive)


@dataclass(frozen=True)
class GroupOutcome:
    """What became of one group: a row of the summary.

    `expected` subjects are those of the whole distribution without the `left_out`, which are known
    to be wrong. Of `tasks`, `empty_tasks` show no pixel of their label in any subject.
    """

    path: str
    subjects: int
    expected: int
    failed: int
    tasks: int
    empty_tasks: int
    images: int
    masks: int
    was_there: bool
    left_out: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether a part only of the whole distribution was here."""
        return self.subjects + self.failed < self.expected

    @classmethod
    def of(
        cls, plan: GroupPlan, packed: PackedGroup | None, failures: Sequence[Failure]
    ) -> GroupOutcome:
        """The outcome of a group that was made now; nothing of it is packed where all failed."""
        return cls(
            path=plan.path,
            left_out=len(plan.left_out),
            subjects=packed.subjects if packed else 0,
            expected=plan.expected,
            failed=len(failures),
            tasks=packed.tasks if packed else 0,
            empty_tasks=packed.empty_tasks if packed else 0,
            images=packed.images if packed else 0,
            masks=packed.masks if packed else 0,
            was_there=False,
        )


@dataclass(frozen=True)
class BuildReport:
    """What a build did: its groups, the subjects that failed, and what could not be had."""

    store: str
    groups: Sequence[GroupOutcome]
    failures: Sequence[Failure]
    missing: Sequence[Missing]
    fingerprint: str

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for is in the store."""
        return not self.failures and not self.missing


def stop(error: Exception) -> NoReturn:
    """What stops a whole build, in words."""
    if isinstance(error, MegaMedicalError):
        raise error
    raise MegaMedicalError(
        f"The build had to stop: {type(error).__name__}: {error}",
        "What is finished is kept: mend what it says, and run the same command again.",
    ) from error
