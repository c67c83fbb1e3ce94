"""Archives from their members, and a mirror from its archives."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

Members = dict[str, bytes]  # path in the archive -> content
Archives = dict[str, Members]  # name of the archive -> its members


def write_mirror(mirror: Path, datasets: Mapping[str, Archives]) -> Path:
    """Write the archives of datasets to `<mirror>/<dataset>/<archive>`, and their SHA256SUMS.

    An archive whose name has no suffix is one that its users have as a folder.
    """
    for dataset, archives in datasets.items():
        for name, members in archives.items():
            path = mirror / dataset / name
            if "." in name:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pack(name, members))
            else:
                write_folder(path, members)
    write_sums(mirror)
    return mirror


def write_folder(folder: Path, members: Members) -> None:
    """Write what is in an archive as a folder."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_sums(mirror: Path) -> None:
    """Write the checksums of all that is in a mirror, as `sha256sum */*` would."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(mirror).as_posix()}\n"
        for path in sorted(mirror.glob("*/*"))
        if path.is_file()
    ]
    (mirror / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def pack(name: str, members: Members) -> bytes:
    """A zip, a tar, or a file as it is, as the name says; the same members give the same bytes."""
    if [*members] == [name]:
        return members[name]
    content = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in members.items():
                archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    else:
        with tarfile.open(fileobj=content, mode="w") as archive:
            for path, data in members.items():
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
