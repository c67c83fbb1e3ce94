"""The first manifest of a dataset: written from a few answers and from what its files look like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from megamedical.authoring.check import QUESTION
from megamedical.authoring.label_names import label_names
from megamedical.authoring.layout import Layout, find_layouts
from megamedical.catalogue import strict_yaml
from megamedical.catalogue.facts import MODALITIES
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ManifestError, SubjectError
from megamedical.files.folders import list_files
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import read_picture_part
from megamedical.reading.images import read_label_values
from megamedical.spread import spread

_SAMPLE = 20  # masks that are read for their values
_SHADES = 32  # values of a picture, from which on they are shades and not labels
_EXAMPLES = {  # where nothing is known of the files
    2: Layout("all", 2, "images/{case}.png", {"": "masks/{case}.png"}, "{case}", "{case}"),
    3: Layout("all", 3, "{case}/image.nii.gz", {"": "{case}/seg.nii.gz"}, "{case}", "{case}"),
}
_VOLUMES = ("mri", "ct", "pet")  # modalities whose scans are volumes


@dataclass(frozen=True)
class Answers:
    """What its author says of a dataset; what is None becomes a question in the manifest."""

    id: str
    title: str | None = None
    home: str | None = None
    modality: str | None = None
    licence: str | None = None
    authors: str | None = None
    year: int | None = None
    doi: str | None = None
    archive: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Draft:
    """A manifest as text, and the layouts of the files that it was written from."""

    text: str
    layouts: Sequence[Layout]


def draft(answers: Answers, folder: Path | None = None) -> Draft:
    """Write a manifest.

    Args:
        answers: what is known of the dataset.
        folder: its files; the patterns and label values are proposed from them, and the names of
            labels are those of a `dataset.json` among them.

    Raises:
        ManifestError: an answer is none that a manifest can hold, or the folder is not there.
    """
    if folder and not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder", "Name the folder of the unpacked files.")
    tree = list_files([folder]) if folder else {}
    layouts = find_layouts(tree)
    text = "\n".join(_lines(answers, layouts, tree)) + "\n"
    _expect_manifest(text)
    return Draft(text, layouts)


def free_path(folder: Path, dataset: str) -> Path:
    """Where the manifest of a new dataset goes.

    Raises:
        ManifestError: one is there.
    """
    path = folder / f"{dataset}.yaml"
    if path.exists():
        raise ManifestError(f"{path} is there already", "Choose another id, or another --out.")
    return path


def _expect_manifest(text: str) -> None:
    try:
        DatasetManifest.model_validate(strict_yaml.load(text))
    except ValidationError as error:
        said = "; ".join(
            f"{e['loc'][-1]}: {e['msg']} (found {e['input']!r})" for e in error.errors()
        )
        raise ManifestError(f"This is not what a manifest holds: {said}") from error


def _lines(answers: Answers, layouts: Sequence[Layout], tree: Mapping[str, Path]) -> Iterator[str]:
    archive = answers.archive or (f"{answers.id}.zip" if answers.url else answers.id)
    yield "# Lines marked with a question mark wait for you: mend them and take the mark away."
    yield f"id: {answers.id}"
    yield _line("title", answers.title, answers.id, "what its owners call it")
    yield _line("home", answers.home, None, "the address of its page")
    yield "role: extra  # or train, dev, heldout: part of the collection"
    if answers.url:
        yield "access: open"
    else:
        yield "access: manual  # or open, kaggle, synapse, registration, agreement"
        yield f"how_to_get: Adopt the folder of its files.  {QUESTION} how anybody comes by them"
    yield "licence:"
    yield _line("  name", answers.licence, "not stated", "as SPDX has it: CC-BY-4.0")
    yield "  # commercial: true or false, where its owners say so"
    yield "  # redistribution: true or false, where its owners say so"
    yield "citation:"
    yield _line("  title", None, answers.title or answers.id, "of the paper to cite")
    yield _line("  authors", answers.authors, "unknown", "Name A, Name B, et al.")
    yield _line("  year", answers.year, date.today().year, "of the paper")
    yield _line("  doi", answers.doi, None, "of the paper")
    yield "archives:"
    yield f"  - name: {_text(archive)}"
    yield f"    urls: [{json.dumps(answers.url)}]" if answers.url else "    # urls: [https://…]"
    yield "    # sha256: …  # of the file as its owners distribute it; `sha256sum` says it"
    if len(layouts) > 1:
        yield f"shares_patients: true  {QUESTION} a patient is the same person in every group"
    yield "groups:"
    shown = layouts or [_EXAMPLES[3 if _begins(answers.modality, _VOLUMES) else 2]]
    for layout in shown:
        yield from (f"  {line}" for line in _group(answers, layout, tree))


def _group(answers: Answers, layout: Layout, tree: Mapping[str, Path]) -> Iterator[str]:
    guess = "mri" if layout.dimension == 3 else "microscopy"
    modality = answers.modality or guess
    found = len(layout.pairs)
    yield f"{layout.name}:"
    yield _line("  modality", answers.modality, guess, f"a guess: {', '.join(MODALITIES)}")
    yield f"  dimension: {layout.dimension}"
    if layout.dimension == 3:
        yield "  planes: [axial, coronal, sagittal]  # leave out those in which slices are thick"
    if layout.dimension == 3 and _begins(modality, ("mri",)):
        yield "  intensity: {percentiles: [0.5, 99.5]}  # of the voxels above zero"
    if layout.dimension == 3 and _begins(modality, ("ct",)):
        yield "  intensity: {window: [-500, 1000]}  # in HU"
    yield _line("  subjects", found or None, 1, "in the whole distribution")
    yield "  # Text in braces is a field: it may be anything, or what follows its colon."
    yield f"  image: {json.dumps(layout.image, ensure_ascii=False)}" + (
        "" if found else f"  {QUESTION} an example, as is the mask's"
    )
    yield from (f"  {line}" for line in _mask(layout, tree))
    yield f"  subject: {json.dumps(layout.subject)}  # of one image only"
    patient = json.dumps(layout.patient)
    yield f"  patient: {patient}  {QUESTION} whose image it is: nobody is in two splits"
    yield f"  evidence: []  {QUESTION} where the facts are from: a page, a public reader, the files"


def _mask(layout: Layout, tree: Mapping[str, Path]) -> Iterator[str]:
    """How masks become labels, from their number and their values."""
    if "" not in layout.masks:
        names = {label: _text(re.sub("[_.-]+", " ", label)) for label in layout.masks}
        yield "mask:"
        yield "  decode: files"
        yield "  files:"
        for label, pattern in layout.masks.items():
            yield f"    {names[label]}: {json.dumps(pattern, ensure_ascii=False)}"
        if layout.may_lack:
            yield f"  may_lack: [{', '.join(names[label] for label in layout.may_lack)}]"
        yield "labels:"
        for value, name in enumerate(names.values(), start=1):
            yield f"  {value}: {name}"
        return
    known = label_names(tree)
    values, is_colour = _values(layout, tree)
    is_shaded = layout.dimension == 2 and len(values) > _SHADES
    union = f", union: {layout.union}" if layout.union else ""
    file = f"file: {json.dumps(layout.masks[''], ensure_ascii=False)}{union}"
    if is_colour or is_shaded or values in ([], [255]) or layout.union:
        above = max(values, default=0) // 2 if is_shaded or values == [255] else 0
        said = ", channel: any" if is_colour else ""
        yield f"mask: {{decode: threshold, {file}, above: {above}{said}}}" + (
            f"  {QUESTION} in colour, or in many shades: is all above this the label?"
            if is_colour or is_shaded
            else ""
        )
        values = [1]
    else:
        yield f"mask: {{decode: values, {file}}}"
        values = sorted({*values, *known})
    yield "labels:"
    for value in values:
        yield _line(f"  {value}", known.get(value), f"label {value}", "its anatomical name")


def _values(layout: Layout, tree: Mapping[str, Path]) -> tuple[list[int], bool]:
    """The label values of a sample of masks, and whether these are in colour."""
    values: set[int] = set()
    is_colour = False
    masks = [path for paths in layout.pairs.values() for path in paths]
    for path in spread(masks, _SAMPLE):
        try:
            found = read_label_values(tree[path], layout.dimension)
        except SubjectError as error:
            if "in colour" not in error.reason:
                continue  # a check says what is wrong with it
            is_colour = True
            found = read_picture_part(tree[path], Part(channel="any"))
        values |= {*np.unique(found).tolist()}
    return sorted(value for value in values if value > 0), is_colour


def _begins(modality: str | None, kinds: Sequence[str]) -> bool:
    return (modality or "").partition("-")[0] in kinds


def _line(key: str, answer: str | int | None, otherwise: str | int | None, question: str) -> str:
    """A line of the manifest; what nobody said is a question."""
    if answer is not None:
        return f"{key}: {_text(answer)}"
    return f"{key}: {_text(otherwise)}  {QUESTION} {question}"


def _text(value: str | int | None) -> str:
    """A value as YAML has it, a text in quotes where it needs them."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 .()/+-]*", value)
    if is_plain and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
