"""Which files are DICOM: by their names, by what they begin with, and by their neighbours."""

from __future__ import annotations

import re
from pathlib import Path

SUFFIXES = (".dcm", ".dicom", ".ima")

PREAMBLE = 128  # bytes that may be anything, before `DICM`
_META = b"\x02\x00\x00\x00UL"  # the first element of all that are behind it
_LONGEST = 256  # bytes of a value of the first group
_NO_SLICES = re.compile(r"DICOMDIR|LICEN[CS]E|README|COPYING|CHANGES|VERSION", re.IGNORECASE)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its suffix or by what it begins with."""
    return path.suffix.lower() in SUFFIXES or _begins_as_dicom(path)


def dicom_files(folder: Path) -> list[Path]:
    """The files of a folder that are DICOM or should be, by name.

    Where DICOM files have no suffix of their own, as `IM0001` or `1.2.840.1`, each file that is
    named like them counts: one that was damaged at its beginning is not lost in silence.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
    known = {path for path in files if is_dicom(path)}
    endings = {_ending(path) for path in known} - {*SUFFIXES}
    return [
        path
        for path in files
        if path in known or (_ending(path) in endings and not _NO_SLICES.match(path.name))
    ]


def has_preamble(start: bytes) -> bool:
    """Whether a file begins as DICOM files on media do."""
    return start[PREAMBLE : PREAMBLE + 4] == b"DICM"


def begins_with_data(start: bytes) -> bool:
    """Whether a file begins with the first element of its data or of its file meta, bare."""
    if start.startswith(_META):
        return True
    group, length = start[:2], start[4:8]
    is_first = (group == b"\x08\x00" and start[3:4] == b"\0") or start[:3] == b"\x00\x08\x00"
    is_named = length[:2].isalpha() and length[:2].isupper()  # by two letters, its kind of value
    shortest = min(int.from_bytes(length, "little"), int.from_bytes(length, "big"))
    return is_first and (is_named or shortest <= _LONGEST)


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(PREAMBLE + 4 + len(_META))
    except OSError:
        return False
    return has_preamble(start) or start[PREAMBLE + 4 :] == _META or begins_with_data(start)


def _ending(path: Path) -> str:
    """The suffix of a name; a number is none, since UIDs have dots."""
    return "" if path.suffix[1:].isdecimal() else path.suffix.lower()
