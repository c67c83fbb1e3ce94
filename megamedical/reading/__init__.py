"""Readers: one file of any format into an array, with its place in the patient.

What is public stands in `__init__.pyi`; `contract` says what a reader promises, `formats` which
there are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
