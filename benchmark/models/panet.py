"""PANet: one prototype of the foreground, and one of the background."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmark.models.encoder import WIDTHS
from benchmark.models.prototypes import PrototypeNetwork, Prototypes, masked_average


class PANet(PrototypeNetwork):
    """Prototype alignment network (Wang et al., ICCV 2019).

    A class's prototype is the mean over the support of the mean feature in each mask; a pixel of
    the query belongs to the class whose prototype its feature resembles more.
    """

    follows = "Wang et al., ICCV 2019, DOI 10.1109/ICCV.2019.00929"
    departs = (
        "VGG-16 at a quarter of its width, with group normalisation, trained from scratch; "
        "features at a quarter of an image's size, not an eighth; soft masks; for the query the "
        "loss and the optimiser of UniverSeg."
    )

    def __init__(self, widths: Sequence[int] = WIDTHS, alignment: float = 1.0) -> None:
        """Make an untrained network; see `PrototypeNetwork`."""
        super().__init__(widths, alignment)

    def prototypes(self, features: Tensor, masks: Tensor) -> Prototypes:
        """The mean over the support of the means in the masks (late fusion)."""
        classes = [masked_average(features, mask).mean(1) for mask in (1 - masks, masks)]
        members = torch.eye(2, dtype=torch.bool, device=masks.device)
        return Prototypes(torch.stack(classes, 1), members[None])
