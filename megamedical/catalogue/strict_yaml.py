"""YAML in which nothing is lost: a key that comes twice is an error, not the end of the first."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"  # `<<: *other`, whose keys may come again


def load(text: str) -> Any:  # noqa: ANN401
    """What safe YAML says.

    Raises:
        yaml.YAMLError: it is none, or a key comes twice.
    """
    return yaml.load(text, _Loader)  # noqa: S506


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != _MERGE]
        keys = [self.construct_object(key, deep=True) for key in own]
        for key, place in zip(keys, own, strict=True):
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"`{key}:` comes twice here", problem_mark=place.start_mark
                )
        return super().construct_mapping(node, deep)
