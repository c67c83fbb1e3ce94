"""What `docs/datasets.md` says of leaks that were looked for, and of errors that are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from megamedical.catalogue.honesty import KnownError
from megamedical.catalogue.manifest import DatasetManifest

_LEAKS = """\
## One person, one split

No person may be in two splits. What one person may have several of was looked for in every
dataset; where something tells whose it is, all of it is in one split."""
_LEAK_COLUMNS = ("Dataset", "Several of one person", "Told by", "In one split")
_ERRORS = """\
## Known errors

What others have found wrong in {datasets} datasets: {entries} errors. *Left out* are subjects
that are certainly wrong; `build --known-errors keep` takes them all the same, and then, as of all
that is *kept*, `subjects.parquet` says what is wrong. What is *corrected* is right from that
version on."""
_ERROR_COLUMNS = ("Dataset", "Subjects", "What is wrong", "Since", "Done", "Source")
_NAMED = 4  # subjects of an error, before they are counted
_LONGEST = 16  # characters of a name


def leaks(datasets: Iterable[DatasetManifest]) -> str:
    """The table of what one person may have several of."""
    return "\n".join([_LEAKS, "", *_rows(_LEAK_COLUMNS, _leaks(datasets))])


def known_errors(datasets: Iterable[DatasetManifest]) -> str:
    """The table of what is known to be wrong."""
    wrong = [dataset for dataset in datasets if dataset.known_errors]
    entries = sum(len(dataset.known_errors) for dataset in wrong)
    title = _ERRORS.format(datasets=len(wrong), entries=entries)
    return "\n".join([title, "", *_rows(_ERROR_COLUMNS, _errors(wrong))])


def _leaks(datasets: Iterable[DatasetManifest]) -> Iterator[tuple[str, ...]]:
    for dataset in datasets:
        for each in dataset.of_one_person:
            told = each.told_by or "nothing"
            kept = "yes" if each.told_by else "not known"
            yield f"[{dataset.id}](#{dataset.id})", each.what, told, kept


def _errors(datasets: Iterable[DatasetManifest]) -> Iterator[tuple[str, ...]]:
    for dataset in datasets:
        for error in dataset.known_errors:
            yield (
                f"[{dataset.id}](#{dataset.id})",
                _subjects(error),
                error.what,
                error.since or "",
                f"corrected: {error.corrected_in}" if error.corrected_in else error.done,
                ", ".join(map(_source, error.sources)),
            )


def _subjects(error: KnownError) -> str:
    names = [
        name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in error.subjects[:_NAMED]
    ]
    more = len(error.subjects) - len(names)
    named = ", ".join(names) or "the dataset"
    where = f" ({', '.join(error.groups)})" if error.groups else ""
    return f"{named} and {more} more{where}" if more else f"{named}{where}"


def _source(source: str) -> str:
    if not source.startswith("https://"):
        return source
    host, _, path = source.removeprefix("https://").partition("/")
    words = path.split("/") if host == "github.com" else [host, path]
    shown = "/".join(word[:12] if len(word) > 32 else word for word in words)
    return f"[{shown}]({source})"


def _rows(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (columns, ("---",) * len(columns), *rows):
        yield "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
