"""Whether lines are found along all their length: clDice, for vessels and what is like them."""

from __future__ import annotations

from universeg.measures.masks import Mask


def cldice(found: Mask, meant: Mask, both_empty: float = 1.0) -> float:
    """Centreline Dice of masks (H, W), 0 to 1 (Shit et al., CVPR 2021, arXiv 2003.07311).

    The harmonic mean of the share of the found centreline that lies in the truth and the share of
    the true centreline that was found. A centreline is the skeleton of Zhang and Suen, as in the
    code of the authors. 0 where one mask is empty, `both_empty` where both are.
    """
    if not found.any() or not meant.any():
        return both_empty if found.any() == meant.any() else 0.0
    from skimage.morphology import skeletonize

    of_found, of_meant = skeletonize(found), skeletonize(meant)  # type: ignore[no-untyped-call]
    precision, sensitivity = float(meant[of_found].mean()), float(found[of_meant].mean())
    both = precision + sensitivity
    return 2 * precision * sensitivity / both if both else 0.0
