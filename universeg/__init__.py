"""In-context segmentation: a few labelled examples instead of training.

>>> from universeg import Segmenter
>>> found = Segmenter("v1").fit(images, masks).predict(image)  # doctest: +SKIP

What is public stands in `__init__.pyi`, and is imported when it is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
