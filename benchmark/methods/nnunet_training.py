"""nnU-Net's training as a process of its own, which finds nnU-Net's folders in its environment.

`python -m benchmark.methods.nnunet_training TRAINER SEED DEVICE` plans, preprocesses and trains
dataset 1.
"""

from __future__ import annotations

import os
import sys


def train(trainer: str, seed: int, place: str) -> None:
    """Do what nnUNetv2_plan_and_preprocess and nnUNetv2_train do, but for the validation.

    Args:
        trainer: nnU-Net's name of it.
        seed: of the weights, and of batches and augmentation where no other process makes them.
        place: the device, as PyTorch names it.
    """
    import numpy as np
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )
    from nnunetv2.run.run_training import get_trainer_from_args

    extract_fingerprints([1], num_processes=1)
    plan_experiments([1])
    preprocess([1], configurations=("2d",), num_processes=(1,))
    device = torch.device(place)
    if device.type == "cpu":
        # Other processes would draw batches without a seed; planning needs this number above 0.
        os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(seed)
    np.random.seed(seed)
    get_trainer_from_args("1", "2d", "all", trainer, device=device).run_training()


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]), sys.argv[3])
