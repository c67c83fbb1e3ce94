"""Attention of a query to its support, where maps are smallest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class SupportAttention(nn.Module):
    """Each place of the query gathers from all places of all support maps.

    A convolution compares what lies at the same place; this finds what lies elsewhere. What is
    gathered is added, and is nothing before training.
    """

    def __init__(self, features: int, heads: int) -> None:
        """Make it; `features` are a multiple of `heads`."""
        super().__init__()
        self._heads = heads
        self.of_query = nn.LayerNorm(features)
        self.of_support = nn.LayerNorm(features)
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: Tensor, support: Sequence[Tensor]) -> Tensor:
        """The maps of the query, (B, H, W, D), with what they gather from (B, s, H, W, D) each."""
        places = self.of_query(query.flatten(1, 2))
        known = self.of_support(torch.cat([chunk.flatten(1, 3) for chunk in support], dim=1))
        gathered = functional.scaled_dot_product_attention(
            *(
                maps.unflatten(-1, (self._heads, -1)).transpose(1, 2)
                for maps in (self.query(places), self.key(known), self.value(known))
            )
        )
        answer: Tensor = self.out(gathered.transpose(1, 2).flatten(-2))
        return query + answer.view_as(query)
