"""How a folder of images and masks is laid out: which are pairs, and the patterns that fit them.

A path is read as a shape and a key: `imagesTr/liver_7_0000.nii.gz` has the shape
`images{}/{}_0000.nii.gz` and the key `Tr`, `liver_7`. Words that say that a file is an image or a
mask stay in the shape, so an image and its mask have the same key. What varies among the keys
becomes the fields of the patterns.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from megamedical.authoring.fields import Fields, shared_beginning
from megamedical.catalogue.patterns import Pattern
from megamedical.reading.formats import sought_dimension, suffix_of
from megamedical.reading.vocabulary import IMAGE, MASK
from megamedical.task_id import slug

_KIND = "ct|mri?|pet|t1|t1w|t1ce|t1c|t1gd|t2|t2w|flair|adc|dwi|orig|norm"
_FOLDER = r"(?P<before>(?:.*[ _-])?)(?P<word>%s)(?P<after>(?:Tr|Ts|Va|[ _-].*)?)"
_IMAGE_FOLDER = re.compile(_FOLDER % IMAGE, re.IGNORECASE)
_MASK_FOLDER = re.compile(_FOLDER % MASK, re.IGNORECASE)
_IMAGE_NAME = re.compile(f"{IMAGE}|{_KIND}", re.IGNORECASE)
_MASK_NAME = re.compile(MASK, re.IGNORECASE)
_IMAGE_ENDING = re.compile(rf"[ _.-]({IMAGE}|{_KIND}|000[0-9])$", re.IGNORECASE)
_MASK_ENDING = re.compile(rf"[ _.-]({MASK})$", re.IGNORECASE)


class _Reading(NamedTuple):
    """A path as a shape, with a `{}` for each text of its key."""

    shape: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Images of one shape and their masks: what a group of a manifest says of its files.

    `masks` has a pattern for each label that has a file of its own, or one under no name; `union`
    is its field that counts the files of one image. `pairs` maps the path of an image to those of
    its masks.
    """

    name: str
    dimension: int
    image: str
    masks: Mapping[str, str]
    subject: str
    patient: str
    union: str = ""
    may_lack: tuple[str, ...] = ()
    pairs: Mapping[str, Sequence[str]] = field(default_factory=dict)


def find_layouts(paths: Iterable[str]) -> list[Layout]:
    """The layouts of a folder, by the paths of its files; none where nothing could be paired.

    Known are folders of images beside folders of masks, masks whose names end in `_mask` or the
    like, folders that hold an image and its mask, and masks in PNG beside images of the same name
    in another format. A mask may be a file for each label or for each object.
    """
    files = sorted(path for path in paths if _dimension(path) and not re.search("[{}]", path))
    folders = len(shared_beginning([path.split("/")[:-1] for path in files]))
    for split in (_by_words, _by_formats, _by_one_image):
        images, masks = split(files, folders)
        ours = {path: [*_readings(path, folders, is_mask=False)] for path in images}
        theirs = {path: [*_readings(path, folders, is_mask=True)] for path in masks}
        pairings = [_pair(ours, theirs, part_of) for part_of in _ways(masks)]
        found = max(pairings, key=len, default=[])
        if found:
            return _layouts(found, ours, files)
    return []


class _Pair(NamedTuple):
    """An image and one of its masks; `label` is what else the mask's path says."""

    path: str
    image: _Reading
    mask: _Reading
    label: str


def _dimension(path: str) -> int:
    return sought_dimension(Path(path))


def _stem(name: str) -> str:
    return name[: len(name) - len(suffix_of(Path(name)))]


# Which files are images, and which are masks


def _by_words(files: Sequence[str], folders: int) -> tuple[list[str], list[str]]:
    masks = [path for path in files if _is_called_mask(path, folders)]
    return sorted({*files} - {*masks}), masks


def _by_formats(files: Sequence[str], _: int) -> tuple[list[str], list[str]]:
    pictures = [path for path in files if _dimension(path) == 2]
    masks = [path for path in pictures if suffix_of(Path(path)) == ".png"]
    return sorted({*pictures} - {*masks}), masks


def _by_one_image(files: Sequence[str], _: int) -> tuple[list[str], list[str]]:
    images = [path for path in files if _IMAGE_NAME.fullmatch(_stem(Path(path).name))]
    return images, sorted({*files} - {*images})


def _is_called_mask(path: str, folders: int) -> bool:
    *own, name = path.split("/")[folders:]
    stem = _stem(name)
    in_folder = any(_MASK_FOLDER.fullmatch(folder) for folder in own)
    return bool(in_folder or _MASK_NAME.fullmatch(stem) or _MASK_ENDING.search(stem))


# Shapes and keys


def _readings(path: str, folders: int, *, is_mask: bool) -> Iterator[_Reading]:
    """What a path may be read as: its name as it is, or without an ending that says what it is.

    The first so many `folders` are those of all files, and say nothing of any.
    """
    *own, name = path.split("/")
    shapes, key = [], []
    for place, folder in enumerate(own):
        words = (_MASK_FOLDER if is_mask else _IMAGE_FOLDER).fullmatch(folder)
        if words and place >= folders:
            around = [words["before"], words["after"]]
            key += [text for text in around if text]
            shapes.append(words["word"].join("{}" if text else "" for text in around))
        else:
            key.append(folder)
            shapes.append("{}")
    stem = _stem(name)
    suffix = name[len(stem) :]
    if (_MASK_NAME if is_mask else _IMAGE_NAME).fullmatch(stem):
        yield _Reading("/".join([*shapes, name]), tuple(key))
        return
    ending = (_MASK_ENDING if is_mask else _IMAGE_ENDING).search(stem)
    yield _Reading("/".join([*shapes, f"{{}}{suffix}"]), (*key, stem))
    if ending:
        core = stem[: ending.start()]
        yield _Reading("/".join([*shapes, f"{{}}{ending[0]}{suffix}"]), (*key, core))


_Readings = Mapping[str, Sequence[_Reading]]  # by path
_Labelled = tuple[str, _Reading]  # a label, and the path without it
_Way = Callable[[_Reading], Iterable[_Labelled]]


def _ways(masks: Sequence[str]) -> Iterator[_Way]:
    """How the path of a mask may hold the name of its label: not, as a folder, or as an ending."""
    yield lambda reading: [("", reading)]
    depth = max((path.count("/") + 2 for path in masks), default=0)
    for place in range(depth):
        yield lambda reading, place=place: _without(reading, place)  # type: ignore[misc]
    yield _without_ending


def _without(reading: _Reading, place: int) -> Iterator[_Labelled]:
    if place < len(reading.key):
        texts = [text if n == place else "{}" for n, text in enumerate(reading.key)]
        key = reading.key[:place] + reading.key[place + 1 :]
        yield reading.key[place], _Reading(reading.shape.format(*texts), key)


def _without_ending(reading: _Reading) -> Iterator[_Labelled]:
    *folders, last = reading.key or ("",)
    for gap in re.finditer("[ _.-]", last):
        core, label = last[: gap.start()], last[gap.end() :]
        if core and label:
            texts = ["{}"] * len(reading.key)
            texts[-1] += gap[0] + label
            yield label, _Reading(reading.shape.format(*texts), (*folders, core))


def _pair(images: _Readings, masks: _Readings, part_of: _Way) -> list[_Pair]:
    """Every pair of an image and one of its masks, which have the same key."""
    of_key: dict[tuple[int, tuple[str, ...]], list[_Labelled]] = defaultdict(list)
    for path, readings in masks.items():
        for reading in readings:
            for label, rest in part_of(reading):
                of_key[_dimension(path), rest.key].append((label, rest))
    pairs = []
    for path, readings in images.items():
        for image in readings:
            found = of_key.get((_dimension(path), image.key))
            if found:
                pairs += [_Pair(path, image, mask, label) for label, mask in found]
                break
    return pairs


# From pairs to patterns


def _layouts(pairs: Sequence[_Pair], images: _Readings, files: Sequence[str]) -> list[Layout]:
    of_shape: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        of_shape[pair.image.shape].append(pair)
    names = _names([*of_shape])
    return [
        _layout(name, same, images, files)
        for name, same in zip(names, of_shape.values(), strict=True)
    ]


def _names(shapes: Sequence[str]) -> list[str]:
    """What tells the shapes of images from each other, for the names of groups."""
    if len(shapes) == 1:
        return ["all"]
    words = [re.findall("[A-Za-z0-9]+", shape) for shape in shapes]
    common = set(words[0]).intersection(*words[1:])
    names = [slug(" ".join(w for w in each if w not in common)) or "all" for each in words]
    return [
        name if names.count(name) == 1 else f"{name}-{number}"
        for number, name in enumerate(names, start=1)
    ]


def _layout(name: str, pairs: Sequence[_Pair], images: _Readings, files: Sequence[str]) -> Layout:
    shape = pairs[0].image.shape
    by_label: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        by_label[pair.label][pair.mask.shape] += 1
    has_objects = _are_objects([pair.label for pair in pairs])
    shapes = {label: count.most_common(1)[0][0] for label, count in by_label.items()}
    kept = [pair for pair in pairs if has_objects or pair.mask.shape == shapes[pair.label]]
    masks_of: dict[str, list[str]] = defaultdict(list)
    for pair in kept:
        masks_of[pair.path].append(pair.mask.shape.format(*pair.mask.key))
    keys = {pair.path: pair.image.key for pair in kept}
    fields = Fields([*keys.values()])
    same = {path for path, found in images.items() if any(r.shape == shape for r in found)}
    masks = {label: mask.format(*fields.texts) for label, mask in shapes.items()}
    if has_objects:
        label, mask = next(iter(shapes.items()))
        masks = {"": _with_object(mask, label).format(*fields.texts)}
    lacking = [label for label in shapes if sum(p.label == label for p in kept) < len(keys)]
    return Layout(
        name=name,
        dimension=_dimension(pairs[0].path),
        image=_narrowed(shape, fields, same, files),
        masks=masks,
        subject=fields.subject,
        patient=f"{{{fields.patient}}}",
        union="object" if has_objects else "",
        may_lack=() if has_objects else tuple(lacking),
        pairs=masks_of,
    )


def _are_objects(labels: Collection[str]) -> bool:
    """Whether what looks like labels counts the objects of an image."""
    names = {*labels}
    if len(names) < 2:
        return False
    return all(name.isdecimal() for name in names) or len(names) > len(labels) / 2 + 1


def _with_object(shape: str, label: str) -> str:
    before, _, after = shape.rpartition(label)
    return f"{before}{{{{object}}}}{after}"


def _narrowed(shape: str, fields: Fields, same: Collection[str], files: Sequence[str]) -> str:
    """The pattern of images, its fields as open as they may be without fitting other files."""
    numbers = {
        name: "[0-9]+"
        for name, values in fields.values.items()
        if all(value.isdecimal() for value in values)
    }
    last = [*fields.values][-1]
    endings = sorted({e[0] for path in files if (e := _MASK_ENDING.search(_stem(path)))})
    unlike = "".join(f"(?<!{re.escape(ending)})" for ending in endings)
    plain = shape.format(*fields.texts)
    narrowed = plain
    for more in ({}, {last: f"[^/]+{unlike}"}):
        narrowed = plain
        for name, what in {**more, **numbers}.items():
            narrowed = narrowed.replace(f"{{{name}}}", f"{{{name}:{what}}}", 1)
        if all(path in same for path in files if Pattern(narrowed).match(path)):
            break
    return narrowed
