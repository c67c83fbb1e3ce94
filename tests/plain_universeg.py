"""The network as its formulas read: every support map is joined to the query and convolved with it.

z_i = Conv(u || v_i)        u' = A(Conv(mean_i z_i))        v_i' = A(Conv(z_i))
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

Weights = Mapping[str, Tensor]


def plain_universeg(weights: Weights, query: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Logits (B, 1, H, W) of a query (B, 1, H, W), given images and labels (B, S, 1, H, W)."""
    u, v, skipped = query, torch.cat([images, labels], dim=2), []
    encoder, decoder = blocks(weights, "enc_blocks"), blocks(weights, "dec_blocks")
    for block in encoder[:-1]:
        u, v = cross_block(weights, block, u, v)
        skipped.append((u, v))
        u, v = pool(u), each(pool, v)
    u, v = cross_block(weights, encoder[-1], u, v)
    for block in decoder:
        u_skipped, v_skipped = skipped.pop()
        u, v = torch.cat([up(u), u_skipped], dim=1), torch.cat([each(up, v), v_skipped], dim=2)
        u, v = cross_block(weights, block, u, v)
    return conv(weights, "out_conv.conv", u)


def cross_block(weights: Weights, block: str, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The query (B, C, H, W) and its support (B, S, C, H, W) meet."""
    u_for_each = u[:, None].expand(-1, v.shape[1], -1, -1, -1)
    pairs = torch.cat([u_for_each, v], dim=2)
    z = each(lambda x: conv(weights, f"{block}.cross.cross_conv", x), pairs)
    u = functional.leaky_relu(conv(weights, f"{block}.target.vmapped.conv", z.mean(1)), 0.01)
    v = each(lambda x: conv(weights, f"{block}.support.vmapped.conv", x), z)
    return u, functional.leaky_relu(v, 0.01)


def conv(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def pool(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2)


def up(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def each(operation, v: Tensor) -> Tensor:
    return operation(v.flatten(0, 1)).unflatten(0, v.shape[:2])


def blocks(weights: Weights, kind: str) -> list[str]:
    return sorted({".".join(name.split(".")[:2]) for name in weights if name.startswith(kind)})
