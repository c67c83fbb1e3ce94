"""In-context segmentation: a few labelled examples instead of training.

>>> from universeg import Segmenter
>>> found = Segmenter("v1").fit(images, masks).predict(image)  # doctest: +SKIP

What is public stands in `__init__.pyi`, and is imported when it is first asked for.
"""

from megamedical.lazily import public as _public

__getattr__, __dir__ = _public(__name__, __file__)
