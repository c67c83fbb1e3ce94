"""Networks that were trained to segment in context, as methods: one pass, no training."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.machine.device import chosen
from benchmark.method import About, Method, MethodError, Support

if TYPE_CHECKING:
    from torch import Tensor, nn

_AT_ONCE = 16  # queries in one batch


class Network(Method):
    """A model of `universeg.models` with trained weights: it sees the support with each query."""

    def __init__(self, model: nn.Module, about: About) -> None:
        """Take a model and what is known of it.

        Args:
            model: see `universeg.models`; in its `forward` one support may serve all queries.
            about: of its weights too.
        """
        self._model = model.eval()
        self._about = about

    @property
    def model(self) -> nn.Module:
        """The model with its weights."""
        return self._model

    @property
    def about(self) -> About:
        """Name, paper, the weights and what they have seen."""
        return self._about

    def to(self, device: str) -> None:
        """Compute on another device."""
        place = chosen(device)
        self._model.to(place)
        self.device = str(place)

    def fit(self, support: Support, seed: int) -> None:  # noqa: ARG002
        """Show the support; nothing is trained."""
        import torch

        self._support = tuple(
            torch.from_numpy(each)[None, :, None].to(self.device)
            for each in (support.images, support.masks)
        )

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sigmoid of the model's logits."""
        import torch

        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(queries)[:, None].to(self.device), _AT_ONCE)
            found: list[Tensor] = [self._model(part, *self._support).sigmoid() for part in parts]
        return torch.cat(found)[:, 0].cpu().numpy()


def universeg(asked: str = "v1") -> Method:
    """UniverSeg: released weights or a file, alone or +forest, +tune=60s, +budget=60s, +expect."""
    from benchmark.methods.learning import split, with_more

    weights, more = split(asked)
    network = _load("universeg", weights)
    return with_more(network, more) if more else network


def panet(weights: str) -> Network:
    """PANet, with the weights of a file."""
    return _load("panet", weights)


def alpnet(weights: str) -> Network:
    """ALPNet, with the weights of a file."""
    return _load("alpnet", weights)


def senet(weights: str) -> Network:
    """The squeeze-and-excite network, with the weights of a file."""
    return _load("senet", weights)


def _load(name: str, weights: str) -> Network:
    """A network of this name, with what its weights say of themselves.

    Raises:
        MethodError: the weights are of another model.
        WeightsError: there is no such file, or it holds no weights of this model.
        ModelError: the model is not installed.
        Unobtainable: the release cannot be downloaded.
    """
    from universeg.weights.models import load_model, seen_by
    from universeg.weights.releases import file_of

    path = file_of(weights)
    found = _model_of(path)
    if found != name:
        raise MethodError(
            f"{path} holds the weights of {found}, not of {name}", f"Ask for {found}:{path}."
        )
    model = load_model(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Network(
        model,
        About(
            name,
            follows=getattr(model, "follows", ""),
            departs=getattr(model, "departs", ""),
            weights=digest,
            trained_on=seen_by(path),
        ),
    )


def _model_of(path: Path) -> str:
    """The model that a file of weights is for; checkpoints of PyTorch are always of UniverSeg."""
    from universeg.weights.files import read_file

    if path.suffix != ".safetensors":
        return "universeg"
    said, _ = read_file(path)
    return str(said.get("model", "universeg"))
