"""What was packed before, and from what: by it a build knows the groups that need not be made.

Beside the fingerprint of a group its files count. Those whose sizes and times are as they were when
they were last seen to be whole are taken as such; else, or where it is asked for, they are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from megamedical.building.group_plan import GroupPlan
from megamedical.building.report import GroupOutcome, Missing
from megamedical.building.subject_job import digest
from megamedical.files.disk import explain_full
from megamedical.files.folders import list_files, state_of_files
from megamedical.files.writing import whole_file
from megamedical.store.attributes import DamagedStore, StoreAttributes
from megamedical.store.checks.files import damaged_files, damaged_node
from megamedical.store.location import Location
from megamedical.store.store import open_store

_NAME = "packed.json"
_MOST = 32  # stores, or versions of a manifest, that share a folder of records


@dataclass(frozen=True)
class Before:
    """What of a store need not be made again.

    `groups` are the fingerprints that it has; `reads_all` says that every file of a group is read.
    """

    location: Location
    groups: Mapping[str, str]
    reads_all: bool = False

    def outcomes(
        self, plans: Iterable[GroupPlan], tell: Callable[[str], None] | None = None
    ) -> dict[str, GroupOutcome]:
        """Those of groups that are there as they would be built now; `tell` hears of damage."""
        found = {}
        for plan in plans:
            memory = _memory(plan)
            if memory is None or memory["fingerprint"] != self.groups.get(plan.path):
                continue
            if memory["outcome"]["failed"]:  # may have been mended
                continue
            damage = self._damage_unless_known(plan, memory)
            if not damage:
                said = {**memory["outcome"], "expected": plan.expected, "was_there": True}
                found[plan.path] = GroupOutcome(**said)
            elif tell:
                tell(f"{damage[0]}: {plan.path} is made anew")
        return found

    def damage(self, group: str) -> Sequence[str]:
        """What is wrong with the files of a `<dataset>/<group>`, all of which are read."""
        node = damaged_node(self.location, group.partition("/")[0])
        files = damaged_files(
            self.location, group, self._checksums.get(group, ""), self.groups.get(group)
        )
        return [*([node] if node else []), *files]

    def damage_beside(self, paths: Container[str]) -> list[Missing]:
        """What is wrong with groups other than those."""
        return [
            Missing(line, (), f"`megamedical build {path} --mend` makes it anew.")
            for path in self.groups
            if path not in paths
            for line in self.damage(path)[:1]
        ]

    def _damage_unless_known(self, plan: GroupPlan, memory: Mapping[str, Any]) -> Sequence[str]:
        seen = memory.get("whole", {})
        store, state = self.location.absolute, _state(self.location, plan.path)
        if seen.get(store) == state and not self.reads_all:
            return ()
        damage = self.damage(plan.path)
        if not damage and seen.get(store) != state:
            _write(plan, {**memory, "whole": {**seen, store: state}})
        return damage

    @cached_property
    def _checksums(self) -> dict[str, str]:
        rows = open_store(self.location.absolute).table("groups").to_pylist()
        return {f"{row['dataset']}/{row['group']}": row["checksum"] for row in rows}


def refuse_to_lose(remains: StoreAttributes, made: Container[str], *reasons: str) -> None:
    """Make sure that all groups of a damaged store are made again.

    Raises:
        DamagedStore: some are not; the message names them.
    """
    lost = [path for path in remains.groups if path not in made]
    if lost:
        raise DamagedStore(
            "\n  ".join([*reasons, f"The store rests on it, and has {', '.join(lost)} too"]),
            "Ask for them too: all that is in the store is then made anew, from what is staged as "
            "far as that is there. Or build into another --store.",
        )


def remember(plan: GroupPlan, fingerprint: str, outcome: GroupOutcome, location: Location) -> None:
    """Note what a group was made from, and how it now lies in a store, beside its records."""
    before = _memory(plan) or {}
    seen = before.get("whole", {}) if before.get("fingerprint") == fingerprint else {}
    others = [*seen.items()][1 - _MOST :]
    whole = {**dict(others), location.absolute: _state(location, plan.path)}
    _write(plan, {"fingerprint": fingerprint, "outcome": vars(outcome), "whole": whole})


def _state(location: Location, group: str) -> str:
    """What changes when a file of a group does; behind a URL nothing tells."""
    if location.folder is None:
        return ""
    files = list_files([location.folder / group])
    node = location.folder / group.partition("/")[0] / "zarr.json"
    return state_of_files({**files, **({"the dataset's": node} if node.is_file() else {})})


def _write(plan: GroupPlan, memory: Mapping[str, Any]) -> None:
    others = {inputs: each for inputs, each in _memories(plan).items() if inputs != plan.inputs}
    kept = [*others.items()][1 - _MOST :]
    memories = {**dict(kept), plan.inputs: {**memory, "checksum": digest(memory)}}
    with (
        explain_full(plan.folder, None, "what was packed"),
        whole_file(plan.folder / _NAME) as path,
    ):
        path.write_text(json.dumps(memories), encoding="utf-8")


def _memory(plan: GroupPlan) -> dict[str, Any] | None:
    """What was packed from what a group would be made from now; None where it is damaged."""
    memory = dict(_memories(plan).get(plan.inputs, {}))
    return memory if memory.pop("checksum", None) == digest(memory) else None


def _memories(plan: GroupPlan) -> dict[str, dict[str, Any]]:
    """What was packed into any store, by what it was made from; nothing where that is damaged."""
    try:
        found = json.loads((plan.folder / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {inputs: memory for inputs, memory in found.items() if isinstance(memory, dict)}
