"""What a tuning has come to: in a file, and as a finder that is shown other examples since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from universeg.network.unet import UNet
from universeg.tuning.choosing import AS_IT_IS, BRANCH, weights
from universeg.tuning.finder import Average, Finder
from universeg.tuning.in_context import InContext
from universeg.tuning.unet_learning import UNetFinder
from universeg.tuning.ways import Tuned

_KEY = "learnt"


@dataclass(frozen=True, eq=False)
class Learnt:
    """The ways that are averaged, as `universeg.tuning` chose them.

    The branch finds the `labels` in their order, and only those; `gain` is the Dice that the
    average has more than the network as it was.
    """

    chosen: Sequence[str]
    labels: Sequence[int]
    gain: float
    network: nn.Module | None = None
    branch: nn.Module | None = None

    def finder(self, shown: InContext, device: str) -> Finder:
        """What finds the labels of the examples that a network is shown by now."""
        ways: dict[str, Finder] = {}
        if AS_IT_IS in self.chosen:
            ways[AS_IT_IS] = shown
        if self.network and Tuned.name in self.chosen:
            ways[Tuned.name] = InContext(self.network, shown.support)
        if self.branch and self.knows(shown):
            ways[BRANCH] = UNetFinder(self.branch, shown, device)
        if len(ways) < 2:
            return next(iter(ways.values()), shown)
        return Average([*zip(weights([*ways]), ways.values(), strict=True)])

    def knows(self, shown: InContext) -> bool:
        """Whether the labels that are looked for are those that it has learnt."""
        return [*shown.support.labels] == [*self.labels]

    def save(self, path: Path, weights_of: str) -> None:
        """Write it, whole or not at all; `weights_of` is the digest of what it began with."""
        tensors = {
            f"{name}.{key}": tensor.contiguous().clone()
            for name, part in ((Tuned.name, self.network), (BRANCH, self.branch))
            if part is not None and name in self.chosen
            for key, tensor in part.state_dict().items()
        }
        said = {
            "chosen": [*self.chosen],
            "labels": [*self.labels],
            "gain": self.gain,
            "begun_with": weights_of,
        }
        with whole_file(path) as unfinished:
            unfinished.write_bytes(save(tensors, {_KEY: json.dumps(said)}))

    @classmethod
    def load(cls, path: Path, network: nn.Module, weights_of: str, device: str) -> Learnt:
        """Read it, for the network that it began with.

        Raises:
            MegaMedicalError: it is damaged, gone, or began with another network.
        """
        try:
            with safe_open(path, framework="pt") as file:
                said = json.loads((file.metadata() or {})[_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if said["begun_with"] != weights_of:
                raise MegaMedicalError(
                    "What was tuned began with other weights", "Tune again, or name those."
                )
            labels = [int(value) for value in said["labels"]]
            tuned, branch = (_part(tensors, name) for name in (Tuned.name, BRANCH))
            return cls(
                [str(name) for name in said["chosen"]],
                labels,
                float(said["gain"]),
                _filled(deepcopy(network), tuned, device) if tuned else None,
                _filled(UNet(len(labels), True, [0.5] * len(labels)), branch, device)
                if branch
                else None,
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise MegaMedicalError(
                f"What was tuned cannot be read: {error}", "Tune again."
            ) from error


def _part(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    start = f"{name}."
    return {key[len(start) :]: own for key, own in tensors.items() if key.startswith(start)}


def _filled(network: nn.Module, tensors: Mapping[str, Tensor], device: str) -> nn.Module:
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False).to(torch.device(device))
