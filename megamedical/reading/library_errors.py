"""What libraries raise while they read a file, as one error that names the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from megamedical.errors import MegaMedicalError, SubjectError


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Whatever a library raises while it reads a file, the file is at fault.

    Raises:
        SubjectError: in place of any error but our own.
    """
    try:
        yield
    except MegaMedicalError:
        raise
    except Exception as error:
        raise SubjectError("read", path.name, _reason(error, path)) from error


def _reason(error: Exception, path: Path) -> str:
    """The telling line of a library's message, without its source files and our folders."""
    lines = [line.strip() for line in str(error).replace(f"{path.parent}/", "").splitlines()]
    told = [line for line in lines if line and not line.startswith("Reason: ")]  # errno, unrelated
    line = re.sub(r"^(ITK|sitk::)\s?ERROR: |\w*ImageIO\(0x[0-9a-f]+\): ?", "", (told or [""])[-1])
    if re.match("Unable to determine ImageIO reader|cannot identify image file", line):
        return "is nothing that can be read, whatever its name says"
    if re.match("Cannot read requested file|The number of bytes of pixel data is less", line):
        return "is damaged or cut off: its pixels cannot be read"
    return line if " " in line else f"{type(error).__name__}: {line}"
