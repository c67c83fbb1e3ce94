"""7-Zip archives, read by py7zr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from megamedical.errors import ArchiveError
from megamedical.files.disk import require_room
from megamedical.unpacking.password import ask_password, wrong_password
from megamedical.unpacking.safe_folder import (
    LONGEST_LINK,
    Names,
    Refused,
    SafeFolder,
    refuse_bomb,
    shown,
)
from megamedical.unpacking.split_files import open_parts, parts_of, size_of


def names_in_seven_zip(archive: Path) -> list[str]:
    """The names of all files; none where they are encrypted, or where py7zr is not installed."""
    try:
        import py7zr
    except ImportError:
        return []
    with open_parts(parts_of(archive)) as file, _damage_told(encrypted=False):
        try:
            with py7zr.SevenZipFile(file) as content:
                names = Names()
                for member in content.list():
                    if not member.is_directory:
                        names.add(member.filename)
                return names.all
        except py7zr.PasswordRequired:
            return []


def read_seven_zip(archive: Path, folder: SafeFolder) -> None:
    """Unpack a 7-Zip archive."""
    try:
        import py7zr
    except ImportError:
        raise Refused(
            "is a 7-Zip archive, which py7zr reads", "pip install 'megamedical[archives]'"
        ) from None
    with open_parts(parts_of(archive)) as file:
        password = ask_password(archive.name) if _is_encrypted(file) else None
        file.seek(0)
        with (
            _damage_told(encrypted=password is not None),
            py7zr.SevenZipFile(file, password=password) as content,
        ):
            _unpack(content, size_of(archive), folder)


def _is_encrypted(file: IO[bytes]) -> bool:
    """Whether its files are encrypted, or even their names."""
    import py7zr

    with _damage_told(encrypted=False):
        try:
            with py7zr.SevenZipFile(file) as content:
                return bool(content.needs_password())
        except py7zr.PasswordRequired:
            return True


@contextmanager
def _damage_told(*, encrypted: bool) -> Iterator[None]:
    """Take what py7zr raises, which is of many kinds, for damage, or for a wrong password."""
    try:
        yield
    except (Refused, ArchiveError, OSError):
        raise
    except Exception as error:
        if encrypted:
            raise wrong_password() from None
        raise ValueError(str(error) or type(error).__name__) from error


def _unpack(content: Any, packed: int, folder: SafeFolder) -> None:  # noqa: ANN401  (py7zr is optional)
    from py7zr.io import Py7zIO, WriterFactory

    members = content.list()
    need = sum(member.uncompressed for member in members)
    refuse_bomb(folder.limits, need, packed)
    require_room(folder.root, need, "unpacking it")
    links: dict[str, _Text] = {}
    sinks: dict[str, _File | _Text] = {}
    for member in members:
        path = folder.enter(member.filename)
        if path is None:
            continue
        if path in sinks:
            raise Refused(f"has the name of {shown(path)}, which is there already")
        if member.is_directory:
            folder.add_folder(path)
        elif member.is_symlink:
            sinks[path] = links[path] = _Text()
        elif member.is_file:
            sinks[path] = _File(folder.reserve_file(path), member.uncompressed)
        else:
            raise Refused("is neither a file, nor a folder, nor a link")

    class Writer(Py7zIO):  # type: ignore[misc]
        """What py7zr writes a member to."""

        def __init__(self, sink: _File | _Text | None) -> None:
            self._sink = sink
            self._written = 0

        def write(self, s: bytes | bytearray) -> int:
            if self._sink is not None:
                self._sink.add(s)
            self._written += len(s)
            return len(s)

        def read(self, size: int | None = None) -> bytes:
            del size
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            del offset, whence
            return 0

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return self._written

    class Writers(WriterFactory):  # type: ignore[misc]
        """A writer for each member by its name."""

        def create(self, filename: str) -> Writer:
            path = PurePosixPath(filename).relative_to(PurePosixPath(folder.root)).as_posix()
            return Writer(sinks.get(path))

    content.extractall(path=folder.root, factory=Writers())
    for sink in sinks.values():
        if isinstance(sink, _File):
            sink.finish()
    for path, text in links.items():
        target = text.content.decode("utf-8", "surrogateescape")
        folder.add_link(path, target, start=path.rpartition("/")[0])


class _File:
    """A file that comes in pieces, and must be as long as the archive says."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def add(self, piece: bytes | bytearray) -> None:
        """Write what comes next."""
        with self._path.open("ab") as file:
            file.write(piece)
            if file.tell() > self._size:
                raise EOFError(f"more than {self._size} bytes")

    def finish(self) -> None:
        """Make sure that all came."""
        length = self._path.stat().st_size
        if length != self._size:
            raise EOFError(f"{length} of {self._size} bytes of {self._path.name}")


class _Text:
    """The target of a link."""

    def __init__(self) -> None:
        self.content = b""

    def add(self, piece: bytes | bytearray) -> None:
        """Keep what comes next, as far as it may be a path."""
        self.content += piece[: LONGEST_LINK - len(self.content)]
