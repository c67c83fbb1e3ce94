"""MegaMedical: public medical segmentation datasets in one store of slices.

>>> import megamedical
>>> report = megamedical.build("wbc", "stare", store="store")  # doctest: +SKIP
>>> megamedical.open_store("store").tasks  # doctest: +SKIP

What is public stands in `__init__.pyi`, and is imported when it is first asked for.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("megamedical")
