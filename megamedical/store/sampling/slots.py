"""How a worker of a DataLoader hands on what it has read, without copying it.

PyTorch gives each tensor that goes from one process to another new memory, which costs more than
reading slices does. Here a worker reads into memory that it shares with the process it works for,
and sends only word of it; when the last tensor in it is gone there, it is taken again.
"""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

_MOST = 32  # slots of a worker; beyond them, PyTorch's own way is taken
_ALIGNED = 64  # bytes
_FREE, _TAKEN = 0, 1

Shape = tuple[tuple[int, ...], str]  # of an array, and its type


@dataclass(frozen=True)
class Word:
    """Which slot holds some arrays, how they lie there, and at first the slot itself."""

    worker: int
    name: str
    shapes: Sequence[Shape]
    memory: Tensor | None

    def arrays(self) -> list[NDArray[Any]]:
        """The arrays, in the process that the worker works for."""
        if self.memory is not None:
            _forget_ended()
            _known[self.name] = self.worker, self.memory
        memory = _known[self.name][1]
        whole = memory.numpy()
        weakref.finalize(whole, _release, memory).atexit = False
        return _laid_out(whole, self.shapes)


@dataclass(eq=False)
class _Memory:
    """Memory that a worker shares; its last byte says whether somebody uses it."""

    name: str
    content: Tensor
    was_sent: bool = False


class Slot:
    """Arrays in memory that a worker shares, until they are handed on or gone."""

    def __init__(self, memory: _Memory, shapes: Sequence[Shape]) -> None:
        memory.content[-1] = _TAKEN
        whole = memory.content.numpy()
        self.arrays = _laid_out(whole, shapes)
        self._memory, self._shapes = memory, shapes
        self._unless_sent = weakref.finalize(whole, _release, memory.content)

    def word(self) -> Word:
        """What is sent in place of the arrays; from now on they are the receiver's."""
        self._unless_sent.detach()
        content = None if self._memory.was_sent else self._memory.content
        self._memory.was_sent = True
        return Word(os.getpid(), self._memory.name, self._shapes, content)


_own: dict[int, list[_Memory]] = {}  # by process: a fork inherits what is its parent's
_known: dict[str, tuple[int, Tensor]] = {}  # what workers have sent, each with its process


def take(shapes: Sequence[Shape]) -> Slot | None:
    """Memory for some arrays in a worker; none elsewhere, or where there is no more."""
    if get_worker_info() is None:
        return None
    needed = 1 + sum(map(_bytes, shapes))
    own = _own.setdefault(os.getpid(), [])
    for memory in own:
        if memory.content[-1] == _FREE and len(memory.content) >= needed:
            return Slot(memory, shapes)
    if len(own) >= _MOST:
        return None
    content = torch.empty(needed, dtype=torch.uint8)
    try:
        content.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError:  # no room
        return None
    own.append(_Memory(secrets.token_hex(8), content))
    return Slot(own[-1], shapes)


def _release(memory: Tensor) -> None:
    memory[-1] = _FREE
    _forget_ended()


def _forget_ended() -> None:
    """Give memory back that workers shared who have ended; what is in use stays."""
    for name, (worker, _) in list(_known.items()):
        if not psutil.pid_exists(worker):
            _known.pop(name, None)


def _laid_out(whole: NDArray[np.uint8], shapes: Sequence[Shape]) -> list[NDArray[Any]]:
    arrays, start = [], 0
    for shape, dtype in shapes:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays.append(whole[start : start + size].view(dtype).reshape(shape))
        start += _bytes((shape, dtype))
    return arrays


def _bytes(array: Shape) -> int:
    shape, dtype = array
    return -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // _ALIGNED) * _ALIGNED
