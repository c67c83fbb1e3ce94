"""Which blocks a network has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Architecture:
    """The features of each block, from the first to the last, and what was added to the paper's.

    The released v1 has four encoder and three decoder blocks of 64 features (paper, section 3.3),
    and nothing added.

    Attributes:
        encoder_blocks: features on the way down.
        decoder_blocks: features on the way up; one block less.
        normalise: whether the maps that a block gives are normalised over their features, so that
            all cross-convolutions but the first, which sees grey values, have normalised input.
        attention_heads: of the attention of the query to its support after the lowest block; 0 is
            none.
    """

    encoder_blocks: tuple[int, ...] = (64, 64, 64, 64)
    decoder_blocks: tuple[int, ...] = (64, 64, 64)
    normalise: bool = False
    attention_heads: int = 0

    def __post_init__(self) -> None:
        if not len(self.encoder_blocks) == len(self.decoder_blocks) + 1 > 1:
            raise ValueError(
                "a network needs at least one decoder block and one encoder block more, not "
                f"{len(self.encoder_blocks)} encoder and {len(self.decoder_blocks)} decoder blocks"
            )
        for features in self.encoder_blocks + self.decoder_blocks:
            if not isinstance(features, int) or features < 1:
                raise ValueError(f"a block cannot have {features} features")
        heads = self.attention_heads
        if heads < 0 or (heads and self.encoder_blocks[-1] % heads):
            raise ValueError(
                f"{heads} attention heads cannot share {self.encoder_blocks[-1]} features"
            )

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Architecture:
        """The architecture whose state dict this seems to be.

        Raises:
            ValueError: it is none.
        """
        return cls(_features(tensors, "enc_blocks"), _features(tensors, "dec_blocks"))

    @property
    def arguments(self) -> dict[str, Any]:
        """What a network of it is made with; of what was added, only what there is.

        So the file of a network like v1 can be read by what knows nothing else.
        """
        added = {"normalise": self.normalise, "attention_heads": self.attention_heads}
        blocks = {"encoder_blocks": self.encoder_blocks, "decoder_blocks": self.decoder_blocks}
        return {**blocks, **{name: value for name, value in added.items() if value}}

    @property
    def stride(self) -> int:
        """What the height and the width of an image must be a multiple of."""
        return int(2 ** len(self.decoder_blocks))


def _features(tensors: Mapping[str, Tensor], blocks: str) -> tuple[int, ...]:
    names = (f"{blocks}.{block}.cross.cross_conv.bias" for block in count())
    return tuple(tensors[name].numel() for name in takewhile(tensors.__contains__, names))
