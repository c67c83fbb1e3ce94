"""RAR archives, read by rarfile and the tool that it finds: unrar, unar, 7zz or bsdtar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from megamedical.files.disk import require_room
from megamedical.unpacking.password import ask_password, wrong_password
from megamedical.unpacking.safe_folder import LONGEST_LINK, Refused, Tree, refuse_bomb


def names_in_rar(archive: Path) -> list[str]:
    """The names of all files; none where they are encrypted, or where rarfile is not installed."""
    try:
        import rarfile
    except ImportError:
        return []
    try:
        with rarfile.RarFile(archive) as content:
            return [member.filename for member in content.infolist() if not member.is_dir()]
    except rarfile.Error as error:
        raise ValueError(type(error).__name__) from error


def read_rar(archive: Path, tree: Tree) -> None:
    """Unpack a RAR archive."""
    try:
        import rarfile
    except ImportError:
        raise Refused(
            "is a RAR archive, which rarfile reads", "pip install 'megamedical[archives]'"
        ) from None
    try:
        with rarfile.RarFile(archive) as content:
            if content.needs_password():
                content.setpassword(ask_password(archive.name))
            _unpack(content, tree)
    except rarfile.RarCannotExec:
        raise Refused(
            "is a RAR archive, for which a tool is needed", "Install unrar, unar, 7zz or bsdtar."
        ) from None
    except rarfile.RarWrongPassword:
        raise wrong_password() from None
    except rarfile.Error as error:
        raise ValueError(f"{type(error).__name__}") from error


def _unpack(content: Any, tree: Tree) -> None:  # noqa: ANN401  (rarfile is optional)
    members = content.infolist()
    need = sum(member.file_size for member in members)
    refuse_bomb(tree.limits, need, need)
    require_room(tree.root, need, "unpacking it")
    for member in members:
        path = tree.enter(member.filename)
        if path is None:
            continue
        refuse_bomb(tree.limits, member.file_size, member.compress_size)
        if member.is_dir():
            tree.add_folder(path)
        elif member.is_symlink():
            target = content.read(member)[:LONGEST_LINK].decode("utf-8", "surrogateescape")
            tree.add_link(path, target, start=path.rpartition("/")[0])
        elif member.is_file():
            with content.open(member) as file:
                tree.add_file(path, file, member.file_size)
        else:
            raise Refused("is neither a file, nor a folder, nor a link")
