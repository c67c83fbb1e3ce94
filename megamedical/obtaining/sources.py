"""Where archives come from: a mirror, the raw folder, or the network; always with their hash."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ArchiveError, MegaMedicalError, Unobtainable
from megamedical.files.checksums import Algorithm, Digest, digest_of, read_sums
from megamedical.files.folders import files_in, sha256_of_files, state_of_files
from megamedical.files.writing import whole_file
from megamedical.obtaining.fetch import fetch, without_secrets
from megamedical.reporting.downloads import Report
from megamedical.store.location import Location

_State = dict[str, str | int]  # what changes when a file or a folder does


@dataclass(frozen=True)
class Obtained:
    """An archive that is here and is the right one, as far as anybody knows a checksum for it.

    `path` may be a folder that holds what is in the archive; `sha256` is then that of the files
    that are read from it.
    """

    path: Path
    sha256: str


def expect_mirror(mirror: Path | None) -> None:
    """Make sure that a mirror is there, if one was named.

    Raises:
        MegaMedicalError: it is no folder.
    """
    if mirror is not None and not mirror.is_dir():
        raise MegaMedicalError(
            f"The mirror {mirror} is not a folder", "Name the folder of archives as DATASET/FILE."
        )


def obtain(
    dataset: DatasetManifest,
    archive: Archive,
    *,
    raw: Path,
    mirror: Path | None,
    checksum: bool = True,
    offline: bool = False,
    report: Report | None = None,
    wait: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] | None = None,
) -> Obtained:
    """Find an archive on disk, or else fetch it.

    It is looked for in `<mirror>/<dataset>/`, where it is used in place, then in
    `<raw>/<dataset>/archives/`; what is downloaded goes there. A mirror's `SHA256SUMS` overrides
    the manifest's checksum; without either, or with `checksum=False`, the file is taken as it is.
    Its SHA-256 is remembered beside the raw archives and computed again only when the file changed.
    A folder of the archive's name that holds what is in it does as well, if no checksum is asked
    for. `report`, `wait` and `tell` are those of `fetch`.

    Raises:
        ArchiveError: the file is not the expected one, or the disk is full.
        Unobtainable: it is not here and cannot be downloaded; the message says how to get it and
            where to put it.
    """
    wanted = _Wanted(dataset, archive, raw, mirror)
    memory = _memory_of(wanted.kept)
    expected, size = wanted.expectation if checksum else (None, None)
    for path in wanted.places:
        if path.is_file():
            _check(path, expected, size, memory)
            return Obtained(path, memory.digest(path, "sha256"))
        if path.is_dir():
            if expected:
                raise _unchecked(path, expected)
            return Obtained(path, memory.digest_of_files(path, wanted.read_from(path)))
    if offline or not archive.urls:
        raise wanted.missing(offline)
    try:
        fetch(
            archive.urls,
            wanted.kept,
            expected=expected,
            size=size,
            report=report,
            wait=wait,
            tell=tell,
        )
    except Unobtainable as error:
        raise Unobtainable(error.problem, wanted.remedy) from error
    if expected:
        memory.remember(wanted.kept, {expected.algorithm: expected.value})
    return Obtained(wanted.kept, memory.digest(wanted.kept, "sha256"))


def places(
    dataset: DatasetManifest, archive: Archive, raw: Path, mirror: Path | None
) -> tuple[Path, ...]:
    """Where an archive is looked for, in that order."""
    return _Wanted(dataset, archive, raw, mirror).places


def archive_folder(raw: Path, dataset: DatasetManifest) -> Path:
    """Where the archives of a dataset are kept."""
    return raw / dataset.id / "archives"


def raw_folder(location: Location, raw: str | Path | None) -> Path:
    """Where archives and what comes of them lie: as asked, or beside the store."""
    if raw is not None:
        return Path(raw).resolve()
    beside = location.folder.parent if location.folder else Path.cwd()
    return (beside / "raw").resolve()


def stated_digest(dataset: DatasetManifest, archive: Archive) -> Digest | None:
    """What an archive hashes to, if its manifest says so."""
    manifest = f"the manifest of {dataset.id}"
    if archive.sha256:
        return Digest("sha256", archive.sha256, manifest)
    return Digest("md5", archive.md5, manifest) if archive.md5 else None


def differs_in_length(path: Path, size: int | None) -> str:
    """How the length of a file differs from the one that its manifest says; "" if it does not."""
    length = path.stat().st_size
    if not size or length == size:
        return ""
    return f"it is {length} bytes long, expected {size} according to the manifest"


def remember(path: Path, digests: dict[Algorithm, str]) -> None:
    """Note what an archive in a raw folder hashes to, so that `obtain` need not do it again."""
    _memory_of(path).remember(path, digests)


@dataclass(frozen=True)
class _Wanted:
    """An archive, where it may be, what it should be, and how a user comes by it."""

    dataset: DatasetManifest
    archive: Archive
    raw: Path
    mirror: Path | None

    @property
    def kept(self) -> Path:
        return archive_folder(self.raw, self.dataset) / self.archive.name

    @property
    def places(self) -> tuple[Path, ...]:
        if self.mirror is None:
            return (self.kept,)
        return (self.mirror / self.dataset.id / self.archive.name, self.kept)

    @property
    def expectation(self) -> tuple[Digest | None, int | None]:
        """The checksum and the length that the file must have, where somebody says so."""
        listed = self._listed
        if listed:
            return listed, None
        return stated_digest(self.dataset, self.archive), self.archive.size

    @property
    def _listed(self) -> Digest | None:
        sums = self.mirror / "SHA256SUMS" if self.mirror else None
        if sums is None or not sums.is_file():
            return None
        value = read_sums(sums).get(f"{self.dataset.id}/{self.archive.name}")
        return Digest("sha256", value, str(sums)) if value else None

    def read_from(self, folder: Path) -> dict[str, Path]:
        """The files of a folder that the dataset is read from.

        Raises:
            ArchiveError: there is none.
        """
        patterns = self.dataset.patterns_of(self.archive)
        files = {
            name: path
            for name, path in files_in(folder).items()
            if any(pattern.match(self.archive.prefix + name) for pattern in patterns)
        }
        if not files:
            raise ArchiveError(
                f"{folder} is a folder without any file that {self.dataset.id} is read from",
                f"`megamedical check` shows what is looked for. Or put {self.archive.name} there.",
            )
        return files

    @property
    def remedy(self) -> str:
        how = self.dataset.how_to_get or self._visit
        folders = " or ".join(f"{path.parent}/" for path in reversed(self.places))
        return f"{how.rstrip()} Put {self.archive.name} into {folders} and run again.".lstrip()

    @property
    def _visit(self) -> str:
        home = self.archive.urls or ((self.dataset.home,) if self.dataset.home else ())
        return f"Fetch it by hand from {' or '.join(map(without_secrets, home))}." if home else ""

    def missing(self, offline: bool) -> Unobtainable:
        if offline and self.archive.urls:
            reason = "is not here, and nothing is downloaded offline"
        elif self.dataset.access == "open":
            reason = "is not here, and no address for it is known"
        else:
            reason = f"is not here, and cannot be downloaded (access: {self.dataset.access})"
        return Unobtainable(f"{self.archive.name} of {self.dataset.id} {reason}", self.remedy)


def _check(path: Path, expected: Digest | None, size: int | None, memory: _Memory) -> None:
    """Make sure that a file is the one that is expected, by its length before its content."""
    if difference := differs_in_length(path, size):
        raise _wrong(path, difference)
    if expected:
        found = memory.digest(path, expected.algorithm)
        if found != expected.value:
            raise _wrong(path, expected.differs_from(found))


def _wrong(path: Path, difference: str) -> ArchiveError:
    return ArchiveError(
        f"{path} is not the expected file: {difference}",
        "Delete it and run again to fetch it anew. If its owners have repacked it and you trust "
        "it, use --no-checksum.",
    )


def _unchecked(folder: Path, expected: Digest) -> ArchiveError:
    return ArchiveError(
        f"{folder} is a folder, and {expected.according_to} has a checksum of the archive alone",
        "Put the archive itself there. If you trust the folder, use --no-checksum.",
    )


def _memory_of(kept: Path) -> _Memory:
    return _Memory(kept.with_name(f".{kept.name}.verified.json"))


class _Memory:
    """The digests of a file, remembered for as long as its place, size and time stay the same.

    Of a folder it is one digest of files, and all their sizes and times.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self, path: Path, algorithm: Algorithm) -> str:
        """A file's digest, from memory where the file has not changed since."""
        return self._digest(_fingerprint(path), algorithm, lambda: digest_of(path, algorithm))

    def digest_of_files(self, folder: Path, files: Mapping[str, Path]) -> str:
        """The digest of files of a folder, likewise."""
        state: _State = {"path": str(folder), "files": state_of_files(files)}
        return self._digest(state, "sha256", lambda: sha256_of_files(files))

    def remember(self, path: Path, digests: dict[Algorithm, str]) -> None:
        """Write down digests that were verified elsewhere."""
        self._write(_fingerprint(path), digests)

    def _digest(self, state: _State, algorithm: Algorithm, compute: Callable[[], str]) -> str:
        known = self._known(state)
        if algorithm not in known:
            known[algorithm] = compute()
            self._write(state, known)
        return known[algorithm]

    def _known(self, state: _State) -> dict[Algorithm, str]:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            is_whole = record.pop("checksum") == _checksum(record)
            if is_whole and {key: record.pop(key) for key in state} == state:
                return dict(record)
        except (FileNotFoundError, ValueError, LookupError, AttributeError, TypeError):
            pass
        return {}

    def _write(self, state: _State, digests: dict[Algorithm, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        said = state | digests
        with whole_file(self._path) as path:
            path.write_text(json.dumps({**said, "checksum": _checksum(said)}), encoding="utf-8")


def _checksum(said: Mapping[str, object]) -> str:
    """Of what is remembered: a changed byte of it must not make a good archive a wrong one."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> _State:
    status = path.stat()
    return {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
