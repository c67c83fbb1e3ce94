"""In-context segmentation: a few labelled examples instead of training.

>>> from universeg import Segmenter
>>> found = Segmenter("v1").fit(images, masks).predict(image)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from universeg.network.universeg import UniverSeg
    from universeg.prediction.segmenter import Prediction, Segmenter

__all__ = ["Prediction", "Segmenter", "UniverSeg"]

_HOMES = {
    "Prediction": "prediction.segmenter",
    "Segmenter": "prediction.segmenter",
    "UniverSeg": "network.universeg",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what is asked for, and only then: torch takes its time."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
