"""The `megamedical` command, put together from its parts."""

from megamedical.commands import archives as _archives  # noqa: F401
from megamedical.commands import authoring as _authoring  # noqa: F401
from megamedical.commands import catalogue as _catalogue  # noqa: F401
from megamedical.commands import sharing as _sharing  # noqa: F401
from megamedical.commands import stores as _stores  # noqa: F401
from megamedical.commands.root import app

__all__ = ["app"]
