"""Voxels in a file beside their header, which comes from outside and may name anything."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from megamedical.errors import SubjectError


def beside(path: Path, name: str) -> Path:
    """The file that a header names, which lies in its folder or below it.

    Args:
        path: the file with the header.
        name: what it says.

    Raises:
        SubjectError: it names several files, one elsewhere, none, or one that is not there.
    """
    if not name or re.search(r"[%*?]", name) or name.split(maxsplit=1)[0].upper() == "LIST":
        what = f"in several files ({name})" if name else "in a file that it does not name"
        raise SubjectError("read", path.name, f"has its voxels {what}: convert it to one file")
    folder = path.parent.resolve()
    windows = PureWindowsPath(name)
    found = (folder / name).resolve()
    is_elsewhere = Path(name).is_absolute() or windows.anchor or ".." in windows.parts
    if is_elsewhere or not found.is_relative_to(folder):
        raise SubjectError(
            "read",
            path.name,
            f"points to {name}, which is outside its own folder: put its voxels beside it",
        )
    if not found.is_file():
        raise SubjectError("read", path.name, f"lacks its voxels: {name} is not there")
    if found == path.resolve():
        raise SubjectError("read", path.name, "points to itself for its voxels")
    return found
