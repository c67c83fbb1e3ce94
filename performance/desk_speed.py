"""How long a person at the desk waits, and what the desk takes of memory.

    python performance/desk_speed.py [--weights megamedical-base] [--repeats 3] [--toy] [WHAT …]

A desk is opened as a person opens it, and asked as its page asks it, on scans that are made here:
what the network costs does not depend on what it sees.

- `strokes`: how long a stroke takes until it is on disk, with nothing else to do and while 50
  pictures are predicted anew; a second page looks at the list all the while.
- `click`: how long a new picture takes from the click until it can be seen and drawn on, and until
  its prediction is there, 16 labelled ones being shown with it, while others are predicted.
- `volume`: how long a volume of 32 slices with 2 labels takes, 16 slices being shown with each.
- `floor`: how long the multiplications of that volume would take if all went as fast as a product
  of two large matrices, and if all went as fast as the convolution that most of them are of.
- `many`: the most memory that the server and the process that predicts ever had, 500 pictures
  being predicted and each of them opened.

Printed are the seconds of the clock, and those that the predicting process had of a processor: on
a machine where others work, these are what a quiet one would take, shared by its cores. `--toy`
takes few scans and a small network that has learnt nothing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/fixtures")]
from made_desk import disc, write_pictures  # noqa: E402

from universeg.desk.masks import runs_of  # noqa: E402
from universeg.network.universeg import UniverSeg  # noqa: E402
from universeg.weights.models import load_universeg  # noqa: E402
from universeg.weights.models import save as save_weights  # noqa: E402
from universeg.weights.releases import file_of  # noqa: E402

SHAPE = (480, 640)  # of a picture
SLICES = 32
SUPPORT = 16
CLICKS = 5
TICK = os.sysconf("SC_CLK_TCK")
SOON = 0.02  # seconds between two questions whether it is done
LOOK = 0.8  # seconds between two looks of a page
PAUSE = 0.03  # seconds between two strokes


class Visitor:
    """A page, as far as the server can tell."""

    def __init__(self, address: str, process: int) -> None:
        self.process = process
        self._address = address
        parts = urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.netloc)
        self._connection.request("GET", f"/?{parts.query}")
        answer = self._connection.getresponse()
        answer.read()
        cookie = answer.headers["set-cookie"].split(";")[0]
        self._headers = {"cookie": cookie, "origin": f"http://{parts.netloc}"}

    def another(self) -> Visitor:
        """A second one."""
        return Visitor(self._address, self.process)

    def ask(self, path: str, body: object = None) -> bytes:
        headers = self._headers | {"content-type": "application/json"}
        method = "GET" if body is None else "POST"
        self._connection.request(
            method, path, json.dumps(body) if body is not None else None, headers
        )
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content[:200]
        return content

    def desk(self, opened: str = "") -> dict:
        return json.loads(self.ask(f"/api/desk?opened={opened}"))

    def stroke(self, scan: dict, mask: np.ndarray, index: int = 0, plane: str = "2d") -> None:
        patch = {"label": 1, "box": [0, mask.shape[0], 0, mask.shape[1]], "runs": runs_of(mask)}
        edit = {"revision": scan["revision"], "plane": plane, "index": index, "patches": [patch]}
        scan["revision"] = json.loads(self.ask(f"/api/scans/{scan['id']}/edits", edit))["revision"]

    def finish(self, scan: dict) -> None:
        self.ask(f"/api/scans/{scan['id']}/finish", {"revision": scan["revision"]})

    def wait(self, is_done, opened: str = "") -> tuple[float, dict]:
        begun = time.perf_counter()
        while not is_done(desk := self.desk(opened)):
            assert not desk["problem"], desk["problem"]
            time.sleep(SOON)
        return time.perf_counter() - begun, desk


@contextmanager
def opened(scans: Path, weights: Path, *options: str):
    """A desk in a process of its own; somebody has come in."""
    start = [sys.executable, "-c", "from universeg.cli import app; app()", "desk", str(scans)]
    process = subprocess.Popen(
        [*start, "--weights", str(weights), "--no-browser", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        lines = (re.search(r"http\S+", line) for line in process.stdout)
        visitor = Visitor(next(filter(None, lines))[0], process.pid)
        visitor.wait(lambda desk: desk["ready"])
        yield visitor
    finally:
        process.terminate()
        process.wait()


def predicting(server: int) -> int:
    """The process that predicts: of the server's the one that has most memory."""
    children = [
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/stat")
        if each.read_text().rpartition(")")[2].split()[1] == str(server)
    ]
    return max(children, key=memory)


def memory(process: int, kind: str = "VmRSS") -> float:
    """MB that a process holds; with `VmHWM` the most that it ever held."""
    said = Path(f"/proc/{process}/status").read_text()
    return int(re.search(rf"{kind}:\s+(\d+)", said)[1]) / 1024


def processor_seconds(process: int) -> float:
    """That it has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def write_examples(folder: Path, count: int) -> Path:
    write_pictures(folder / "images", count, SHAPE)
    (folder / "masks").mkdir()
    for number in range(count):
        mask = disc(SHAPE, (240 + number, 320), 100).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def write_volumes(folder: Path, count: int, with_masks: bool) -> Path:
    rng = np.random.default_rng(0)
    for kind in ("images", "masks") if with_masks else ("images",):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            values = rng.normal(100, 10, (128, 128, SLICES)).astype(np.int16)
            if kind == "masks":
                values[:] = 0
                values[20:60, 20:60], values[70:110, 70:110] = 1, 2
            nib.save(nib.Nifti1Image(values, np.eye(4)), folder / kind / f"{number}.nii.gz")
    return folder


@contextmanager
def watched(visitor: Visitor):
    """A second page is open, in a process of its own, and looks at what has changed."""

    def look() -> None:
        other, change = visitor.another(), -1
        while True:
            change = json.loads(other.ask(f"/api/desk?since={change}"))["change"]
            time.sleep(LOOK)

    page = multiprocessing.get_context("fork").Process(target=look, daemon=True)
    page.start()
    try:
        yield
    finally:
        page.terminate()
        page.join()


def measure_strokes(folder: Path, weights: Path, count: int) -> None:
    scans = write_pictures(folder / "scans", count + 2, SHAPE)
    with opened(scans, weights) as visitor, watched(visitor):
        first, drawn, *_ = visitor.desk()["scans"]
        visitor.stroke(first, disc(SHAPE, (240, 320), 100))

        def times(is_enough) -> list[float]:
            found = []
            while not is_enough(found):
                mask = disc(SHAPE, (240, 200 + len(found) % 200), 30)
                begun = time.perf_counter()
                visitor.stroke(drawn, mask)
                found.append(time.perf_counter() - begun)
                time.sleep(PAUSE)
            return found

        def is_done(found: list[float]) -> bool:
            return len(found) % 20 == 1 and not visitor.desk(drawn["id"])["left"]

        quiet = times(lambda found: len(found) >= 200)
        visitor.finish(first)
        worker = predicting(visitor.process)
        spent = processor_seconds(visitor.process), processor_seconds(worker)
        begun = time.perf_counter()
        busy = times(lambda found: len(found) > 10 and is_done(found))
        clock = time.perf_counter() - begun
        server = processor_seconds(visitor.process) - spent[0]
        network = processor_seconds(worker) - spent[1]
    print(f"a stroke until it is on disk, {SHAPE[1]} x {SHAPE[0]} pixels, in ms")
    for name, each in (("nothing else to do", quiet), (f"{count} pictures are predicted", busy)):
        ends = [min(each), *np.percentile(each, [50, 95, 99]), max(each)]
        said = ", ".join(f"{1000 * value:.1f}" for value in ends)
        print(f"  {name:<30} least, median, 95 %, 99 %, most of {len(each)}: {said}")
    print(
        f"  {clock:.1f} s of the clock; of a processor, server {server:.1f}, network {network:.1f}"
    )


def measure_click(folder: Path, weights: Path, count: int) -> None:
    examples = write_examples(folder / "examples", SUPPORT)
    scans = write_pictures(folder / "scans", count, SHAPE)
    with opened(scans, weights, "--support", str(examples)) as visitor:
        worker, waited = predicting(visitor.process), []
        while left := [each for each in visitor.desk()["scans"] if each["state"] == "waiting"]:
            clicked, spent = left[-1]["id"], processor_seconds(worker)
            begun = time.perf_counter()
            visitor.ask(f"/api/scans/{clicked}")
            visitor.ask(f"/api/scans/{clicked}/image/2d/0")
            visitor.ask(f"/api/scans/{clicked}/masks/2d/0")
            shown = time.perf_counter() - begun
            visitor.wait(
                lambda desk, i=clicked: any(
                    each["id"] == i and each["state"] == "predicted" for each in desk["scans"]
                ),
                clicked,
            )
            clock = time.perf_counter() - begun
            waited.append((shown, clock, processor_seconds(worker) - spent))
            if len(waited) == CLICKS:
                break
            time.sleep(LOOK)  # so that others are being predicted again
    print(f"from a click, {SUPPORT} labelled ones being shown with it, in s")
    for shown, clock, processor in waited:
        print(
            f"  {shown:.2f} until it is seen, {clock:.2f} until its prediction is there, ", end=""
        )
        print(f"{processor:.2f} of a processor")


def measure_volume(folder: Path, weights: Path, repeats: int) -> None:
    examples = write_volumes(folder / "examples", 4, with_masks=True)
    scans = write_volumes(folder / "scans", 1, with_masks=False) / "images"
    print(f"a volume of {SLICES} slices with 2 labels, {SUPPORT} slices being shown, in s")
    with opened(scans, weights, "--support", str(examples)) as visitor:
        worker = predicting(visitor.process)
        for number in range(repeats):
            spent, version = processor_seconds(worker), 0
            if number:
                (scan,) = visitor.desk()["scans"]
                version = scan["version"]
                visitor.ask(f"/api/scans/{scan['id']}/predict", {})
            clock, _ = visitor.wait(lambda desk, v=version: desk["scans"][0]["version"] > v)
            spent = processor_seconds(worker) - spent
            print(f"  {clock:.1f} of the clock, {spent:.1f} of a processor", flush=True)


def measure_floor(weights: Path, support: int) -> None:
    network = load_universeg(weights).eval()
    query, images = torch.rand(1, 1, 128, 128), torch.rand(support, 1, 128, 128)
    encoded = network.encode_support(images, (images > 0.5).float())
    with FlopCounterMode(display=False) as counter:
        network.segment(query, encoded)
    work = counter.get_total_flops() * SLICES * 2 / 1e9
    print(f"{SLICES} slices with 2 labels, {support} shown: {work:.0f} billion operations")
    features = network.architecture.encoder_blocks[-1]
    matrix, maps = torch.rand(2048, 2048), torch.rand(4, 64, 64, features).permute(0, 3, 1, 2)
    weight = torch.rand(features, features, 3, 3)
    ways = {
        "a product of matrices": (lambda: torch.mm(matrix, matrix), 2 * 2048**3),
        "a convolution": (
            lambda: torch.conv2d(maps, weight, padding=1),
            2 * maps.numel() * 9 * features,
        ),
    }
    threads = torch.get_num_threads()
    for name, (way, operations) in ways.items():
        for count, abreast in ((1, 1), (threads, 1), (1, threads)):
            torch.set_num_threads(count)
            rate = rate_of(way, operations, abreast)
            print(
                f"  {name}, {abreast} at once with {count} threads each: {rate:.0f} billion/s, "
                f"so {work / rate:.1f} s"
            )
    torch.set_num_threads(threads)


@torch.inference_mode()
def rate_of(way, operations: int, abreast: int) -> float:
    """Billion operations a second, the best of some rounds of so many at once."""

    def repeat() -> None:
        torch.get_num_threads()  # this thread takes over what is set
        with torch.inference_mode():
            for _ in range(5):
                way()

    best = 0.0
    with ThreadPoolExecutor(abreast) as pool:
        for _ in range(8):
            begun = time.perf_counter()
            [*pool.map(lambda _: repeat(), range(abreast))]
            best = max(best, 5 * abreast * operations / (time.perf_counter() - begun) / 1e9)
    return best


def measure_many(folder: Path, weights: Path, count: int) -> None:
    scans = write_pictures(folder / "scans", count, SHAPE)
    with opened(scans, weights) as visitor:
        worker = predicting(visitor.process)
        before = memory(visitor.process), memory(worker)
        all_of_them = visitor.desk()["scans"]
        visitor.stroke(all_of_them[0], disc(SHAPE, (240, 320), 100))
        visitor.finish(all_of_them[0])
        for scan in all_of_them:
            visitor.ask(f"/api/scans/{scan['id']}/thumbnail")
            visitor.ask(f"/api/scans/{scan['id']}/image/2d/0")
            visitor.ask(f"/api/scans/{scan['id']}/masks/2d/0")
        visitor.wait(lambda desk: not desk["left"] and not desk["working"])
        after = memory(visitor.process, "VmHWM"), memory(worker, "VmHWM")
        told = []
        for _ in range(20):
            begun = time.perf_counter()
            visitor.desk()
            told.append(time.perf_counter() - begun)
    print(f"{count} pictures, all seen and predicted; MB when it was opened, and at most")
    for name, old, new in zip(("server", "predicting"), before, after, strict=True):
        print(f"  {name:<10} {old:6.0f} {new:6.0f}")
    print(f"  the whole list is told in {1000 * statistics.median(told):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["strokes", "click", "volume", "floor", "many"])
    parser.add_argument("--weights", default="megamedical-base")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--toy", action="store_true")
    asked = parser.parse_args()
    repeats = 1 if asked.toy else asked.repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = folder / "small.safetensors"
        torch.manual_seed(0)
        save_weights(UniverSeg(encoder_blocks=[8, 8], decoder_blocks=[8]), small)
        weights = small if asked.toy else file_of(asked.weights)
        if "strokes" in asked.what:
            for number in range(repeats):
                measure_strokes(folder / f"strokes-{number}", weights, 4 if asked.toy else 50)
        if "click" in asked.what:
            measure_click(folder / "click", weights, 4 if asked.toy else 30)
        if "volume" in asked.what:
            measure_volume(folder / "volume", weights, repeats)
        if "floor" in asked.what:
            measure_floor(weights, 2 if asked.toy else SUPPORT)
        if "many" in asked.what:
            measure_many(folder / "many", small, 8 if asked.toy else 500)


if __name__ == "__main__":
    main()
