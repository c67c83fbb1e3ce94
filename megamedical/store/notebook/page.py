"""What a store is, as HTML: its datasets, tasks, sizes and terms. Names in it may be anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megamedical.store.store import Store

_SAID = {True: "yes", False: "no", None: "not stated"}
_COLUMNS = ("dataset", "modality", "subjects", "tasks", "licence", "commercial", "pass on")
_NUMBERS = {"subjects", "tasks"}
_MOST = 60  # rows


def page_of(store: Store) -> str:
    """The page of a store."""
    rows = _rows(store)
    shown = rows[:_MOST]
    more = f"<p>… and {len(rows) - _MOST} more, see <code>Store.tasks</code>.</p>"
    return "".join(
        [
            f"<div><p><b>{escape(str(store.location))}</b>: {len(store.tasks):,} tasks, "
            f"{len(store.examples):,} examples, {store.resolution} × {store.resolution} pixels, "
            f"fingerprint <code>{escape(store.attributes.fingerprint[:12])}</code></p>",
            table(_COLUMNS, shown, _NUMBERS),
            more if len(rows) > _MOST else "",
            "</div>",
        ]
    )


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[str] = ()
) -> str:
    """A table of texts and numbers; the columns of `numbers` are set to the right."""
    right = {place for place, name in enumerate(columns) if name in set(numbers)}

    def cells(kind: str, values: Sequence[object]) -> str:
        return "".join(
            f'<{kind} style="text-align:{"right" if place in right else "left"}">'
            f"{escape(f'{value:,}' if isinstance(value, int) else str(value))}</{kind}>"
            for place, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', columns)}</tr></thead><tbody>{body}</tbody></table>"


def _rows(store: Store) -> list[tuple[object, ...]]:
    subjects = store.subjects.groupby("dataset").size() if len(store.subjects) else {}
    rows: list[tuple[object, ...]] = []
    for dataset, tasks in store.tasks.groupby("dataset"):
        known = store.provenances.get(dataset)
        terms = (
            ("see `megamedical licences`", "", "")
            if known is None
            else (known.licence, _SAID[known.commercial], _SAID[known.redistribution])
        )
        modalities = ", ".join(sorted(set(tasks["modality"])))
        rows.append((dataset, modalities, int(subjects.get(dataset, 0)), len(tasks), *terms))
    return rows
