"""The nodes of a store beside its root, so that Zarr lists them without a look into each folder.

Zarr calls it consolidated metadata. Without it, Zarr warns of each folder that is none of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from megamedical.store.attributes import group_node
from megamedical.store.location import Location

Nodes = Mapping[str, Any]

_OF_GROUP = ("", "/images", "/masks")


def nodes_in(root: bytes) -> Nodes:
    """The nodes that a store's root has."""
    said = json.loads(root or b"{}").get("consolidated_metadata") or {}
    return dict(said.get("metadata", {}))


def home_of_node(name: str) -> str:
    """`<dataset>/<group>` of a node's place, as far as it has one."""
    return "/".join(name.split("/")[:2])


def nodes_of(
    location: Location, groups: Sequence[str], staged: Mapping[str, str], before: Nodes
) -> Nodes:
    """The nodes of some groups, and of their datasets.

    Args:
        location: the store.
        groups: `<dataset>/<group>` each.
        staged: where those lie that are on their way into the store.
        before: the nodes that were known before.
    """
    nodes: dict[str, Any] = {}
    for group in sorted(groups):
        nodes[group.partition("/")[0]] = json.loads(group_node({}))
        for part in _OF_GROUP:
            name = f"{group}{part}"
            if group in staged or name not in before:
                try:
                    content = location.read(f"{staged.get(group, group)}{part}/zarr.json")
                except (FileNotFoundError, NotADirectoryError):
                    continue  # it is damaged, and `verify` says so
                nodes[name] = json.loads(content)
            else:
                nodes[name] = before[name]
    return nodes
