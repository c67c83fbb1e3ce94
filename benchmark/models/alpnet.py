"""ALPNet: prototypes of small windows, beside those of whole classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.models.encoder import WIDTHS
from benchmark.models.prototypes import PrototypeNetwork, Prototypes, enlarged, masked_average

_PURE = 0.95  # what of a window must belong to a class that it may stand for it


class ALPNet(PrototypeNetwork):
    """Adaptive local prototype network (Ouyang et al., ECCV 2020).

    Each window of a support's features that lies in one class is a prototype of it; the foreground
    has also the mean feature in each mask, for it may be smaller than any window.
    """

    follows = "Ouyang et al., ECCV 2020, DOI 10.1007/978-3-030-58526-6_45 (SSL-ALPNet)"
    departs = (
        "Trained on labelled tasks, not on superpixels; the small encoder of PANet here, not a "
        "ResNet-101 that has seen COCO; of a support of several images all windows, and a "
        "class-level prototype of each image; such prototypes of the background too, where no "
        "window lies in it; soft masks; no alignment loss where nothing was found, as in PANet; "
        "for the query the loss and the optimiser of UniverSeg."
    )

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        alignment: float = 1.0,
        training_window: int = 4,
        window: int = 2,
    ) -> None:
        """Make an untrained network.

        Args:
            widths: see `Encoder`.
            alignment: the weight of the loss by alignment.
            training_window: height and width of the windows in training, in features.
            window: in use.
        """
        super().__init__(widths, alignment)
        self.training_window, self.window = training_window, window

    def prototypes(self, features: Tensor, masks: Tensor) -> Prototypes:
        """Those of all windows, then of the background and the foreground in each image."""
        window = self.training_window if self.training else self.window
        masks = enlarged(masks, features.shape[-2:])
        windows, covers = _pooled(features, window), _pooled(masks[:, :, None], window)[..., 0]
        classes, found = (1 - masks, masks), (1 - covers > _PURE, covers > _PURE)

        of_classes = [masked_average(features, mask) for mask in classes]
        shown = [mask.amax((-2, -1)) > 0 for mask in classes]
        needed = shown[0] & ~found[0].any(1, keepdim=True), shown[1]
        none = torch.zeros_like(shown[0])
        members = [
            torch.cat([found[0], needed[0], none], 1),
            torch.cat([found[1], none, needed[1]], 1),
        ]
        return Prototypes(torch.cat([windows, *of_classes], 1), torch.stack(members, 1))


def _pooled(maps: Tensor, window: int) -> Tensor:
    """The means in windows side by side: (B, S, C, h, w) to (B, windows of all S, C)."""
    means = functional.avg_pool2d(maps.flatten(0, 1), window).flatten(2).mT
    return torch.unflatten(means, 0, maps.shape[:2]).flatten(1, 2)
