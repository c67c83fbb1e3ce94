"""A manifest's file, read and checked.

Anything that cannot be is refused with the file's name, the place in it, and what to write instead.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from megamedical.catalogue import strict_yaml
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ManifestError

_SHOWN = 20  # of what cannot be
_LONGEST = 200  # characters of what somebody has written, in a message


def read_manifest(path: Path) -> DatasetManifest:
    """Read and check one manifest.

    Raises:
        ManifestError: there is no such file, it is not YAML, or it says what cannot be; the message
            names the file, the place in it, and what to write instead.
    """
    try:
        manifest = _of(strict_yaml.read_bytes(path))
    except FileNotFoundError as error:
        raise ManifestError(f"There is no manifest at {path}", "Name a YAML file.") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}", "Look at it.") from error
    except yaml.YAMLError as error:
        raise ManifestError(
            f"{path} is not YAML: {error}",
            "Put text with braces or colons in quotes, and name each key once.",
        ) from error
    except ValidationError as error:
        found = error.errors()
        lines = [f"  {_place(e['loc'])}: {_reason(e)}" for e in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"  … and {len(found) - _SHOWN} more")
        raise ManifestError("\n".join([f"{path} is not a dataset manifest:", *lines])) from error
    if manifest.id != path.stem:
        raise ManifestError(
            f"{path} says `id: {manifest.id}`", f"Name the file {manifest.id}.yaml."
        )
    return manifest


@lru_cache(maxsize=512)  # a process that builds often reads the same manifests each time
def _of(content: bytes) -> DatasetManifest:
    return DatasetManifest.model_validate(strict_yaml.load(content))


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step)[:_LONGEST] for step in location) or "the whole file"


def _reason(error: ErrorDetails) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_type" and isinstance(error["input"], dict):
        return "text with braces must be in quotes"
    if error["type"] == "model_type":
        return "must be `key: value` lines"
    if error["type"] == "extra_forbidden":
        return "no such key; look for a misspelling"
    if error["type"] == "missing":
        return "this key must be given"
    if isinstance(error["input"], str):
        return f"{message[:_LONGEST]} (found {error['input'][:_LONGEST]!r})"
    return message
