"""What a file of weights claims, looked at before anything is made that it claims."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from megamedical.errors import MegaMedicalError

ANEW = (
    "Delete it and run again if it was downloaded; else save it anew, with "
    "universeg.weights.models.save(network, path) or torch.save(network.state_dict(), path)."
)

_LONGEST_HEADER = 4 * 2**20  # bytes; that of the released weights has 44 kB
_LONGEST = 64 * 2**10  # characters of what is said of a network
_MOST_TENSORS = 10_000
_LARGEST = 1024  # number in an architecture, but for what its tensors measure
_MOST_VALUES = 64  # in an architecture, or as many as there are tensors
_SHOWN = 4  # differences
_SHORT = 200  # characters of a name, or of what a library says


class WeightsError(MegaMedicalError):
    """A file does not hold the weights of a UniverSeg."""


class ModelError(MegaMedicalError):
    """There is no such model, or not with such an architecture."""


def expect_short_header(path: Path) -> None:
    """Make sure that what precedes the tensors of a safetensors file can be read into memory.

    Raises:
        WeightsError: it claims to be larger than any network needs.
    """
    with path.open("rb") as file:
        claimed = int.from_bytes(file.read(8), "little")
    if _LONGEST_HEADER < claimed <= path.stat().st_size:
        raise WeightsError(
            f"{path} has {claimed:,} bytes before its weights, of {_LONGEST_HEADER:,} at most",
            ANEW,
        )


def expect_nothing_packed(path: Path) -> None:
    """Make sure that a PyTorch checkpoint unfolds to what it is, as all that PyTorch saves do.

    Raises:
        WeightsError: it holds more than it is long.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            held = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise WeightsError(f"{path} is damaged, or not a PyTorch checkpoint", ANEW) from error
    if held > path.stat().st_size:
        raise WeightsError(f"{path} claims to hold {held:,} bytes, more than it is long", ANEW)


def expect_held(path: Path, tensors: object) -> dict[str, Tensor]:
    """Make sure that what a PyTorch checkpoint holds are plain tensors, no larger than the file.

    Raises:
        WeightsError: it is something else, or they repeat what is in it.
    """
    if not (isinstance(tensors, Mapping) and all(map(_is_named_tensor, tensors.items()))):
        raise WeightsError(f"{path} does not hold a state dict", ANEW)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > path.stat().st_size:
        raise WeightsError(f"{path} claims to hold {size:,} bytes, more than it is long", ANEW)
    return dict(tensors)


def _is_named_tensor(item: tuple[object, object]) -> bool:
    name, tensor = item
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.layout == torch.strided
        and not tensor.is_quantized
    )


def said_of_network(path: Path, text: str) -> dict[str, Any]:
    """What a file says of its network: `version`, `model`, if it has one, and `architecture`.

    Raises:
        WeightsError: it is not JSON of such a thing, or longer than any.
    """
    try:
        said = json.loads(text[:_LONGEST])
    except (ValueError, RecursionError):
        said = None
    if not (isinstance(said, dict) and _names_a_network(said)):
        raise WeightsError(f"{path} does not say which network it is for", ANEW)
    return said


def _names_a_network(said: Mapping[str, Any]) -> bool:
    model = said.get("model", "")
    return (
        isinstance(said.get("version"), int)
        and isinstance(said.get("architecture", {}), dict)
        and isinstance(model, str)
        and model.isprintable()
        and len(model) < _SHORT
    )


def expect_modest(path: Path, architecture: object, tensors: Mapping[str, Tensor]) -> None:
    """Make sure that an architecture is of a size that its tensors could be of.

    Raises:
        WeightsError: a network of it would not fit them, and perhaps no machine.
    """
    largest = max([_LARGEST, *(side for tensor in tensors.values() for side in tensor.shape)])
    values = [*_values(architecture)]
    are_few = len(values) <= max(_MOST_VALUES, len(tensors)) and len(tensors) <= _MOST_TENSORS
    numbers = [each for each in values if isinstance(each, int | float)]
    if not (are_few and all(-largest <= number <= largest for number in numbers)):
        raise WeightsError(f"{path} is for no network that its weights could fill", ANEW)


def fitting(path: Path, make: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    """A network with the weights of a file. It is made once their layout is known to be its own.

    Raises:
        WeightsError: the names or shapes are others, or some weights are no numbers.
        ModelError: there is no such network.
    """
    with suppress(RuntimeError, ModelError), torch.device("meta"):  # which takes no memory
        expect_layout(path, tensors, make().state_dict())
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor.float()).all():
            raise WeightsError(f"{path}: {name} holds what is no number (NaN, or infinite)", ANEW)
    network = make()
    expect_layout(path, tensors, network.state_dict())
    network.load_state_dict(tensors)
    return network


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
        f"  {short(name)}: {found.get(name, 'missing')}, "
        f"expected {wanted.get(name, 'no such thing')}"
        for name in {**wanted, **found}
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        more = [f"  and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
        raise WeightsError(
            "\n".join([f"{path} is not for this network:", *differences[:_SHOWN], *more]), ANEW
        )


def short(text: str) -> str:
    """A text of a file as far as it is worth showing."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _values(said: object) -> Iterator[object]:
    """All values of JSON, however nested."""
    if isinstance(said, Mapping):
        said = list(said.values())
    if isinstance(said, list | tuple):
        for each in said:
            yield from _values(each)
    else:
        yield said
