"""Where networks compute: the GPU where there is one, in float32 as exact as a CPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from megamedical.errors import MegaMedicalError

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def chosen(asked: str) -> torch.device:
    """The device of a name; for `auto` a GPU where PyTorch finds one, else the CPU.

    Products and convolutions of float32 are then made in float32, not in TF32, which cuDNN takes
    by itself and which moves a logit by 2e-3.

    Raises:
        MegaMedicalError: PyTorch knows no such device, or not on this machine.
    """
    import torch

    from universeg.network.devices import usual_device

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    name = usual_device() if asked == AUTO else asked
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MegaMedicalError(
            f"PyTorch cannot use the device {asked!r} here",
            "Take `auto`, or `cpu`, which is always there.",
        ) from error
    return device


def described(name: str) -> str:
    """A device, for a row: `cpu`, `cuda (NVIDIA H200)`."""
    if not name.startswith("cuda"):
        return name
    import torch

    return f"{name} ({torch.cuda.get_device_name(name)})"
