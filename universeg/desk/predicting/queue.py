"""What is predicted next: what a person waits for, then what is least certain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from universeg.desk.record import Standing

AT_ONCE = 4  # pictures: a correction waits for no more than these


def next_ones(
    standings: Mapping[str, Standing],
    support: str,
    opened: Collection[str],
    are_volumes: bool,
) -> Sequence[str]:
    """The scans that are predicted next, together; none if nothing is to be done.

    One that a person looks at comes first if it has no prediction yet, and is left alone if it has
    one. Then come those that were never predicted, then the least certain ones.

    Args:
        standings: of all scans, in their order.
        support: what predictions are made from now; those made from it are not made anew.
        opened: the scans that a person looks at.
        are_volumes: whether the scans are volumes, which go one by one.
    """
    stale = stale_ones(standings, support, opened)

    def urgency(identity: str) -> tuple[bool, bool, float]:
        each = standings[identity]
        return (
            identity not in opened,
            each.state != "waiting",
            1.0 if each.confidence is None else each.confidence,
        )

    ordered = sorted(stale, key=urgency)
    if not ordered:
        return []
    if are_volumes or ordered[0] in opened:
        return ordered[:1]
    return ordered[:AT_ONCE]


def stale_ones(
    standings: Mapping[str, Standing], support: str, opened: Collection[str]
) -> list[str]:
    """The scans whose prediction is missing, or made from less than is known now."""
    return [
        identity
        for identity, each in standings.items()
        if each.state in ("waiting", "predicted")
        and each.support != support
        and not (identity in opened and each.state == "predicted")
    ]
