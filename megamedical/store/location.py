"""Where a store lies: a folder, or any URL that fsspec knows (`s3://bucket/store`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import fsspec

from megamedical.errors import NotInstalled, StoreError
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file

_EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
}


class Location:
    """The root of a store, and the reading and writing of small files below it."""

    def __init__(self, url: str | Path) -> None:
        """Take a folder or a URL.

        Raises:
            NotInstalled: it is of a kind that an extra reads.
            StoreError: it is of no kind that fsspec knows.
        """
        self.url = str(url)
        kind = self.url.partition("://")[0]
        try:
            # Listings are asked for anew each time: another process may have written.
            self._files, self._root = fsspec.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            if kind not in _EXTRAS:
                raise StoreError(f"{self.url} cannot be opened: {error}") from error
            package, extra = _EXTRAS[kind]
            raise NotInstalled(
                f"{self.url} is read by {package}, which is not installed",
                f"pip install 'megamedical[{extra}]'",
            ) from error
        except ValueError as error:
            raise StoreError(
                f"{self.url} cannot be opened: {error}", "Name a folder, s3://… or gs://…."
            ) from error

    def __str__(self) -> str:
        return self.url

    @property
    def absolute(self) -> str:
        """Its place for a process that may be at work in another folder."""
        return str(self.folder or self.url)

    @property
    def folder(self) -> Path | None:
        """The store's folder, where it is on this machine."""
        local = isinstance(self._files, fsspec.implementations.local.LocalFileSystem)
        return Path(self._root) if local else None

    @contextmanager
    def explaining_full(self) -> Iterator[None]:
        """Say which disk it is that fills up while the store is written.

        Raises:
            MegaMedicalError: no space was left.
        """
        with explain_full(self.folder, None, "the store") if self.folder else nullcontext():
            yield

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Say in one sentence what a server answers, or that there is none.

        Raises:
            StoreError: it does not do what is asked for; a file that is not there is none of it.
        """
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except Exception as error:  # each file system has errors of its own
            if self.folder:
                raise
            raise StoreError(
                f"{self} cannot be reached: {type(error).__name__}: {error}",
                "Look at the address, at your credentials, and at what they permit.",
            ) from error

    def below(self, name: str) -> Location:
        """A folder of it."""
        return Location(f"{self.absolute}/{name}")

    def files(self) -> list[str]:
        """Every file below it, by its name from here, in order; hidden ones too."""
        with self._reached():
            found = self._files.find(self._root)
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        with self._reached():
            return bool(self._files.exists(f"{self._root}/{name}"))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self._reached():
            content: bytes = self._files.cat_file(f"{self._root}/{name}")
        return content

    def read_ranges(self, name: str, ranges: Sequence[tuple[int, int | None]]) -> list[bytes]:
        """Parts of a file, all asked for at once; a negative start counts from the end."""
        starts = [start for start, _ in ranges]
        ends = [end for _, end in ranges]
        paths = [f"{self._root}/{name}"] * len(ranges)
        parts: list[bytes] = self._files.cat_ranges(paths, starts, ends, on_error="raise")
        return parts

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self.folder:
            with whole_file(self.folder / name) as path:
                path.write_bytes(content)
        else:
            with self._reached():
                self._files.pipe_file(f"{self._root}/{name}", content)

    def move(self, name: str, to: str) -> None:
        """Put a file in the place of another, unless that was done already."""
        if self.folder and self.exists(name):
            (self.folder / name).replace(self.folder / to)
        elif self.exists(name):
            with self._reached():
                self._files.mv(f"{self._root}/{name}", f"{self._root}/{to}")

    def replace(self, name: str, to: str) -> None:
        """Put a folder of this machine in the place of another, unless that was done already.

        Between the two there is a moment in which nothing lies there.
        """
        if self.folder and (self.folder / name).exists():
            self.remove(to)
            (self.folder / to).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).replace(self.folder / to)

    def remove(self, name: str = "") -> None:
        """Remove a folder and all that is in it, or a file, if it is there."""
        path = f"{self._root}/{name}".rstrip("/")
        with self._reached():
            if self._files.exists(path):
                self._files.rm(path, recursive=True)

    def zarr(self) -> Any:  # noqa: ANN401  (zarr's stores share no public type)
        """The location as a store for zarr."""
        from zarr.storage import FsspecStore, LocalStore

        return LocalStore(self.folder) if self.folder else FsspecStore.from_url(self.url)
