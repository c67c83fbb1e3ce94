"""MegaMedical: public medical segmentation datasets in one store of slices.

>>> import megamedical
>>> report = megamedical.build("wbc", "stare", store="store")  # doctest: +SKIP
>>> megamedical.open_store("store").tasks  # doctest: +SKIP

What is public stands in `__init__.pyi`, and is imported when it is first asked for.
"""

from megamedical.lazily import public as _public

_offered, __dir__ = _public(__name__, __file__)


def __getattr__(name: str) -> object:
    """What is public; the version is that of what is installed."""
    if name == "__version__":
        from importlib.metadata import version

        return version("megamedical")
    return _offered(name)
