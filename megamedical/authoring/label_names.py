"""The names of labels, where a `dataset.json` beside the files says them.

The Medical Segmentation Decathlon (doi:10.1038/s41467-022-30695-9) and nnU-Net version 1 write
`{"1": "liver"}`, nnU-Net version 2 writes `{"liver": 1}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def label_names(tree: Mapping[str, Path]) -> dict[int, str]:
    """The name of each label value but the background's; none where no file says them.

    Args:
        tree: files by their paths, of which the uppermost `dataset.json` counts.
    """
    beside = [path for path in tree if path.rpartition("/")[2] == "dataset.json"]
    if not beside:
        return {}
    uppermost = min(beside, key=lambda path: (path.count("/"), path))
    try:
        said = json.loads(tree[uppermost].read_text(encoding="utf-8"))["labels"]
        pairs = [_value_and_name(*pair) for pair in said.items()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}  # of another kind: it says nothing
    return {value: name for value, name in pairs if value > 0}


def _value_and_name(key: str, said: str | int) -> tuple[int, str]:
    return (said, key) if isinstance(said, int) else (int(key), str(said))
