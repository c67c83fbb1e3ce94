"""RAR archives, read by rarfile and the tool that it finds: unrar, unar, 7zz or bsdtar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from megamedical.files.disk import require_room
from megamedical.unpacking.password import ask_password, wrong_password
from megamedical.unpacking.safe_folder import LONGEST_LINK, Names, Refused, SafeFolder, refuse_bomb


def names_in_rar(archive: Path) -> list[str]:
    """The names of all files; none where they are encrypted, or where rarfile is not installed."""
    try:
        import rarfile
    except ImportError:
        return []
    names = Names()

    def hear(member: Any) -> None:  # noqa: ANN401
        """Keep a name as soon as it is read."""
        if member.filename and not member.is_dir():
            names.add(member.filename)

    try:
        with rarfile.RarFile(archive, info_callback=hear):
            return names.all
    except rarfile.Error as error:
        raise ValueError(type(error).__name__) from error


def read_rar(archive: Path, folder: SafeFolder) -> None:
    """Unpack a RAR archive."""
    try:
        import rarfile
    except ImportError:
        raise Refused(
            "is a RAR archive, which rarfile reads", "pip install 'megamedical[archives]'"
        ) from None
    names = Names()
    try:
        with rarfile.RarFile(
            archive, info_callback=lambda each: names.add(each.filename or "")
        ) as content:
            if content.needs_password():
                content.setpassword(ask_password(archive.name))
            _unpack(content, folder)
    except rarfile.RarCannotExec:
        raise Refused(
            "is a RAR archive, for which a tool is needed", "Install unrar, unar, 7zz or bsdtar."
        ) from None
    except rarfile.RarWrongPassword:
        raise wrong_password() from None
    except rarfile.Error as error:
        raise ValueError(f"{type(error).__name__}") from error


def _unpack(content: Any, folder: SafeFolder) -> None:  # noqa: ANN401  (rarfile is optional)
    members = content.infolist()
    need = sum(member.file_size for member in members)
    refuse_bomb(folder.limits, need, need)
    require_room(folder.root, need, "unpacking it")
    for member in members:
        path = folder.enter(member.filename)
        if path is None:
            continue
        refuse_bomb(folder.limits, member.file_size, member.compress_size)
        if member.is_dir():
            folder.add_folder(path)
        elif member.is_symlink():
            target = content.read(member)[:LONGEST_LINK].decode("utf-8", "surrogateescape")
            folder.add_link(path, target, start=path.rpartition("/")[0])
        elif member.is_file():
            with content.open(member) as file:
                folder.add_file(path, file, member.file_size)
        else:
            raise Refused("is neither a file, nor a folder, nor a link")
