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
