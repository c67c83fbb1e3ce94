"""What a package offers, looked up when it is first asked for, and not a moment before.

Even the looking up is put off: a command hears Ctrl-C before it imports anything.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes its time
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def public(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package: what its `__init__.pyi` has, beside its file."""
    attached: list[Any] = []

    def look_up() -> list[Any]:
        if not attached:
            from lazy_loader import attach_stub

            attached.extend(attach_stub(package, file))
        return attached

    def get(name: str) -> object:
        of_name, _, names = look_up()
        return names if name == "__all__" else of_name(name)

    def names() -> list[str]:
        _, listed, _ = look_up()
        return list(listed())

    return get, names
