"""In-context segmenters by name, and from files of weights.

A model is a `torch.nn.Module` whose `forward(query, support_images, support_labels)` takes
(B, 1, H, W) and twice (B, S, 1, H, W), all in [0, 1], and gives logits, (B, 1, H, W). While it is
trained it may give `(logits, own_loss)`: a loss of its own, a scalar, is added to that of the
logits. A package registers its own as an entry point of the group `universeg.models`; the keyword
arguments of the class are its architecture, and must be such as JSON can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from torch import nn

from megamedical.errors import nearest
from universeg.network.universeg import UniverSeg
from universeg.weights.card import ModelCard
from universeg.weights.claims import ANEW, ModelError, WeightsError, fitting, short
from universeg.weights.files import UNIVERSEG, load, read_card, read_file, write_file
from universeg.weights.releases import RELEASES, file_of

_GROUP = "universeg.models"
_SMALLEST, _LARGEST = 16, 4096  # pixels of a side
_RESOLUTION = 128  # of weights that carry no card, as v1's


def model_names() -> list[str]:
    """The models that can be made by their name."""
    return sorted(entry_points(group=_GROUP).names)


def make_model(name: str, architecture: Mapping[str, Any]) -> nn.Module:
    """An untrained model.

    Raises:
        ModelError: there is none of this name, or more than one; or its package cannot be imported,
            or it does not take such an architecture.
    """
    entry = _entry(name)
    try:
        model: nn.Module = _loaded(entry)(**architecture)
    except ImportError as error:
        raise _not_imported(entry, error) from error
    except (TypeError, ValueError, RuntimeError) as error:
        told = short(str(error))
        raise ModelError(f"{name} cannot be made so: {told}", "Change `architecture`.") from error
    return model


def load_model(weights: str | Path) -> nn.Module:
    """A trained model: a release by its name, or any file of weights.

    Raises:
        WeightsError: there is no such file, or it does not hold the weights of a model.
        ModelError: it is for a model that is not installed.
        Unobtainable: the release cannot be downloaded.
    """
    path = file_of(weights)
    if path.suffix != ".safetensors":
        return load_universeg(path)
    config, tensors = read_file(path)
    if "model" not in config:
        return load_universeg(path)
    return fitting(
        path, lambda: make_model(config["model"], config.get("architecture", {})), tensors
    )


def load_for_prediction(weights: str | Path) -> tuple[nn.Module, int]:
    """A trained model, and the pixels of a side of the slices that it is to be shown.

    Raises:
        WeightsError, ModelError, Unobtainable: see `load_model` and `resolution_of`; or the network
            takes no slices of the size that its card says.
    """
    model, resolution = load_model(weights), resolution_of(weights)
    if isinstance(model, UniverSeg) and resolution % model.architecture.stride:
        raise WeightsError(
            f"{weights} takes no slices of {resolution} pixels, as its card has it",
            f"Give weights for a multiple of {model.architecture.stride}.",
        )
    return model, resolution


def resolution_of(weights: str | Path) -> int:
    """The pixels of a side of the slices that weights were trained on, as their card has it.

    Raises:
        WeightsError: there is no such file, or it is damaged.
        Unobtainable: the release cannot be downloaded.
    """
    place = RELEASES[str(weights)].file if weights in RELEASES else str(weights)
    card = read_card(file_of(weights)) if place.endswith(".safetensors") else None
    said = card.settings.get("resolution", _RESOLUTION) if card else _RESOLUTION
    if not (isinstance(said, int) and _SMALLEST <= said <= _LARGEST):
        raise WeightsError(f"{weights} was trained on slices of no size that there is", ANEW)
    return said


def load_universeg(weights: str | Path) -> UniverSeg:
    """A UniverSeg with trained weights.

    Args:
        weights: `v1`, what the authors of the paper released: downloaded once, under their licence,
            OpenRAIL++-M, for research only. Or `megamedical-base`, or `megamedical-mini`, a small
            one: those of this project, see `universeg.weights.releases`. Or the path of a
            `.safetensors` file that `save` wrote, or of a PyTorch checkpoint with a state dict.

    Raises:
        WeightsError: there is no such file, or it does not hold the weights of a UniverSeg.
        Unobtainable: the release cannot be downloaded.
    """
    path = file_of(weights)
    architecture, tensors = load(path)
    return cast(UniverSeg, fitting(path, lambda: UniverSeg(**architecture.arguments), tensors))


def save(network: UniverSeg, path: Path, card: ModelCard | None = None) -> None:
    """Write the weights of a UniverSeg as safetensors, whole or not at all."""
    architecture = network.architecture.arguments
    write_file(path, network, model=UNIVERSEG, architecture=architecture, card=card)


def save_model(model: nn.Module, path: Path, card: ModelCard) -> None:
    """Write the weights of any model as safetensors, with its card, whole or not at all."""
    write_file(path, model, model=card.model, architecture=card.architecture, card=card)


def seen_by(weights: str | Path) -> Mapping[str, str]:
    """The fingerprint of each `<dataset>/<group>` that weights say they have seen."""
    path = file_of(weights)
    card = read_card(path) if path.suffix == ".safetensors" else None
    return card.groups if card else {}


def _entry(name: str) -> EntryPoint:
    """Where the model of a name is to be had."""
    entries = list(entry_points(group=_GROUP, name=name))
    if not entries:
        raise ModelError(f"There is no model {name}", nearest(name, model_names()))
    if len(entries) > 1:
        packages = sorted(entry.dist.name for entry in entries if entry.dist)
        raise ModelError(
            f"{name} is a model of several packages: {', '.join(packages)}",
            "Uninstall all but one of them.",
        )
    return entries[0]


def _loaded(entry: EntryPoint) -> Callable[..., nn.Module]:
    try:
        make: Callable[..., nn.Module] = entry.load()
    except AttributeError as error:
        raise _not_imported(entry, error) from error
    return make


def _not_imported(entry: EntryPoint, error: Exception) -> ModelError:
    return ModelError(
        f"{entry.name} cannot be imported from {entry.value}: {error}",
        "Install its package anew, with all that it needs.",
    )
