"""What images and their masks are called, in names of files, folders and columns.

Each is a regular expression without groups, to be matched without regard to case.
"""

from __future__ import annotations

IMAGE = "images?|imgs?|scans?|volumes?|photos?|pictures?"
MASK = "masks?|labels?|segs?|segmentations?|annotations?|gts?|ground[_-]?truths?"
