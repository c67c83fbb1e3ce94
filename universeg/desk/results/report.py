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

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.files.writing import whole_file
from megamedical.store.contact_sheet import outline_of
from universeg.desk.labels import Label
from universeg.desk.masks import Masks, seen
from universeg.desk.results.measures import Measure
from universeg.desk.showing import Shown

_WIDE = 360  # pixels of the longer side of a picture in the report
_MOST = 400  # pictures; a report with more would be slow to open
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # that a spreadsheet would reckon


@dataclass(frozen=True)
class Row:
    """What the report says of one scan."""

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
    """Rows, one a scan, and how they are written."""

    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)

    def write(self, folder: Path) -> list[Path]:
        """Write both files, each whole or not at all."""
        page, table = folder / "report.html", folder / "report.csv"
        with whole_file(page) as unfinished:
            unfinished.write_text(self._page(), encoding="utf-8")
        with whole_file(table) as unfinished:
            unfinished.write_text(self._table(), encoding="utf-8-sig", newline="")
        return [page, table]

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
            about = [*map(_inert, who), row.state, _two(row.expected), _two(row.agreed)]
            for each in row.measures:
                size = [each.pixels, _precise(each.area), _precise(each.volume), each.objects]
                label = [_inert(each.label.name), each.label.value]
                writer.writerow([*about, *label, *size, _inert("; ".join(row.flags))])
        return text.getvalue()

    def _page(self) -> str:
        looked_at = sum(row.state in ("accepted", "corrected") for row in self.rows)
        unknown = sum(not row.has_spacing for row in self.rows)
        said = f"{len(self.rows)} scans, of which somebody looked at {looked_at}."
        if unknown:
            said += f" Of {unknown} no spacing is known, so they are measured in {self.unit}."
        said += (
            " The expected Dice is what the network makes of its own prediction, corrected by how "
            "well earlier ones agreed with what was made of them. Measured with a research tool, "
            "not for diagnosis."
        )
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
        about = [row.state]
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
            f'<th class="n">Objects</th></tr>{lines}</table>{noted}</div></article>'
        )

    def _line(self, each: Measure) -> str:
        swatch = (
            f'<svg class="swatch"><rect width="10" height="10" fill="{each.label.colour}"/></svg>'
        )
        size = "unknown"
        if each.area is not None:
            size = f"{each.area:,.2f} mm²"
        elif each.volume is not None:
            size = f"{each.volume:,.3f} ml"
        return (
            f"<tr><td>{swatch}{escape(each.label.name)}</td>"
            f'<td class="n">{each.pixels:,}</td><td class="n">{size}</td>'
            f'<td class="n">{each.objects}</td></tr>'
        )


def picture_of(shown: Shown, masks: Masks, labels: Sequence[Label], plane: str) -> bytes:
    """A scan with the outlines of its labels, as PNG; of a volume the slice that shows most."""
    index = 0
    if len(shown.shape) == 3:
        drawn = sum(np.moveaxis(masks.layer(each.value), _AXIS[plane], 0) for each in labels)
        index = int(np.count_nonzero(drawn, axis=(1, 2)).argmax()) if labels else 0
    cut = (plane, index)
    pixels = shown.colours if shown.colours is not None else _grey(shown, cut)
    mm = [each for axis, each in enumerate(shown.scan.spacing) if axis != _AXIS.get(plane)]
    rows, columns = pixels.shape[0] * mm[0], pixels.shape[1] * mm[1]
    scale = _WIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    canvas = np.array(Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BOX))
    for label in labels:
        layer = Image.fromarray(masks.shown(label.value, cut).astype(np.uint8) * 255)
        inside = np.asarray(layer.resize(size, Image.Resampling.BILINEAR)) > 127
        colour = [int(label.colour[at : at + 2], 16) for at in (1, 3, 5)]
        canvas[outline_of(inside)] = colour
    stream = io.BytesIO()
    Image.fromarray(canvas).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


_AXIS = {"axial": 0, "coronal": 1, "sagittal": 2}


def _grey(shown: Shown, cut: tuple[str, int]) -> NDArray[np.uint8]:
    low, high = shown.window
    values = (seen(shown.scan.voxels, cut).astype(np.float32) - low) / (high - low)
    return (values.clip(0, 1) * 255).astype(np.uint8)


def _style() -> str:
    return (resources.files("universeg.desk.results") / "report.css").read_text(encoding="utf-8")


def _inert(said: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{said}" if said.startswith(_FORMULA) else said


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _precise(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
