"""A fetch from a server on this machine against curl, by turns.

    python performance/downloading.py [--size 1000000000] [--repeats 3] [--folder FOLDER] [--toy]

The server is a process of its own that sends one file, over and over; both check nothing and write
to the same disk. A figure is the best of the repeats, and the ratio is ours / curl's.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from megamedical.obtaining.fetch import fetch


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object):
        pass

    def copyfile(self, source, outputfile):
        outputfile.flush()
        self.connection.sendfile(source)


def serve(folder: str, told: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        told.send(server.server_address[1])
        server.serve_forever()


def by_curl(url: str, target: Path) -> None:
    subprocess.run(["curl", "-sS", "--noproxy", "*", "-o", target, url], check=True)


def by_us(url: str, target: Path) -> None:
    fetch([url], target, expected=None, size=None)


def main(size: int, repeats: int, folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        served, target = Path(place) / "served", Path(place) / "target"
        served.mkdir()
        with (served / "file").open("wb") as file:
            block = bytes(range(256)) * 4096
            for start in range(0, size, len(block)):
                file.write(block[: size - start])
        here, there = multiprocessing.get_context("spawn").Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(str(served), there), daemon=True
        )
        server.start()
        url = f"http://127.0.0.1:{here.recv()}/file"
        spent: dict[str, list[float]] = {"curl": [], "megamedical": []}
        for _ in range(repeats):
            for name, fetch in (("curl", by_curl), ("megamedical", by_us)):
                begin = time.perf_counter()
                fetch(url, target)
                spent[name].append(time.perf_counter() - begin)
                assert target.stat().st_size == size
                target.unlink()
        server.terminate()
    rates = {name: size / min(seconds) / 1e6 for name, seconds in spent.items()}
    for name, rate in rates.items():
        print(f"{name:12}{rate:8.0f} MB/s  {', '.join(f'{s:.2f} s' for s in spent[name])}")
    print(f"{'ratio':12}{rates['megamedical'] / rates['curl']:8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder")
    parser.add_argument("--toy", action="store_true", help="a megabyte, once")
    given = parser.parse_args()
    size, repeats = (1_000_000, 1) if given.toy else (given.size, given.repeats)
    main(size, repeats, given.folder)
