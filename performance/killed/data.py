"""Building, downloading and unpacking: archives made here, and a server of this machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from killed.act import Act, Moment, digests
from megamedical.store.verification import verify

MANIFEST = """\
id: {id}
title: Discs
home: null
role: train
access: open
licence: {{name: none}}
citation: {{title: none, authors: nobody, year: 2026}}
archives:
{archives}
groups:
  all:
    modality: microscopy
    dimension: 2
    subjects: {subjects}
    image: "images/{{case}}.png"
    mask: {{decode: values, file: "masks/{{case}}.png"}}
    labels: {{1: disc, 2: ring}}
    subject: "{{case}}"
    patient: "{{case}}"
    evidence: [made here]
"""
UNPACK = """\
from megamedical.reporting.ending import end_when_asked
end_when_asked()
import sys
from pathlib import Path
import typer
from megamedical.reporting.console import errors_explained
def main(archives: Path, out: Path) -> None:
    with errors_explained():
        from megamedical.unpacking.archives import unpack
        for archive in sorted(archives.iterdir()):
            unpack(archive, out / archive.name, digest="made here")
typer.run(main)
"""
SIDE = 64  # pixels
PAUSE = 0.02  # seconds, between two pieces of what the server sends
PIECE = 16 * 1024


def build(place: Path, *, toy: bool) -> Act:
    """Two datasets, a zip and a tar.gz of pictures, into one store, with two workers."""
    count = 8 if toy else 40
    mirror, manifests = place / "mirror", place / "manifests"
    for seed, (dataset, name) in enumerate([("discs", "a.zip"), ("rings", "b.tar.gz")]):
        (mirror / dataset).mkdir(parents=True)
        (mirror / dataset / name).write_bytes(archive(name, pictures(count, seed)))
        manifests.mkdir(exist_ok=True)
        text = MANIFEST.format(id=dataset, archives=f"  - name: {name}", subjects=count)
        (manifests / f"{dataset}.yaml").write_text(text)

    def line(folder: Path) -> list[str]:
        given = ["discs", "rings", "--mirror", mirror, "--manifests", manifests, "--offline"]
        given += ["--store", folder / "store", "--raw", folder / "raw", "--workers", "2"]
        return ["-m", "megamedical", "build", *map(str, [*given, "--resolution", "32"])]

    def stage(moment: Moment) -> str:
        if moment.holds("store/manifests/.lock.holder"):
            return "publishes" if moment.has_file("store/manifests/.next/*.parquet") else "packs"
        if "process:" in moment.said:
            return "packs"
        if "obtain:" in moment.said:
            return "processes"
        return "obtains" if moment.below else "starts"

    def result(folder: Path) -> dict[str, str]:
        raw = digests(folder / "raw", "*/unpacked/**/*") | digests(
            folder / "raw", "*/staged/**/*.npz"
        )
        return raw | digests(folder / "store")

    return Act(
        "build",
        ("starts", "obtains", "processes", "packs", "publishes"),
        line,
        stage,
        result,
        lambda folder: verify(folder / "store").problems,
    )


def download(place: Path, *, toy: bool) -> Act:
    """Three files from a slow server that knows ranges, one of them without a checksum."""
    rng = np.random.default_rng(0)
    pixels = {f"{i}": rng.bytes(100_000 if toy else 1_200_000) for i in range(3)}
    files = {
        "plain.bin": pixels["0"],
        "a.zip": archive("a.zip", {"x": pixels["1"]}),
        "b.tar.gz": archive("b.tar.gz", {"x": pixels["2"]}),
    }
    server = SlowServer(files)
    entries = [
        f'  - {{name: {name}, urls: ["{server.url}/{name}"]'
        + ("}" if name == "a.zip" else f", sha256: {hashlib.sha256(content).hexdigest()}}}")
        for name, content in files.items()
    ]
    text = MANIFEST.format(id="discs", archives="\n".join(entries), subjects=1)
    (place / "manifests").mkdir()
    (place / "manifests/discs.yaml").write_text(text)

    def line(folder: Path) -> list[str]:
        given = ["discs", "--raw", str(folder / "raw"), "--manifests", str(place / "manifests")]
        return ["-m", "megamedical", "download", *given]

    def stage(moment: Moment) -> str:
        if server.at_work:
            return "transfers"
        holds = any(
            moment.holds(str(path.relative_to(moment.folder)))
            for path in moment.folder.glob("raw/*/archives/.*.holder")
        )
        if "is now there" in moment.said or holds:
            return "checks"
        return "starts"

    return Act(
        "download",
        ("starts", "transfers", "checks"),
        line,
        stage,
        lambda folder: digests(folder / "raw", "*/archives/[!.]*"),
    )


def unpack(place: Path, *, toy: bool) -> Act:
    """A zip, a tar.gz and a zip in a zip, of many small files."""
    content = pictures(20 if toy else 200, 0)
    (place / "archives").mkdir()
    for name in ("a.zip", "b.tar.gz"):
        (place / "archives" / name).write_bytes(archive(name, content))
    inner = {"inner.zip": archive("inner.zip", content)}
    (place / "archives/c.zip").write_bytes(archive("c.zip", inner))

    def stage(moment: Moment) -> str:
        if moment.has_file("out/.*.replaced"):
            return "replaces"
        holds = any(
            moment.holds(str(path.relative_to(moment.folder)))
            for path in moment.folder.glob("out/.*.holder")
        )
        return "unpacks" if holds else "starts"

    return Act(
        "unpack",
        ("starts", "unpacks", "replaces"),
        lambda folder: ["-c", UNPACK, str(place / "archives"), str(folder / "out")],
        stage,
        lambda folder: digests(folder / "out", "[!.]*/**/*"),
    )


def pictures(count: int, seed: int) -> dict[str, bytes]:
    """Noisy discs in rings, each with its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((SIDE, SIDE)) / SIDE - 0.5
    found = {}
    for number in range(count):
        distance = np.hypot(y - rng.uniform(-0.2, 0.2), x - rng.uniform(-0.2, 0.2))
        mask = np.select([distance < 0.1, distance < 0.2], [1, 2], 0).astype(np.uint8)
        image = (80 * mask + rng.uniform(0, 60, mask.shape)).astype(np.uint8)
        found[f"images/{number:04}.png"] = png(image)
        found[f"masks/{number:04}.png"] = png(mask)
    return found


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def archive(name: str, files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(content, "w") as zipped:
            for path, data in files.items():
                zipped.writestr(path, data)
    else:
        with tarfile.open(fileobj=content, mode="w:gz") as tarred:
            for path, data in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(data)
                tarred.addfile(member, io.BytesIO(data))
    return content.getvalue()


class SlowServer:
    """Sends files little by little, from wherever it is asked to."""

    def __init__(self, files: dict[str, bytes]) -> None:
        server = self
        self.at_work = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):  # killed
                    super().handle()

            def do_GET(self) -> None:
                content = files[self.path[1:]]
                begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=")[:-1])
                self.send_response(206 if begin else 200)
                if begin:
                    span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                    self.send_header("Content-Range", span)
                self.send_header("Content-Length", str(len(content) - begin))
                self.send_header("ETag", f'"{self.path}"')
                self.end_headers()
                server.at_work += 1
                try:
                    for start in range(begin, len(content), PIECE):
                        self.wfile.write(content[start : start + PIECE])
                        time.sleep(PAUSE)
                except OSError:
                    self.close_connection = True
                finally:
                    server.at_work -= 1

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{http.server_address[1]}"
