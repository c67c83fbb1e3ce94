"""The page `docs/datasets.md`, made from the manifests.

`python -m megamedical.catalogue.datasets_page` renews it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from megamedical.catalogue.datasets import (
    Catalog,
    catalog,
    manifest_folder,
    modalities,
    subjects,
    tasks,
)
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.honesty_page import known_errors, leaks
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.catalogue.terms import Licence
from megamedical.files.writing import whole_file

PAGE = Path("docs/datasets.md")

_HEAD = """\
# Datasets

What the manifests in `manifests/datasets/` say, written by
`python -m megamedical.catalogue.datasets_page`. A *task* is one label of one group, in one plane
and one slicing. *Proven* says what was built from the manifest: the archives as they are
distributed, with the number of subjects that were seen (real data), or tiny archives in their
layout (miniature); what is known of the layout, and from where, is in the `evidence` of each group,
and what was looked for in vain below.
"""
_COLLECTION = """\
`--all` takes {} datasets: `synthetic`, which is drawn, and those of the paper, but for `cdemris`.
That shows the patients of the held-out `scd`, and is among the extra."""
_EXTRA = "{} more are extra: they are taken only by name or with `--role extra`."
_COLUMNS = (
    "Dataset",
    "Role",
    "Modalities",
    "Subjects",
    "Groups",
    "Tasks",
    "Access",
    "Licence",
    "Proven",
)


def page(datasets: Catalog) -> str:
    """The whole page, in Markdown."""
    extra = [dataset for dataset in datasets.values() if dataset.role == "extra"]
    collection = [dataset for dataset in datasets.values() if dataset.role != "extra"]
    tables = [_table(_COLLECTION, collection), _table(_EXTRA, extra)]
    sections = ["\n".join(_section(dataset)) for dataset in datasets.values()]
    honest = [leaks(datasets.values()), known_errors(datasets.values())]
    return "\n\n".join([_HEAD.strip(), *tables, *honest, *sections]) + "\n"


def _table(title: str, datasets: Sequence[DatasetManifest]) -> str:
    rows = [_COLUMNS, ["---"] * len(_COLUMNS), *map(_summary, datasets)]
    return "\n".join([title.format(len(datasets)), "", *map(_row, rows)])


def _summary(dataset: DatasetManifest) -> Iterator[str]:
    yield f"[{dataset.id}](#{dataset.id})"
    yield dataset.role
    yield ", ".join(modalities(dataset))
    yield f"{subjects(dataset):,}"
    yield str(len(dataset.groups) or "drawn")
    yield f"{tasks(dataset):,}" if dataset.groups else "drawn"
    yield dataset.access
    yield dataset.licence.name
    yield _proof(dataset) if dataset.groups else "drawn"


def _proof(dataset: DatasetManifest) -> str:
    return f"{dataset.proven} ({dataset.proven_on:,})" if dataset.proven_on else dataset.proven


def _section(dataset: DatasetManifest) -> Iterator[str]:
    yield f"## {dataset.id}"
    yield ""
    yield f"{dataset.title}. {dataset.home or ''}".strip()
    yield ""
    citation = dataset.citation
    doi = f" doi:{citation.doi}" if citation.doi else ""
    yield f"- Cite: {citation.authors} ({citation.year}). *{citation.title}*.{doi}"
    yield f"- Licence: {_terms(dataset.licence)}"
    if dataset.how_to_get:
        yield f"- Access: {dataset.access}. {dataset.how_to_get.strip()}"
    if dataset.notes:
        yield f"- {dataset.notes.strip()}"
    if dataset.looked_for:
        yield f"- Real files were looked for in vain. {dataset.looked_for.strip()}"
    for name, group in dataset.groups.items():
        yield ""
        yield f"**{name}**: {group.title or dataset.title}. {_size(group)}"
        yield ""
        yield f"Labels: {', '.join(group.label_values)}."
        for exclusion in group.exclude:
            yield f"Left out: {', '.join(exclusion.subjects)} ({exclusion.reason})."
        if group.notes:
            yield ""
            yield group.notes.strip()


def _size(group: FileGroup) -> str:
    where = f", {', '.join(group.planes)}" if group.planes else ""
    return f"{group.subjects:,} subjects, {group.modality}{where}, {group.tasks:,} tasks."


def _terms(licence: Licence) -> str:
    commercial, redistribution = map(licence.said, (licence.commercial, licence.redistribution))
    return f"{licence.name}; commercial use: {commercial}; redistribution: {redistribution}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def main() -> None:
    """Write the page of a checkout anew."""
    path = manifest_folder().parent / PAGE
    with whole_file(path) as unfinished:
        unfinished.write_text(page(catalog()), encoding="utf-8")


if __name__ == "__main__":
    main()
