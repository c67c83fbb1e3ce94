"""One file in two places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from megamedical.files.disk import require_room


def link_or_copy(source: Path, target: Path) -> None:
    """Put a file somewhere else too, without using the space twice where the disk allows it."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        require_room(target.parent, source.stat().st_size, f"copying {source.name}")
        shutil.copyfile(source, target)


def linked_folder(source: Path, target: Path) -> bool:
    """Let a name lead to a folder; not where disks have no links, or one needs a right for them."""
    try:
        target.symlink_to(source.resolve(), target_is_directory=True)
    except (OSError, NotImplementedError):
        return False
    return True
