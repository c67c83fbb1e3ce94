"""Files that are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from megamedical.files.disk import is_full


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` when all of it is written, and else is removed.

    A disk that is full is an `OSError` that names the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_name(path)
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if is_full(error) and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def unfinished_name(path: Path) -> Path:
    """A name beside a path that nobody else takes, on whichever machine or in whichever container.

    It is hidden, and ends in `.unfinished`: what a process that died has left can be told.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.unfinished")
