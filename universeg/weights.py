"""The weights of a network, in files.

Networks are saved as safetensors, under the names that released weights have, with the architecture
in the metadata. Nothing that is loaded can run code.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from megamedical.errors import MegaMedicalError
from megamedical.location import whole_file
from universeg.architecture import Architecture

if TYPE_CHECKING:
    from universeg.network import UniverSeg

_KEY = "universeg"
_VERSION = 1
_SHOWN = 4  # differences
_ANEW = (
    "Delete it and run again if it was downloaded; else save it anew, with "
    "universeg.weights.save(network, path) or torch.save(network.state_dict(), path)."
)


class WeightsError(MegaMedicalError):
    """A file does not hold the weights of a UniverSeg."""


def save(network: UniverSeg, path: Path) -> None:
    """Write the weights of a network as safetensors, whole or not at all."""
    config = {
        "version": _VERSION,
        "encoder_blocks": network.architecture.encoder_blocks,
        "decoder_blocks": network.architecture.decoder_blocks,
    }
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with whole_file(path) as unfinished:
        save_file(tensors, unfinished, metadata={_KEY: json.dumps(config)})


def load(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    """Read weights: the architecture of the network that they seem to be for, and its state dict.

    Args:
        path: a `.safetensors` file that `save` wrote, or a PyTorch checkpoint of a state dict.

    Raises:
        WeightsError: there is no such file, or it is damaged, of another kind, or could run code.
    """
    if not path.is_file():
        raise WeightsError(
            f"There are no weights at {path}",
            "Give the path of a .safetensors or .pt file, or v1 for the released weights.",
        )
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


def _read_safetensors(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file, or not all of one", _ANEW) from error
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} does not say which network it is for", _ANEW) from error
    return _architecture(path, config), tensors


def _architecture(path: Path, config: Any) -> Architecture:  # noqa: ANN401  (JSON can be anything)
    try:
        if config["version"] > _VERSION:
            raise WeightsError(f"{path} was saved by a later version", "Update megamedical.")
        return Architecture(tuple(config["encoder_blocks"]), tuple(config["decoder_blocks"]))
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
