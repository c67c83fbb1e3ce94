"""Results in one file that others can check and rank: rows, provenance, and their hashes."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.ranking import leaderboard
from benchmark.results import ENSEMBLE, Provenance, ResultsError, published, read_results
from benchmark.suite import Suite
from megamedical.files.writing import whole_file

if TYPE_CHECKING:
    import pandas as pd

CONTENTS = "submission.json"
_METHOD = "method.json"
_KINDS = (".parquet", ".json")
_MOST_FILES = 20_000
_MOST_BYTES = 4 * 2**30  # of all files, unpacked
_MOST_TIMES = 1000  # larger than packed; Parquet and short JSON are nowhere near
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same results make the same file


@dataclass(frozen=True)
class Submission:
    """What a file of results holds: its methods, the suite and protocol, and how many rows."""

    suite: str
    protocol: str
    methods: tuple[str, ...]
    rows: int
    tasks: int


def pack(results: Path, out: Path, suite: Suite | None = None) -> Submission:
    """Put results into one file, whole or not at all: rows, who made them on what, and hashes.

    The same results make the same file, to the last byte. Nothing in it says where files lay.

    Args:
        results: a folder, as `run` leaves it.
        out: the `.zip`.
        suite: that the rows are of, where it does not come with the package.

    Raises:
        ResultsError: there are none, or they cannot be ranked together.
    """
    found = _checked(results, suite)
    files = {
        path.relative_to(results).as_posix(): published(path)
        for path in sorted(results.rglob("*"))
        if path.name == _METHOD or (path.suffix == ".parquet" and (path.parent / _METHOD).exists())
    }
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    said = asdict(found) | {"files": digests}
    with (
        whole_file(out) as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        text = json.dumps(said, indent=2, sort_keys=True) + "\n"
        archive.writestr(zipfile.ZipInfo(CONTENTS, _EPOCH), text)
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    return found


def check(submission: Path, suite: Suite | None = None) -> Submission:
    """Make sure that a file of results is whole, and that its rows can be ranked.

    Raises:
        ResultsError: it is damaged, holds what does not belong there, or says something else than
            its rows.
    """
    with TemporaryDirectory(prefix="submission-") as scratch:
        folder = Path(scratch)
        said = _unpacked(submission, folder)
        found = _checked(folder, suite)
    for name, value in asdict(found).items():
        if json.loads(json.dumps(value)) != said.get(name):
            raise ResultsError(
                f"{submission} says {name} {said.get(name)!r}, its rows {value!r}",
                "Pack the results again.",
            )
    return found


@contextmanager
def unpacked(places: Sequence[Path]) -> Iterator[list[Path]]:
    """The folders of results: those named, and what files that `pack` made hold, for a while.

    A folder of such files stands for all of them, as those of `results/` in the repository.

    Raises:
        ResultsError: see `check`.
    """
    with TemporaryDirectory(prefix="submissions-") as scratch:
        folders = []
        for number, place in enumerate(each for named in places for each in _files_of(named)):
            folder = place
            if place.suffix == ".zip":
                folder = Path(scratch) / f"{number}"
                folder.mkdir()
                _unpacked(place, folder)
            folders.append(folder)
        yield folders


def _files_of(place: Path) -> list[Path]:
    """The files that `pack` made, of a folder that has some; else the place itself."""
    return sorted(place.glob("*.zip")) or [place]


def _checked(results: Path, suite: Suite | None) -> Submission:
    """What results hold; a board is made of them, which refuses what must not be mixed."""
    rows, provenance = read_results(results)
    board = leaderboard(rows, provenance, suite, resamples=1)
    _expect_sense(rows, provenance)
    return Submission(
        board.suite,
        board.protocol,
        tuple(sorted(board.methods)),
        len(rows),
        len(board.data),
    )


def _expect_sense(rows: pd.DataFrame, provenance: list[Provenance]) -> None:
    """Make sure that scores are scores, and that each ensemble says what it found."""
    for name in ("dice", "surface_dice", "cldice", "object_f1"):
        known = rows[name].dropna().astype(float)
        if not known.between(0, 1).all():
            raise ResultsError(f"Rows have a {name} outside of 0 to 1", "Run the method again.")
    scored = rows[(rows["draw"] == ENSEMBLE) & rows["dice"].notna()]
    if scored["mask"].isna().any():
        method = scored[scored["mask"].isna()]["method"].iloc[0]
        raise ResultsError(f"Rows of {method} lack their masks", "Run the method again.")
    silent = [said.about.name for said in provenance if not said.hardware or not said.asked]
    if silent:
        raise ResultsError(
            f"{', '.join(silent)}: it is not said on what, or how, they were run",
            "Run them again.",
        )


def _unpacked(submission: Path, folder: Path) -> dict[str, object]:
    """Unpack a file of results, bounded, into an empty folder; what it says of itself."""
    try:
        with zipfile.ZipFile(submission) as archive:
            infos = archive.infolist()
            _expect_bounded(submission, infos)
            said = json.loads(archive.read(CONTENTS))
            files = dict(said["files"])
            names = [info.filename for info in infos if info.filename != CONTENTS]
            if sorted(names) != sorted(files):
                odd = sorted(set(names) ^ set(files)) or sorted(names)
                raise ResultsError(
                    f"{submission} does not hold what it says: {', '.join(odd[:3])}",
                    "Pack the results again.",
                )
            for name in names:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as packed, target.open("wb") as unpacked:
                    shutil.copyfileobj(packed, unpacked)
                if _digest(target) != files[name]:
                    raise ResultsError(
                        f"{name} in {submission} is not what was packed: its SHA-256 differs",
                        "Get the file again.",
                    )
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ResultsError(
            f"{submission} is no file of results: {error}",
            "Make one with `megamedical-benchmark pack`.",
        ) from error
    return dict(said)


def _expect_bounded(submission: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Make sure that nothing leaves the folder, and that all of it is small."""
    for reason in _faults(infos):
        raise ResultsError(f"{submission} is not unpacked: {reason}", "Take no file from there.")


def _faults(infos: list[zipfile.ZipInfo]) -> Iterator[str]:
    if len(infos) > _MOST_FILES:
        yield f"it holds {len(infos):,} files"
    if sum(info.file_size for info in infos) > _MOST_BYTES:
        yield f"it holds more than {_MOST_BYTES / 2**30:.0f} GiB"
    names = set()
    for info in infos:
        path = PurePosixPath(info.filename)
        is_odd = path.is_absolute() or ".." in path.parts or "\\" in info.filename
        if is_odd or ":" in info.filename or path.suffix not in _KINDS or len(path.parts) > 6:
            yield f"{info.filename!r} does not belong there"
        if info.file_size > _MOST_TIMES * max(info.compress_size, 1):
            yield f"{info.filename} is packed too well to be results"
        if info.filename in names:
            yield f"it holds {info.filename} twice"
        names.add(info.filename)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
