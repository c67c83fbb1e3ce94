"""nnU-Net v2 itself, planned for the task and trained on it: what its authors' own code reaches."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.machine.device import chosen
from benchmark.method import About, Method, MethodError, Support, Track

if TYPE_CHECKING:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

_DATASET = "Dataset001_pool"
_SPACING = (999, 1, 1)  # what nnU-Net's reader says of a 2-D image
_SHOWN = 15  # last lines of nnU-Net's output, in an error


class NnUNet(Method):
    """nnU-Net v2 itself, its 2-D plan trained on the pool of a task.

    On a CPU its results are the same for a seed, a machine and a number of threads. On a GPU they
    are not: processes without a seed draw the batches.
    """

    track = Track.TUNED
    uses_pool = True

    def __init__(self, trainer: str, release: str) -> None:
        """Choose how.

        Args:
            trainer: nnU-Net's name of a trainer: a class of its own, or of a module in a folder of
                the environment variable `nnUNet_extTrainer`.
            release: of nnU-Net.
        """
        self._trainer = trainer
        self._release = release

    @property
    def about(self) -> About:
        """Name, paper, version."""
        is_default = self._trainer == "nnUNetTrainer"
        return About(
            "nnunet" if is_default else f"nnunet-{self._trainer}",
            follows="nnU-Net: Isensee et al., Nature Methods 2021, DOI 10.1038/s41592-020-01008-z",
            departs=(
                "One network of the whole pool (fold all) in place of an ensemble of five folds; "
                "masks cut at 0.5; no postprocessing; not the same from run to run on a GPU."
            ),
            version=f"1-nnunetv2-{self._release}",
        )

    def to(self, device: str) -> None:
        """Train and predict on another device."""
        self.device = str(chosen(device))

    def fit(self, support: Support, seed: int) -> None:
        """Plan, preprocess and train in a process of its own; no file of it remains.

        Raises:
            MethodError: nnU-Net failed.
        """
        with TemporaryDirectory(prefix="nnunet-") as scratch:
            folder = Path(scratch)
            _write_pool(support, folder / "nnUNet_raw" / _DATASET)
            _train(self._trainer, seed, self.device, folder)
            trained = folder / "nnUNet_results" / _DATASET / f"{self._trainer}__nnUNetPlans__2d"
            self._predictor = _predictor(trained, self.device)

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The softmax of the label, the mean over mirror images."""
        with redirect_stdout(io.StringIO()):
            return np.stack([self._found(query) for query in queries])

    def _found(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        _, probabilities = self._predictor.predict_single_npy_array(
            query[None, None], {"spacing": _SPACING}, save_or_return_probabilities=True
        )
        return probabilities[1, 0]


def nnunet(trainer: str = "nnUNetTrainer") -> NnUNet:
    """nnU-Net v2 itself, its 2-D plan trained on the pool: 1000 epochs, or those of a trainer.

    Raises:
        MethodError: nnU-Net is not installed, or has no such trainer.
    """
    try:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    except ImportError as error:
        raise MethodError(
            f"nnU-Net v2 cannot be imported: {error}",
            "Install it with `pip install 'megamedical[nnunet]'`.",
        ) from error
    try:
        with redirect_stdout(io.StringIO()):
            recursive_find_trainer_class_by_name(trainer)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise MethodError(
            f"nnU-Net cannot give a trainer {trainer}: {error}",
            "Name one of its own, as nnunet:nnUNetTrainer_100epochs, or the folder that yours is in"
            " by the environment variable nnUNet_extTrainer.",
        ) from error
    return NnUNet(trainer, version("nnunetv2"))


def _write_pool(support: Support, folder: Path) -> None:
    """Write a support as a raw dataset of nnU-Net, its images in float32."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for index, (image, mask) in enumerate(zip(support.images, support.masks, strict=True)):
        Image.fromarray(image).save(folder / "imagesTr" / f"slice_{index:05}_0000.tif")
        label = (mask > 0.5).astype(np.uint8)
        Image.fromarray(label).save(folder / "labelsTr" / f"slice_{index:05}.tif")
    about = {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "label": 1},
        "numTraining": len(support.images),
        "file_ending": ".tif",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")


def _train(trainer: str, seed: int, device: str, folder: Path) -> None:
    """Let nnU-Net do its work in a folder; what it prints is shown only if it fails.

    Raises:
        MethodError: it failed.
    """
    places = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    log = folder / "output.txt"
    training = [sys.executable, "-P", "-m", "benchmark.methods.nnunet_training"]
    with log.open("wb") as output:
        ended = subprocess.run(
            [*training, trainer, str(seed), device],
            env={**os.environ, **{place: str(folder / place) for place in places}},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ended.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise MethodError(
            "\n".join([f"nnU-Net ended with code {ended.returncode}:", *lines[-_SHOWN:]]),
            "Those are the last lines of what it printed.",
        )


def _predictor(trained: Path, device: str) -> nnUNetPredictor:
    """The network of a folder of results, ready to predict."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
        # It unpickles: safe, for our own process has just written that in a folder of ours alone.
        predictor.initialize_from_trained_model_folder(str(trained), ("all",))
    return predictor
