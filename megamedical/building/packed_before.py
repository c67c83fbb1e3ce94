"""What was packed before, and from what: by it a build knows the groups that need not be made."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from megamedical.building.group_plan import GroupPlan
from megamedical.building.report import GroupOutcome
from megamedical.building.subject_job import digest
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file

_NAME = "packed.json"
_MOST = 32  # stores, or versions of a manifest, that share a folder of records


def remember(plan: GroupPlan, fingerprint: str, outcome: GroupOutcome) -> None:
    """Note what a group was made from, beside its records."""
    memory = {"fingerprint": fingerprint, "outcome": vars(outcome)}
    others = {inputs: each for inputs, each in _memories(plan).items() if inputs != plan.inputs}
    kept = [*others.items()][1 - _MOST :]
    memories = {**dict(kept), plan.inputs: {**memory, "checksum": digest(memory)}}
    with (
        explain_full(plan.folder, None, "what was packed"),
        whole_file(plan.folder / _NAME) as path,
    ):
        path.write_text(json.dumps(memories), encoding="utf-8")


def all_packed_before(
    plans: Iterable[GroupPlan], groups: Mapping[str, str]
) -> dict[str, GroupOutcome]:
    """The outcomes of earlier builds, of groups that a store has as they would be built now."""
    return {p.path: found for p in plans if (found := packed_before(p, groups.get(p.path)))}


def packed_before(plan: GroupPlan, fingerprint: str | None) -> GroupOutcome | None:
    """The outcome of an earlier build, if the store has the group as it would be built now."""
    memory = dict(_memories(plan).get(plan.inputs, {}))
    if not memory or memory.pop("checksum", None) != digest(memory):
        return None
    if memory["fingerprint"] != fingerprint:
        return None
    if memory["outcome"]["failed"]:  # may have been mended
        return None
    said = {**memory["outcome"], "expected": plan.expected, "was_there": True}
    return GroupOutcome(**said)


def _memories(plan: GroupPlan) -> dict[str, dict[str, Any]]:
    """What was packed into any store, by what it was made from; nothing where that is damaged."""
    try:
        found = json.loads((plan.folder / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {inputs: memory for inputs, memory in found.items() if isinstance(memory, dict)}
