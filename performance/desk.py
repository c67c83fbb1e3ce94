"""A person at the desk, played: how much is corrected as more has been looked at.

    python performance/desk.py [--weights megamedical-base] [--mirror ../shared/mirror] [--toy]

A desk is opened on held-out pictures of white blood cells, the first of which is drawn to the
truth. From then on the least certain picture is looked at each time: its prediction is held against
the truth, corrected where they differ, and accepted. A correction is a connected place where the
two differ by more pixels than one would notice. Printed are the Dice of each prediction, and the
corrections that it took. `--toy` takes few pictures that are made here, and a small network that
has learnt nothing.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/fixtures")]
from made_desk import write_pictures  # noqa: E402

from universeg.desk.catalogue import lay_out  # noqa: E402
from universeg.desk.desk import Desk  # noqa: E402
from universeg.desk.masks import Masks, Patch, agreement, runs_of  # noqa: E402
from universeg.desk.predicting.agenda import Agenda  # noqa: E402
from universeg.desk.predicting.process import Predicting  # noqa: E402
from universeg.desk.predicting.tasks import Settings, Workplace  # noqa: E402
from universeg.network.universeg import UniverSeg  # noqa: E402
from universeg.weights.models import save as save_weights  # noqa: E402
from universeg.weights.releases import file_of  # noqa: E402

PICTURES, TOY = 20, 4
NUCLEUS = 255  # in the masks of WBC; 128 is the cytoplasm
NOTICED = 12  # pixels; smaller places are left as they are


def take_cells(mirror: Path, folder: Path, count: int) -> dict[str, np.ndarray]:
    """Pictures of WBC's first set, spread over it, and the truth of each by name."""
    truths = {}
    folder.mkdir(parents=True)
    with zipfile.ZipFile(next(mirror.glob("wbc/*.zip"))) as archive:
        names = sorted(n for n in archive.namelist() if "Dataset 1/" in n and n.endswith(".bmp"))
        for name in names[:: max(1, len(names) // count)][:count]:
            path = folder / Path(name).name
            path.write_bytes(archive.read(name))
            mask = Image.open(io.BytesIO(archive.read(name.replace(".bmp", ".png"))))
            truths[path.stem] = np.asarray(mask) == NUCLEUS
    return truths


def make_discs(folder: Path, count: int) -> dict[str, np.ndarray]:
    write_pictures(folder, count)
    return {path.stem: np.asarray(Image.open(path)) > 120 for path in sorted(folder.glob("*.png"))}


def corrections(found: np.ndarray, truth: np.ndarray) -> int:
    """Places where a person sees that the two differ."""
    numbers, count = ndimage.label(found ^ truth)
    sizes = ndimage.sum_labels(numbers > 0, numbers, range(1, count + 1))
    return int(np.count_nonzero(sizes > NOTICED))


def wait_for_all(agenda: Agenda) -> None:
    while not agenda.is_ready or agenda.task or agenda.left():
        assert not agenda.problem, agenda.problem
        time.sleep(0.05)


def play(desk: Desk, agenda: Agenda, truths: dict[str, np.ndarray]) -> None:
    print("picture   looked at   expected   Dice   corrections   seconds")
    while True:
        left = {
            identity: each
            for identity, each in desk.standings().items()
            if each.state in ("waiting", "predicted")
        }
        if not left:
            return
        identity = min(left, key=lambda i: left[i].confidence or 0)
        standing, truth = left[identity], truths[desk.entries[identity].name]
        found, whole = desk.masks(identity).layer(1), Masks(truth.shape, {1: truth})
        dice = agreement(desk.masks(identity), whole)
        strokes = corrections(found, truth)
        if strokes:
            box = (0, truth.shape[0], 0, truth.shape[1])
            desk.edit(identity, 0, ("2d", 0), [Patch(1, box, runs_of(truth))])
        desk.finish(identity, desk.record(identity).standing.revision)
        begun = time.perf_counter()
        wait_for_all(agenda)
        looked_at = len(truths) - len(left)
        expected = f"{standing.confidence:.2f}" if standing.confidence else "–"
        print(
            f"{standing.name:>7}   {looked_at:9}   {expected:>8}   {dice:.2f}   {strokes:11}"
            f"   {time.perf_counter() - begun:7.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="megamedical-base")
    parser.add_argument("--mirror", type=Path, default=Path("../shared/mirror"))
    parser.add_argument("--toy", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.toy:
            truths = make_discs(folder / "scans", TOY)
            torch.manual_seed(0)
            network = UniverSeg(encoder_blocks=[8, 8], decoder_blocks=[8])
            save_weights(network, folder / "small.safetensors")
            weights = folder / "small.safetensors"
        else:
            truths = take_cells(asked.mirror, folder / "scans", PICTURES)
            weights = file_of(asked.weights)
        desk = Desk(lay_out(folder / "scans", print), folder / "out", "axial", {1: "nucleus"})
        agenda = Agenda(desk)
        settings = Settings(str(weights), plane=desk.plane)
        predicting = Predicting(Workplace(desk.entries, desk.work, None, settings), agenda)
        desk.on_change = predicting.wake
        try:
            play(desk, agenda, truths)
        finally:
            predicting.close()


if __name__ == "__main__":
    main()
