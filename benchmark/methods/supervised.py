"""A U-Net trained on the task itself: what could be had with a training for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.machine.device import chosen
from benchmark.method import About, Method, Support, Track
from benchmark.methods.budget import Budget
from universeg.tuning.finder import FLIPS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from universeg.training.augmentation import Augmentation

_BUDGET = Budget(600, "steps")


class Supervised(Method):
    """Trains a network on the pool of a task, and keeps the weights that did best on a part of it.

    Trained with bfloat16, its results are the same for a seed, a machine and a number of threads.
    """

    track = Track.TUNED
    uses_pool = True

    def __init__(
        self,
        *,
        features: Sequence[int] = (16, 32, 64, 128, 128),
        budget: Budget = _BUDGET,
        batch: int = 8,
        rate: float = 0.003,
        kept_out: float = 0.15,
        evaluations: int = 12,
    ) -> None:
        """Choose how.

        Args:
            features: of each resolution of the network; each is half of the one before.
            budget: of training.
            batch: slices in a step.
            rate: of learning at its height, after three tenths of the steps.
            kept_out: share of the pool by which the weights are chosen, at least one slice; of a
                single slice that same one.
            evaluations: how often that is done.
        """
        self._features = tuple(features)
        self._budget = budget
        self._batch = batch
        self._rate = rate
        self._kept_out = kept_out
        self._every = max(1, budget.parts // evaluations)

    @property
    def about(self) -> About:
        """Name, paper, version."""
        return About(
            self._name,
            follows="nnU-Net: Isensee et al., Nature Methods 2021, DOI 10.1038/s41592-020-01008-z",
            departs=(
                f"One 2-D network of {len(self._features)} resolutions in place of five folds; "
                f"{_in_words(self._budget)} of {self._batch} slices; AdamW on one cycle; "
                "no deep supervision."
            ),
        )

    def to(self, device: str) -> None:
        """Train and predict on another device."""
        self.device = str(chosen(device))

    def fit(self, support: Support, seed: int) -> None:
        """Train on all but a part of the pool, which decides which weights are kept."""
        import torch

        order = np.random.default_rng(seed).permutation(len(support.images))
        held = max(1, round(self._kept_out * len(order)))
        chosen_by, learned = order[:held], order[held:] if len(order) > 1 else order
        images, masks = (
            torch.from_numpy(each).to(self.device) for each in (support.images, support.masks)
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = _network(self._features, float(support.masks.mean()))
        self._network = network.to(self.device)
        self._train((images[learned], masks[learned]), (images[chosen_by], masks[chosen_by]), seed)

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of what the network finds in a query and in its mirror images."""
        import torch

        return self._found(torch.from_numpy(queries).to(self.device)).cpu().numpy()

    @property
    def _name(self) -> str:
        return "supervised"

    def _train(
        self, learned: tuple[Tensor, Tensor], chosen_by: tuple[Tensor, Tensor], seed: int
    ) -> None:
        import torch

        from universeg.training.losses import dice_and_cross_entropy
        from universeg.tuning.unet_learning import AUGMENTATION

        rng = np.random.default_rng((seed, 1))
        optimiser = torch.optim.AdamW(self._network.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self._rate, self._budget.parts)
        best, kept = -1.0, self._weights()
        before = judged = 0
        for spent in self._budget.spent():
            images, masks = _batch(learned, self._batch, AUGMENTATION, rng)
            optimiser.zero_grad()
            loss = dice_and_cross_entropy(_logits(self._network, images), masks)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), 12)
            optimiser.step()
            for _ in range(before, spent):
                schedule.step()
            before = spent
            if spent // self._every > judged // self._every:
                best, kept = self._better(best, kept, chosen_by)
                judged = spent
        if judged < before:
            best, kept = self._better(best, kept, chosen_by)
        self._network.load_state_dict(kept)

    def _better(
        self, best: float, kept: dict[str, Tensor], chosen_by: tuple[Tensor, Tensor]
    ) -> tuple[float, dict[str, Tensor]]:
        """The best Dice so far and its weights, those of now being judged."""
        dice = self._judged(*chosen_by)
        return (dice, self._weights()) if dice >= best else (best, kept)

    def _judged(self, images: Tensor, masks: Tensor) -> float:
        from universeg.training.losses import dice_score

        return dice_score(self._found(images), masks).mean().item()

    def _found(self, images: Tensor) -> Tensor:
        """Probabilities, (N, H, W)."""
        import torch

        self._network.eval()
        with torch.inference_mode():
            found = [
                torch.stack(
                    [_logits(self._network, part.flip(axes)).flip(axes).sigmoid() for axes in FLIPS]
                ).mean(dim=0)
                for part in torch.split(images, self._batch)
            ]
        self._network.train()
        return torch.cat(found)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._network.state_dict().items()}


class UNetOnSupport(Supervised):
    """Trains that network from nothing on the labelled slices that others are shown, and no more.

    What a network that has learnt before must be better than.
    """

    shares_support = True
    uses_pool = False

    @property
    def _name(self) -> str:
        return f"unet-support-{self._budget}"


def unet_support(budget: str = "600steps") -> UNetOnSupport:
    """The U-Net of `supervised` trained on the labelled slices alone, for 600steps or, say, 60s."""
    return UNetOnSupport(budget=Budget.of(budget))


def _in_words(budget: Budget) -> str:
    return f"{budget.amount} steps" if budget.unit == "steps" else f"{budget.amount} s of steps"


def _network(features: Sequence[int], area: float) -> nn.Module:
    """The 2-D network that nnU-Net would configure, of these features.

    At first it finds everywhere the share that the label has of all pixels: small labels would else
    cost hundreds of steps before it learns where they are.
    """
    import torch
    from monai.networks.nets import DynUNet

    below = len(features) - 1
    network = DynUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * (below + 1),
        strides=[1, *[2] * below],
        upsample_kernel_size=[2] * below,
        filters=list(features),
        norm_name=("instance", {"affine": True}),
    )
    share = torch.tensor(area).clamp(1e-4, 1 - 1e-4)
    torch.nn.init.constant_(network.output_block.conv.conv.bias, share.logit().item())
    return network


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    """What a network says of images (N, H, W), each brought to mean 0 and deviation 1 first."""
    import torch

    mean, deviation = images.mean((1, 2), keepdim=True), images.std((1, 2), keepdim=True)
    standard = (images - mean) / deviation.clamp(min=1e-3)
    with torch.autocast(images.device.type, torch.bfloat16):
        logits: Tensor = network(standard[:, None])
    return logits[:, 0].float()


def _batch(
    examples: tuple[Tensor, Tensor],
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Examples drawn at random, mirrored and augmented each by itself."""
    import torch

    from universeg.training.augmentation import augment

    images, masks = examples
    drawn = [
        torch.stack([images[index], masks[index]]).flip(FLIPS[rng.integers(len(FLIPS))])
        for index in rng.integers(len(images), size=size)
    ]
    pairs = torch.stack(drawn)
    return augment(pairs[:, 0], pairs[:, 1], augmentation, int(rng.integers(2**31)))
