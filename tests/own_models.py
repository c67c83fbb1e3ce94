"""Segmenters of somebody else's package, and how they become known by their names."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


class Line(nn.Module):
    """The grey value times a factor, and something added; some of it may be dropped at random."""

    def __init__(self, factor: float = 0.1, dropout: float = 0.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([factor]))
        self.added = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, images: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        return self.dropout(self.factor * query) + self.added


class NoLoss(Line):
    """Its third loss in training is no number."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, query: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        self.steps += float(self.training)
        return super().forward(query, images, labels) + (torch.nan if self.steps > 2 else 0)


class NoGradient(NoLoss):
    """Its third gradient is no number, though the loss is."""

    def forward(self, query: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        self.steps += float(self.training)
        nothing = self.added - self.added.detach()
        found = Line.forward(self, query, images, labels)
        return found + nothing.sqrt() if self.steps > 2 else found


class OwnLoss(Line):
    """Has a loss of its own in training, by which alone one of its weights is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(()))

    def forward(self, query: Tensor, images: Tensor, labels: Tensor) -> object:
        logits = super().forward(query, images, labels)
        return (logits, (self.own - 3) ** 2) if self.training else logits


class Tied(Line):
    """One weight has two names."""

    def __init__(self) -> None:
        super().__init__()
        self.same = self.factor


class Wide(nn.Module):
    """Cannot be made with a negative width, as PyTorch says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))


class Lacking(nn.Module):
    """Needs a package that is not there."""

    def __init__(self) -> None:
        super().__init__()
        import no_such_package  # noqa: F401


MODELS = (Line, NoLoss, NoGradient, OwnLoss, Tied, Wide, Lacking)
NAMES = {model.__name__.lower(): f"own_models:{model.__name__}" for model in MODELS}
NOWHERE = {"gone": "own_models:Gone", "absent": "no_such_package:Model"}


def install(folder: Path, package: str = "own_models") -> None:
    """Leave in a folder what an installed package leaves beside it."""
    about = folder / f"{package}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    lines = [f"{name} = {where}" for name, where in {**NAMES, **NOWHERE}.items()]
    (about / "entry_points.txt").write_text("\n".join(["[universeg.models]", *lines]) + "\n")
