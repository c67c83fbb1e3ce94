"""What was found in all scans, for the report: measures, flags, pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from megamedical.processing.slicing import PICTURE
from universeg.prediction.deciding import Prediction
from universeg.prediction.segmenter import Segmenter
from universeg.prediction.writing import Query, drawn_of
from universeg.results.drawing import Size
from universeg.results.labels import Label, free_colour
from universeg.results.measures import LabelMap, findings, measures
from universeg.results.report import Report, Row

_SIZE = Size(360, 360)
_LOW = 0.7  # expected Dice under which somebody should look
_TITLE = "Predictions"
_NOTE = (
    "The expected Dice of a label is what it had on examples that were found from the others, as "
    "small as the network sees them: of what is thin on large pictures it promises too much."
)


def shown_labels(labels: Mapping[int, str], colours: Mapping[int, str]) -> list[Label]:
    """Labels as people see them: in the colours that files give them, else in usual ones."""
    shown: list[Label] = []
    for value, name in labels.items():
        colour = colours.get(value) or free_colour(
            [*colours.values(), *(label.colour for label in shown)]
        )
        shown.append(Label.model_construct(value=value, name=name, colour=colour))
    return shown


def expected_dice(segmenter: Segmenter) -> Mapping[int, float]:
    """The Dice that is to be expected of each label, by its value, as far as examples tell."""
    return {
        value: segmenter.expected[name].dice
        for value, name in segmenter.labels.items()
        if name in segmenter.expected
    }


class Findings:
    """The report, as it grows."""

    def __init__(self, labels: Sequence[Label], expected: Mapping[int, float], plane: str) -> None:
        """Begin: `expected` has the Dice of labels, by their values."""
        self._labels, self._expected = labels, expected
        unit = "pixels" if plane == PICTURE else "voxels"
        self._report = Report(_TITLE, unit, (_NOTE,) if expected else ())

    def add(self, query: Query, prediction: Prediction, *, with_picture: bool) -> None:
        """Add what was found in a scan."""
        spacing = query.scan.spacing if query.volume else None
        found = [
            replace(each, expected=self._expected.get(each.label.value))
            for each in measures(LabelMap(prediction.mask), self._labels, spacing)
        ]
        poor = [
            f"{each.label.name} is expected to be poor"
            for each in found
            if each.expected is not None and each.expected < _LOW
        ]
        wants = with_picture and self._report.wants_picture()
        self._report.rows.append(
            Row(
                name=query.file.name,
                patient="",
                state="predicted",
                expected=None,
                agreed=None,
                measures=found,
                flags=[*findings(found), *poor, *query.odd],
                has_spacing=spacing is not None,
                picture=_picture(query, prediction, self._labels) if wants else b"",
            )
        )

    def write(self, page: Path | None, table: Path | None) -> Iterator[Path]:
        """Write the report and the table, where they are wanted."""
        if page:
            yield self._report.write_page(page)
        if table:
            yield self._report.write_table(table)


def _picture(query: Query, prediction: Prediction, labels: Sequence[Label]) -> bytes:
    stream = io.BytesIO()
    drawn = drawn_of(query, prediction, labels, _SIZE)
    Image.fromarray(drawn).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
