"""All results into files: masks, polygons, examples, the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.files.disk import refusal
from megamedical.processing.slicing import PICTURE
from megamedical.reading.volume import Volume
from universeg.desk.masks import Masks
from universeg.desk.record import LOOKED_AT
from universeg.desk.results.dicom import patient_of, write_segmentation
from universeg.desk.results.masks import names_of, write_example, write_masks
from universeg.desk.results.order import Order, Ordered, Outcome, Step
from universeg.desk.results.pictures import flags, picture_of
from universeg.desk.results.polygons import Coco, write_geojson
from universeg.desk.showing import Shown, shown_of
from universeg.results.measures import measures
from universeg.results.report import Report, Row

_NICE = 5
_EXPECTED = (
    "The expected Dice is what the network makes of its own prediction, corrected by how well it "
    "finds labelled scans from the others."
)


def write_results(conversation: Connection, order: Order) -> None:
    """Write all, and say how far it is; one scan that fails does not stop the others."""
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    with suppress(BrokenPipeError):
        try:
            outcome = results_of(
                order, lambda done: conversation.send(Step(done, len(order.scans)))
            )
        except (MegaMedicalError, OSError) as error:
            outcome = Outcome(problem=_in_words(error))
        conversation.send(outcome)


def _in_words(error: Exception) -> str:
    """What went wrong, and what a person can do."""
    told = refusal(error) or error
    if isinstance(told, MegaMedicalError):
        return f"{told.problem}. {told.remedy}".strip()
    return f"It could not be written: {told}"


def results_of(order: Order, step: Callable[[int], object]) -> Outcome:
    """Write what is ordered.

    Raises:
        OSError: the report could not be written, as on a full disk.
    """
    failures: list[tuple[str, str]] = []
    are_volumes = any(each.entry.file.dimension == 3 for each in order.scans)
    looked_at = sum(scan.state in LOOKED_AT for scan in order.scans)
    notes = (f"Somebody looked at {looked_at} of them.", _EXPECTED, *_left_out(order))
    report = Report(f"Desk: {order.folder.name}", "voxels" if are_volumes else "pixels", notes)
    coco = Coco(order.labels)
    names = names_of([each.entry for each in order.scans])
    examples = 0
    for number, scan in enumerate(order.scans):
        name = names[scan.entry.identity]
        try:
            row, is_example = _write_scan(order, scan, name, coco, report)
            report.rows.append(row)
            examples += is_example
        except (SubjectError, MegaMedicalError, OSError) as error:
            failures.append((scan.entry.name, getattr(error, "reason", "") or _in_words(error)))
        except Exception as error:  # one scan does not keep the others from being written
            failures.append((scan.entry.name, f"{type(error).__name__}: {error}"))
        step(number + 1)
    page = report.write_page(order.folder / "report.html")
    table = report.write_table(order.folder / "report.csv")
    written = [page.name, table.name]
    written.append(f"masks/ ({len(report.rows)})")
    if examples:
        written.append(f"examples/ ({examples})")
    if not are_volumes and report.rows:
        coco.write(order.folder / "polygons" / "coco.json")
        written.append("polygons/ (COCO and GeoJSON)")
    if (order.folder / "dicom-seg").exists():
        written.append("dicom-seg/")
    return Outcome(written, failures)


def _left_out(order: Order) -> Iterator[str]:
    """What labelled scans say of each label."""
    for label in order.labels:
        if each := order.left_out.get(label.value):
            yield (
                f"{label.name}: labelled scans, each found from the others, have a Dice of "
                f"{each.dice:.2f} ({each.low:.2f}-{each.high:.2f}, {each.scans} scans)."
            )


def _write_scan(
    order: Order, scan: Ordered, name: str, coco: Coco, report: Report
) -> tuple[Row, bool]:
    entry = scan.entry
    entry.expect_inside()
    values, volume = entry.file.read()
    shown = shown_of(entry, values)
    masks = Masks.load(scan.mask)[0] if scan.mask.exists() else Masks(shown.shape)
    if masks.shape != shown.shape:
        raise SubjectError("match", entry.name, "has another size than what was drawn on it")
    paths = list(write_masks(order.folder, name, entry, masks, volume, order.labels))
    trouble = ""
    if volume is None:
        coco.add(entry.file.path.name, masks)
        write_geojson(order.folder / "polygons" / f"{name}.geojson", masks, order.labels)
    else:
        segmented = order.folder / "dicom-seg" / f"{name}.dcm"
        trouble = write_segmentation(segmented, entry, volume, masks, order.labels)
    is_example = scan.state in LOOKED_AT
    if is_example:
        write_example(order.folder, name, entry, paths[0])
    row = _row(order, scan, shown, masks, volume, report)
    return replace(row, flags=[*row.flags, *filter(None, [trouble])]), is_example


def _row(
    order: Order,
    scan: Ordered,
    shown: Shown,
    masks: Masks,
    volume: Volume | None,
    report: Report,
) -> Row:
    spacing: Sequence[float] | None = shown.scan.spacing if volume is not None else None
    found = list(measures(masks, order.labels, spacing))
    plane = PICTURE if volume is None else "axial"
    picture = picture_of(shown, masks, order.labels, plane) if report.wants_picture() else b""
    return Row(
        name=scan.entry.name,
        patient=patient_of(scan.entry) if order.patients else "",
        state=scan.state,
        expected=scan.expected,
        agreed=scan.agreed,
        measures=found,
        flags=flags(scan.state, scan.expected, found, overlap=masks.overlapping()),
        has_spacing=spacing is not None,
        picture=picture,
    )
