"""Volumes with segments that lie in the patient: `.seg.nrrd`, DICOM SEG, RTSTRUCT."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.reading.formats import suffix_of
from megamedical.reading.library_errors import blaming
from universeg.annotations.naming import unified
from universeg.annotations.volumes.dicom import dicom_annotations
from universeg.annotations.volumes.segments import Segments
from universeg.annotations.volumes.slicer import slicer_segments
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.pairing.made import InPatient
from universeg.prediction.pairing.pair import Pair, Pairing


def with_segments(pairing: Pairing) -> Pairing:
    """The pairs, those masks that are segments in the patient as such, their names in one table."""
    found = [(pair, _segments_of(pair.mask)) for pair in pairing.pairs]
    if not any(segments for _, segments in found):
        return pairing
    names = unified(label for _, segments in found if segments for label in segments.labels)
    pairs = tuple(
        replace(pair, mask=InPatient(segments, names.values)) if segments else pair
        for pair, segments in found
    )
    return replace(pairing, pairs=pairs, names=names.names, colours=names.colours)


def by_references(folder: Path) -> Pairing | None:
    """DICOM series with the segments and structures that say which series they belong to."""
    inputs = inputs_at(folder)
    scans = [each for each in inputs if each.series and each.dimension == 3]
    segments = [(each, found) for each in inputs if (found := _segments_of(each))]
    if not scans or not segments:
        return None
    by_uid = {scan.series.headers[0].uid: scan for scan in scans if scan.series}
    pairs, unpaired, programs = [], [], []
    taken: set[Path] = set()
    for file, found in segments:
        scan = by_uid.get(found.series) or _beside(file.path, scans)
        if scan is None or scan.path in taken:
            unpaired.append(file.path)
            continue
        taken.add(scan.path)
        pairs.append(Pair(scan, file))
        programs.append(found.program)
    unpaired += [scan.path for scan in scans if scan.path not in taken]
    return (
        Pairing(tuple(pairs), f"by the series that each {programs[0]} names", tuple(unpaired))
        if pairs
        else None
    )


def _beside(path: Path, scans: list[Input]) -> Input | None:
    """The one series in the folder of a file, if it names none that is there."""
    near = [scan for scan in scans if path.parent in (scan.path, scan.path.parent)]
    return near[0] if len(near) == 1 else None


def _segments_of(mask: object) -> Segments | None:
    if not isinstance(mask, Input):
        return None
    with suppress(SubjectError), blaming(mask.path):  # told when it is read
        if suffix_of(mask.path) in (".nrrd", ".nhdr"):
            return slicer_segments(mask.path)
        if mask.damage and mask.path.is_file():
            return dicom_annotations(mask.path)
    return None
