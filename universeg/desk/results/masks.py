"""Masks on each scan's own grid, and what was looked at as examples for the next time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from megamedical.reading.volume import Volume
from megamedical.task_id import slug
from universeg.desk.catalogue import Entry
from universeg.desk.masks import Masks
from universeg.prediction.overlays import write_picture
from universeg.prediction.volumes import write_volume
from universeg.results.labels import Label


def names_of(entries: Sequence[Entry]) -> Mapping[str, str]:
    """What the files of each scan are called, by identity; of two scans of one name, not alike."""
    names: dict[str, str] = {}
    for entry in entries:
        is_taken = entry.name in names.values()
        names[entry.identity] = f"{entry.name}-{entry.identity[:6]}" if is_taken else entry.name
    return names


def write_masks(
    folder: Path,
    name: str,
    entry: Entry,
    masks: Masks,
    volume: Volume | None,
    labels: Sequence[Label],
) -> Iterator[Path]:
    """The mask of a scan; where labels overlap, one of each label too.

    Yields:
        each file that was written, the mask first.
    """
    values = [label.value for label in labels]
    yield _write(folder / "masks", name, masks.label_map(values), entry, volume)
    if masks.overlapping():
        for label in labels:
            own = masks.layer(label.value).astype("uint8")
            inside = folder / "masks-by-label" / slug(label.name)
            yield _write(inside, name, own, entry, volume)


def write_example(folder: Path, name: str, entry: Entry, mask: Path) -> Path:
    """A scan and its mask, so that the folder can be given as `--support`."""
    images = folder / "examples" / "images"
    files = entry.file.files
    entry.expect_inside()
    if len(files) > 1:
        for file in files:
            _copy(file, images / name / file.name)
    else:
        suffix = "".join(files[0].name[len(entry.file.name) :]) if _is_named(entry) else ".dcm"
        _copy(files[0], images / f"{name}{suffix}")
    target = folder / "examples" / "masks" / mask.name
    _copy(mask, target)
    return target


def _is_named(entry: Entry) -> bool:
    return entry.file.files[0].name.startswith(entry.file.name) and entry.file.series is None


def _write(
    folder: Path, name: str, values: NDArray[Any], entry: Entry, volume: Volume | None
) -> Path:
    if volume is None:
        path = folder / f"{name}.png"
        write_picture(values, path)
    else:
        path = folder / f"{name}.nii.gz"
        write_volume(values, volume, entry.file.path, path)
    return path


def _copy(source: Path, target: Path) -> None:
    with whole_file(target) as unfinished:
        shutil.copyfile(source, unfinished)
