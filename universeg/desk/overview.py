"""What the page is told: the list, the panels, one scan."""

from __future__ import annotations

from typing import Any

from universeg.desk.desk import Desk
from universeg.desk.predicting.agenda import Agenda
from universeg.desk.predicting.tuning import Tunings
from universeg.desk.record import Standing
from universeg.tuning.expectation import Expectation

_FEW = 2  # labelled scans that were left out; fewer tell nothing


def overview(desk: Desk, agenda: Agenda, tunings: Tunings, since: int = -1) -> dict[str, Any]:
    """All that the list and the panels show; little where nothing has changed."""
    change, tuning = desk.change, tunings.told()
    if since == change:
        return {"change": change, "tuning": tuning} if tuning["running"] else {"change": change}
    task, notes = agenda.task, desk.notes
    is_predicting = task is not None and not task.judges
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
        "labelled": agenda.labelled,
        "working": {"scans": [*task.scans], "share": round(agenda.share, 2)}
        if task and is_predicting
        else None,
        "judging": task is not None and task.judges,
        "judged": {value: _judged(each) for value, each in desk.judged.labels.items()},
        "tuning": tuning,
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
    """How many times the Dice that the network expects of itself it really has.

    Labelled scans tell it, each found from the others; as long as there are fewer than two of them,
    what persons made of its masks does.
    """
    seen = [(dice, own) for dice, own in desk.judged.scans if own]
    if len(seen) < _FEW:
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
    own = standing.model_dump(exclude={"support", "name"})
    return {"id": identity, "name": name, "expected": expected_dice(standing, trust), **own}


def _judged(expectation: Expectation) -> dict[str, Any]:
    ends = {name: round(getattr(expectation, name), 3) for name in ("dice", "low", "high")}
    return {**ends, "scans": expectation.scans, "warning": expectation.warning}
