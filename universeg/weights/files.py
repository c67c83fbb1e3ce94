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
from safetensors.torch import save
from torch import Tensor, nn

from megamedical.files.writing import whole_file
from universeg.network.architecture import Architecture
from universeg.weights.card import ModelCard
from universeg.weights.claims import (
    ANEW,
    WeightsError,
    expect_held,
    expect_modest,
    expect_nothing_packed,
    expect_short_header,
    said_of_network,
)

UNIVERSEG = "universeg"  # the name of the model

_KEY = "universeg"
_CARD = "card"
_VERSION = 1


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
        unfinished.write_bytes(save(tensors, metadata))
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
    expect_short_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(_CARD)
        return ModelCard.model_validate_json(said) if said else None
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is not a safetensors file, or not all of one", ANEW) from error


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a `.safetensors` file says of its network, and its state dict.

    Raises:
        WeightsError: there is no such file, or it is damaged.
    """
    _expect_file(path)
    expect_short_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            config = said_of_network(path, (file.metadata() or {}).get(_KEY, ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file, or not all of one", ANEW) from error
    if config["version"] > _VERSION:
        raise WeightsError(f"{path} was saved by a later version", "Update megamedical.")
    expect_modest(path, config.get("architecture", config), tensors)
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
        raise WeightsError(f"{path} is for {config['model']}, not for a UniverSeg", ANEW)
    try:
        said = config.get("architecture", config)  # before 0.2 they stood outside
        blocks = tuple(said["encoder_blocks"]), tuple(said["decoder_blocks"])
        added = {name: said[name] for name in ("normalise", "attention_heads") if name in said}
        return Architecture(*blocks, **added), tensors
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not say which network it is for", ANEW) from error


def _read_checkpoint(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    if not is_zipfile(path):
        raise WeightsError(f"{path} is not a PyTorch checkpoint, or not all of one", ANEW)
    expect_nothing_packed(path)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than weights; it was not loaded, for it could run any code", ANEW
        ) from error
    except Exception as error:  # a damaged file can fail anywhere
        raise WeightsError(f"{path} is damaged, or not a PyTorch checkpoint", ANEW) from error
    tensors = expect_held(path, tensors)
    try:
        return Architecture.of(tensors), tensors
    except ValueError as error:
        raise WeightsError(f"{path} does not hold the weights of a UniverSeg", ANEW) from error
