"""The password of an encrypted archive: published, from the environment, or from a user."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from getpass import getpass

from megamedical.unpacking.safe_folder import Refused

VARIABLE = "MEGAMEDICAL_PASSWORD"

_published: ContextVar[str | None] = ContextVar("published", default=None)


@contextmanager
def published(password: str | None) -> Iterator[None]:
    """Open archives meanwhile with the password that their owners publish, where they do."""
    token = _published.set(password)
    try:
        yield
    finally:
        _published.reset(token)


def ask_password(name: str) -> str:
    """The password of an archive; it is kept nowhere.

    Raises:
        Refused: nobody can be asked.
    """
    password = _published.get() or os.environ.get(VARIABLE)
    if not password and sys.stdin is not None and sys.stdin.isatty():
        password = getpass(f"Password of {name}: ")
    if not password:
        raise Refused(
            "is encrypted",
            f"Ask its owners for the password, put it into the environment as {VARIABLE}, and run "
            "again.",
        )
    return password


def wrong_password() -> Refused:
    """What is said of an archive that a password does not open."""
    return Refused(
        "cannot be decrypted: the password is wrong, or the file damaged",
        f"Look at what {VARIABLE} is in the environment, or fetch the archive again.",
    )
