"""What was packed before, and from what: by it a build knows the groups that need not be made."""

from __future__ import annotations

import json

from megamedical.building.group_plan import GroupPlan
from megamedical.building.report import GroupOutcome
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file

_NAME = "packed.json"


def remember(plan: GroupPlan, fingerprint: str, outcome: GroupOutcome) -> None:
    """Note what a group was made from, beside its records."""
    memory = {"inputs": plan.inputs, "fingerprint": fingerprint, "outcome": vars(outcome)}
    with (
        explain_full(plan.folder, None, "what was packed"),
        whole_file(plan.folder / _NAME) as path,
    ):
        path.write_text(json.dumps(memory), encoding="utf-8")


def packed_before(plan: GroupPlan, fingerprint: str | None) -> GroupOutcome | None:
    """The outcome of an earlier build, if the store has the group as it would be built now."""
    try:
        earlier = json.loads((plan.folder / _NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if fingerprint != earlier["fingerprint"] or plan.inputs != earlier["inputs"]:
        return None
    if earlier["outcome"]["failed"]:  # may have been mended
        return None
    return GroupOutcome(**{**earlier["outcome"], "was_there": True})
