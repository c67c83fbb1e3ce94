"""Whether objects are found one by one: F1, for cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from universeg.measures.masks import Mask

_TOUCHING = np.ones((3, 3), bool)  # pixels of one object touch at a side or a corner


def object_f1(found: Mask, meant: Mask, iou: float = 0.5, both_empty: float = 1.0) -> float:
    """F1 of the objects in masks (H, W), 0 to 1: 2 TP / (objects found + objects meant).

    An object is what hangs together. One that was found is true if it and an object of the truth
    have an intersection over union above `iou`; at 0.5 and more, no object can have two such
    partners (Kirillov et al., CVPR 2019, arXiv 1801.00868: the recognition quality).
    `both_empty` where both masks are empty.
    """
    from scipy.ndimage import label

    (of_found, count), (of_meant, wanted) = (label(mask, _TOUCHING) for mask in (found, meant))
    if not count and not wanted:
        return both_empty
    shared = np.zeros((count + 1, wanted + 1), np.int64)
    np.add.at(shared, (of_found, of_meant), 1)
    areas = shared.sum(axis=1)[1:, None], shared.sum(axis=0)[None, 1:]
    overlap: NDArray[np.int64] = shared[1:, 1:]
    true = np.count_nonzero(overlap / (areas[0] + areas[1] - overlap) > iou)
    return 2 * true / (count + wanted)
