"""What the page is told: the list, the panels, one scan."""

from __future__ import annotations

from typing import Any

from universeg.desk.agenda import Agenda
from universeg.desk.desk import Desk
from universeg.desk.record import Standing


def overview(desk: Desk, agenda: Agenda, since: int = -1) -> dict[str, Any]:
    """All that the list and the panels show; only a number where nothing has changed."""
    change = desk.change
    if since == change:
        return {"change": change}
    task, notes = agenda.task, desk.notes
    trust = trust_in(desk)
    return {
        "change": change,
        "kind": "volumes" if desk.are_volumes else "pictures",
        "plane": desk.plane,
        "labels": [label.model_dump() for label in notes.labels],
        "overlap": notes.overlap,
        "problem": agenda.problem,
        "ready": agenda.is_ready,
        "examples": agenda.given,
        "working": {"scans": [*task.scans], "share": round(agenda.share, 2)} if task else None,
        "left": agenda.left(),
        "scans": [
            _told(identity, desk.entries[identity].name, each, trust)
            for identity, each in desk.standings().items()
        ],
    }


def opened(desk: Desk, identity: str) -> dict[str, Any]:
    """What a page needs to show a scan.

    Raises:
        SubjectError: it cannot be read.
    """
    shown = desk.shown(identity)
    standing = desk.record(identity).standing
    return {
        **_told(identity, desk.entries[identity].name, standing, trust_in(desk)),
        "planes": shown.planes(),
        "colour": shown.colours is not None,
        "low": shown.low,
        "high": shown.high,
        "window": shown.window,
        "hounsfield": shown.low < -500 and shown.high > 200,
    }


def trust_in(desk: Desk) -> float:
    """How many times the Dice that the network expects is what persons made of its masks."""
    seen = [
        (each.agreed, each.confidence)
        for each in desk.standings().values()
        if each.agreed is not None and each.confidence
    ]
    return min(1.0, sum(a for a, _ in seen) / sum(c for _, c in seen)) if seen else 1.0


def expected_dice(standing: Standing, trust: float) -> float | None:
    """The Dice that the prediction of a scan is expected to have, if there is one."""
    return None if standing.confidence is None else round(standing.confidence * trust, 3)


def _told(identity: str, name: str, standing: Standing, trust: float) -> dict[str, Any]:
    own = standing.model_dump(exclude={"support", "name", "confidence"})
    return {"id": identity, "name": name, "expected": expected_dice(standing, trust), **own}
