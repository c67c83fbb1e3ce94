"""Convolutions with their parameters, under the names that the released weights have for them."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from universeg.network.maps import convolve

Nonlinearity: TypeAlias = Literal["leaky_relu", "linear"]


class Convolution(nn.Module):
    """A convolution; training begins with Kaiming-normal weights and biases of zero."""

    def __init__(self, channels: int, features: int, size: int, then: Nonlinearity) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, channels, size, size))
        self.bias = nn.Parameter(torch.zeros(features))
        if not self.weight.is_meta:  # for nothing, PyTorch would import its compiler: seconds
            nn.init.kaiming_normal_(self.weight, nonlinearity=then)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (..., H, W, C): (..., H, W, D)."""
        return convolve(maps, self.weight, self.bias)


class Conv(nn.Module):
    """A convolution that is called `conv` in a state dict."""

    def __init__(self, channels: int, features: int, size: int, then: Nonlinearity) -> None:
        super().__init__()
        self.conv = Convolution(channels, features, size, then)


class Vmapped(nn.Module):
    """A convolution that is called `vmapped.conv` there; an activation follows."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.vmapped = Conv(features, features, 3, "leaky_relu")


class Cross(nn.Module):
    """A convolution that is called `cross_conv` there; no activation follows."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.cross_conv = Convolution(channels, features, 3, "linear")
