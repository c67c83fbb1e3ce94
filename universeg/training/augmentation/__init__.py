"""Augmentation of training episodes (paper, section 3.4 and its table of augmentations).

Task augmentation draws once for the query and all of its support, which makes new tasks; in-task
augmentation then draws anew for each image, which makes new subjects.
"""

from universeg.training.augmentation.batch import augment, augment_batch, augment_stacks
from universeg.training.augmentation.settings import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
)

__all__ = [
    "Augmentation",
    "ImageAugmentation",
    "TaskAugmentation",
    "augment",
    "augment_batch",
    "augment_stacks",
]
