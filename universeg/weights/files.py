"""The weights of a network, in files.

Networks are saved as safetensors, under the names that released weights have, with the architecture
and the model card in the metadata. Nothing that is loaded can run code.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from universeg.network.architecture import Architecture
from universeg.weights.card import ModelCard

UNIVERSEG = "universeg"  # the name of the model

_KEY = "universeg"
_CARD = "card"
_VERSION = 1
_SHOWN = 4  # differences
_ANEW = (
    "Delete it and run again if it was downloaded; else save it anew, with "
    "universeg.weights.models.save(network, path) or torch.save(network.state_dict(), path)."
)


class WeightsError(MegaMedicalError):
    """A file does not hold the weights of a UniverSeg."""


def write_file(
    path: Path,
    network: nn.Module,
    *,
    model: str,
    architecture: Mapping[str, Any],
    card: ModelCard | None,
) -> None:
    """Write the weights of a network as safetensors, whole or not at all.

    `model` is its name among `universeg.models`, `architecture` its keyword arguments.
    """
    config = {"version": _VERSION, "model": model, "architecture": dict(architecture)}
    metadata = {_KEY: json.dumps(config)}
    if card:
        metadata[_CARD] = card.model_dump_json()
    tensors = {  # copies: safetensors refuses what several names share
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    with whole_file(path) as unfinished:
        save_file(tensors, unfinished, metadata=metadata)
        _put_in_order(unfinished)


def _put_in_order(path: Path) -> None:
    """Sort what the header of a safetensors file says, which is else in any order.

    So the same weights make the same file. Tensors stay where they are: the header is as long.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        said = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        ordered = said.encode().ljust(length)
        if len(ordered) == length:
            file.seek(8)
            file.write(ordered)


def read_card(path: Path) -> ModelCard | None:
    """The card of a `.safetensors` file, if it carries one.

    Raises:
        WeightsError: there is no such file, or it is damaged.
    """
    _expect_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(_CARD)
        return ModelCard.model_validate_json(said) if said else None
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is not a safetensors file, or not all of one", _ANEW) from error


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a `.safetensors` file says of its network, and its state dict.

    Raises:
        WeightsError: there is no such file, or it is damaged.
    """
    _expect_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if config["version"] > _VERSION:
            raise WeightsError(f"{path} was saved by a later version", "Update megamedical.")
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file, or not all of one", _ANEW) from error
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not say which network it is for", _ANEW) from error
    return config, tensors


def load(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    """Read weights: the architecture of the network that they seem to be for, and its state dict.

    Args:
        path: a `.safetensors` file of a UniverSeg, or a PyTorch checkpoint of a state dict.

    Raises:
        WeightsError: there is no such file, or it is damaged, of another kind, or could run code.
    """
    _expect_file(path)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)


def expect_layout(
    path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Make sure that a state dict has the names and shapes that a network's own has.

    Raises:
        WeightsError: it has not.
    """
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    differences = [
        f"  {name}: {found.get(name, 'missing')}, expected {wanted.get(name, 'no such thing')}"
        for name in {**wanted, **found}
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        more = [f"  and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
        raise WeightsError(
            "\n".join([f"{path} is not for this network:", *differences[:_SHOWN], *more]), _ANEW
        )


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise WeightsError(
            f"There are no weights at {path}",
            "Give the path of a .safetensors or .pt file, or a release: v1, megamedical-base, "
            "megamedical-mini.",
        )


def _read_safetensors(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    config, tensors = read_file(path)
    if config.get("model", UNIVERSEG) != UNIVERSEG:
        raise WeightsError(f"{path} is for {config['model']}, not for a UniverSeg", _ANEW)
    try:
        said = config.get("architecture", config)  # before 0.2 they stood outside
        blocks = tuple(said["encoder_blocks"]), tuple(said["decoder_blocks"])
        added = {name: said[name] for name in ("normalise", "attention_heads") if name in said}
        return Architecture(*blocks, **added), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not say which network it is for", _ANEW) from error


def _read_checkpoint(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    if not is_zipfile(path):
        raise WeightsError(f"{path} is not a PyTorch checkpoint, or not all of one", _ANEW)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than weights; it was not loaded, for it could run any code", _ANEW
        ) from error
    except Exception as error:  # a damaged file can fail anywhere
        raise WeightsError(f"{path} is damaged, or not a PyTorch checkpoint", _ANEW) from error
    if not isinstance(tensors, Mapping) or not all(map(torch.is_tensor, tensors.values())):
        raise WeightsError(f"{path} does not hold a state dict", _ANEW)
    try:
        return Architecture.of(tensors), dict(tensors)
    except ValueError as error:
        raise WeightsError(f"{path} does not hold the weights of a UniverSeg", _ANEW) from error
