"""Tiny datasets in the layout of the real ones, written as the archives a mirror holds.

`Archives` maps the name of an archive to its members, and a member's path to its content, so a test
changes or takes out a file before anything is packed.
"""

from __future__ import annotations

from miniatures.archives import Archives, pack, write_mirror, write_sums
from miniatures.building import EVERYTHING, RESOLUTION, build_miniatures, contents
from miniatures.datasets import DATASETS, acdc, drive, hippocampus, stare, wbc

__all__ = [
    "DATASETS",
    "EVERYTHING",
    "RESOLUTION",
    "Archives",
    "acdc",
    "build_miniatures",
    "contents",
    "drive",
    "hippocampus",
    "pack",
    "stare",
    "wbc",
    "write_mirror",
    "write_sums",
]
