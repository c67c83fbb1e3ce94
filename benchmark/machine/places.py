"""Where files lie on a machine, left out of what is told to others."""

from __future__ import annotations

import re

# The folders of a path that begins at a root, a drive, a server or somebody's home; no address.
_FOLDERS = re.compile(
    r"""(?<![\w.\-/\\])               # where no path has begun before
    (?:\\\\|file://+|(?:[A-Za-z]:|~[\w-]*)?[/\\](?![/\\\s]))
    (?:[^/\\:'"<>|\n]+[/\\])+""",
    re.VERBOSE,
)


def without_folders(text: str) -> str:
    r"""A text in which files go by their names alone, where it says from a root on where they lie.

    >>> without_folders("universeg:/home/ann/runs/base.safetensors+tune=9s")
    'universeg:base.safetensors+tune=9s'
    >>> without_folders(r"C:\Users\ann\my.py:Mine")
    'my.py:Mine'
    >>> without_folders("runs/base.safetensors, https://example.org/a/b")
    'runs/base.safetensors, https://example.org/a/b'
    """
    return _FOLDERS.sub("", text)


def name_of(place: str) -> str:
    """The last part of a path or an address: a store's own name."""
    return re.split(r"[/\\]", place.rstrip("/\\"))[-1]
