"""Held-out evaluation of in-context segmenters: suites, methods, results, a leaderboard.

What is public stands in `__init__.pyi`, and is imported when it is first asked for.
"""

from megamedical.lazily import public as _public

__getattr__, __dir__ = _public(__name__, __file__)
