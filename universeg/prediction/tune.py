"""Tune a network on a folder of examples, and keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from megamedical import __version__
from megamedical.errors import MegaMedicalError
from megamedical.reporting.progress import Listener, Silence
from universeg.network.universeg import UniverSeg
from universeg.prediction.checks import mention_pairs
from universeg.prediction.examples import find_pairs
from universeg.prediction.labels import Asked
from universeg.prediction.predict import Report, plane_of, read_examples
from universeg.prediction.segmenter import Segmenter
from universeg.prediction.telling import by_the_clock
from universeg.tuning.fitting import Fitted, default_budget
from universeg.tuning.ways import Tuned
from universeg.weights.card import ModelCard
from universeg.weights.files import UNIVERSEG, read_card, read_file
from universeg.weights.models import save_model
from universeg.weights.releases import file_of


@dataclass(frozen=True)
class TuneRequest:
    """What is asked for: go on from `weights` with the examples of `support`, and write `out`.

    `labels` says what in the masks is meant; by default all is.
    """

    support: Path
    out: Path
    weights: str
    plane: str = "axial"
    labels: Asked = field(default_factory=Asked)
    budget: float | None = None
    seed: int = 0


def tune(
    segmenter: Segmenter,
    request: TuneRequest,
    say: Callable[[str], None],
    listener: Listener | None = None,
) -> Report:
    """Do what is asked for. Where the left-out Dice falls, the weights are written as they were.

    Args:
        segmenter: the network to go on from.
        request: from which examples, for how long, and where to.
        say: takes notices and warnings, one at a time.
        listener: hears how far it is.

    Raises:
        SupportError: no example can be used.
        MegaMedicalError: there is one example alone, or the file is not to be called so.
    """
    if request.out.suffix != ".safetensors":
        raise MegaMedicalError(
            f"{request.out} is no .safetensors file", "Name one, as mine.safetensors."
        )
    listener = listener or Silence()
    report = Report(say)
    pairing = find_pairs(request.support, request.labels.colours)
    mention_pairs(pairing, say)
    plane = plane_of(pairing, request.plane)
    labels = request.labels.among(pairing.names)
    read_examples(segmenter, pairing, plane, labels, report, listener)
    if len(segmenter.examples.scans) < 2:
        raise MegaMedicalError(
            "One example leaves nothing to learn from", "Tuning takes two or more."
        )
    budget = default_budget(segmenter.device) if request.budget is None else request.budget
    with by_the_clock(listener, "Tune", budget):
        fitted = segmenter.learn((Tuned.name,), budget, say)
    network = fitted.network if Tuned.name in fitted.chosen and fitted.network else segmenter.model
    if network is segmenter.model:
        say("Tuning did not make it better: the weights are written as they were")
    save_model(network, request.out, _card(segmenter, request, budget, fitted))
    report.written.append(request.out)
    return report


def _card(segmenter: Segmenter, request: TuneRequest, budget: float, fitted: Fitted) -> ModelCard:
    path = file_of(request.weights)
    card = read_card(path) if path.suffix == ".safetensors" else None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name, architecture = _kind(segmenter, path)
    return ModelCard(
        model=name,
        architecture=architecture,
        megamedical=__version__,
        store=card.store if card else "",
        groups=card.groups if card else {},
        tasks=len(segmenter.labels),
        unseen=(),
        step=fitted.steps if Tuned.name in fitted.chosen else 0,
        scores={f"left-out Dice, {way}": dice for way, dice in fitted.dice.items()},
        settings={
            "begin_with": digest,
            "resolution": segmenter.resolution,
            "examples": len(segmenter.examples.scans),
            "labels": {str(value): label for value, label in segmenter.labels.items()},
            "plane": request.plane,
            "seconds": budget,
            "seed": request.seed,
        },
    )


def _kind(segmenter: Segmenter, path: Path) -> tuple[str, Mapping[str, Any]]:
    """The name and the architecture of a model."""
    if isinstance(segmenter.model, UniverSeg):
        return UNIVERSEG, segmenter.model.architecture.arguments
    said, _ = read_file(path)
    return said["model"], said.get("architecture", {})
