"""The report: one HTML file that asks the network for nothing, and a table as CSV."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path

from megamedical.files.writing import whole_file
from megamedical.reporting.cleaning import cell
from universeg.results.measures import Measure

_MOST = 400  # pictures; a report with more would be slow to open


@dataclass(frozen=True)
class Row:
    """What the report says of one scan.

    `state` is what became of it, `expected` the Dice that may be expected of its labels together,
    `agreed` that of a prediction that somebody corrected; `picture` is a PNG.
    """

    name: str
    patient: str
    state: str
    expected: float | None
    agreed: float | None
    measures: Sequence[Measure]
    flags: Sequence[str]
    has_spacing: bool
    picture: bytes = b""


@dataclass
class Report:
    """Rows, one a scan, and how they are written.

    `unit` is `pixels` or `voxels`; `notes` are sentences at the top.
    """

    title: str
    unit: str
    notes: Sequence[str] = ()
    rows: list[Row] = field(default_factory=list)

    def write_page(self, path: Path) -> Path:
        """Write the page, whole or not at all."""
        with whole_file(path) as unfinished:
            unfinished.write_text(self._page(), encoding="utf-8")
        return path

    def write_table(self, path: Path) -> Path:
        """Write the table, a row for each label of each scan, whole or not at all."""
        with whole_file(path) as unfinished:
            unfinished.write_text(self._table(), encoding="utf-8-sig", newline="")
        return path

    def wants_picture(self) -> bool:
        """Whether there is room for another picture."""
        return len(self.rows) < _MOST

    def _table(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text)
        has_patients = any(row.patient for row in self.rows)
        head = ["scan", *(["patient"] if has_patients else []), "state", "expected_dice"]
        head += ["dice_of_prediction", "label", "value", self.unit, "area_mm2", "volume_ml"]
        writer.writerow([*head, "objects", "flags"])
        for row in self.rows:
            who = [row.name, *([row.patient] if has_patients else [])]
            for each in row.measures:
                expected = row.expected if each.expected is None else each.expected
                about = [*map(cell, who), row.state, _three(expected), _three(row.agreed)]
                size = [each.pixels, _precise(each.area), _precise(each.volume), each.objects]
                label = [cell(each.label.name), each.label.value]
                writer.writerow([*about, *label, *size, cell("; ".join(row.flags))])
        return text.getvalue()

    def _page(self) -> str:
        unknown = sum(not row.has_spacing for row in self.rows)
        notes = [f"{len(self.rows)} scans."]
        if unknown:
            of = "" if unknown == len(self.rows) else f" of {unknown}"
            notes.append(f"Sizes{of} are in {self.unit}, as no spacing is known.")
        notes += self.notes
        notes.append("Measured with a research tool, not for diagnosis.")
        said = " ".join(notes)
        articles = "\n".join(self._article(row) for row in self.rows)
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title><style>{_style()}</style></head>\n"
            f"<body><h1>{escape(self.title)}</h1>\n<p>{escape(said)}</p>\n{articles}\n</body></html>\n"
        )

    def _article(self, row: Row) -> str:
        picture = base64.b64encode(row.picture).decode("ascii")
        image = f'<img alt="" src="data:image/png;base64,{picture}">' if picture else ""
        about = [row.state] if row.state else []
        if row.agreed is not None:
            about.append(f"the prediction had a Dice of {row.agreed:.2f}")
        elif row.expected is not None:
            about.append(f"expected Dice {row.expected:.2f}")
        who = f" · {escape(row.patient)}" if row.patient else ""
        lines = "".join(self._line(each) for each in row.measures)
        noted = f"<p>{escape('; '.join(row.flags))}</p>" if row.flags else ""
        return (
            f"<article><div>{image}</div><div><h2>{escape(row.name)}{who}</h2>"
            f"<p>{escape(', '.join(about))}</p><table><tr><th>Label</th>"
            f'<th class="n">{self.unit.capitalize()}</th><th class="n">Size</th>'
            f'<th class="n">Objects</th>{_head_of_expected(row)}</tr>{lines}</table>{noted}</div>'
            "</article>"
        )

    def _line(self, each: Measure) -> str:
        swatch = (
            f'<svg class="swatch"><rect width="10" height="10" fill="{each.label.colour}"/></svg>'
        )
        expected = "" if each.expected is None else f'<td class="n">{each.expected:.2f}</td>'
        return (
            f"<tr><td>{swatch}{escape(each.label.name)}</td>"
            f'<td class="n">{each.pixels:,}</td><td class="n">{each.size or "unknown"}</td>'
            f'<td class="n">{each.objects}</td>{expected}</tr>'
        )


def _head_of_expected(row: Row) -> str:
    is_told = any(each.expected is not None for each in row.measures)
    return '<th class="n">Expected Dice</th>' if is_told else ""


def _style() -> str:
    return (resources.files("universeg.results") / "report.css").read_text(encoding="utf-8")


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _precise(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
