"""A console that shows text from outside without obeying it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from megamedical.reporting.cleaning import cleaned


class CleanConsole(Console):
    """A console whose own orders, such as colours, are the only ones that reach the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Every piece of what is to be printed, cleaned but for the console's own orders."""
        for piece in super().render(renderable, options):
            clean = piece.text if piece.control else cleaned(piece.text)
            yield piece if clean == piece.text else Segment(clean, piece.style)


class LiteralTable(Table):
    """A table whose cells are shown as they are: in text from outside, brackets are no markup."""

    def add_row(
        self,
        *cells: RenderableType | None,
        style: str | Style | None = None,
        end_section: bool = False,
    ) -> None:
        """See `Table`."""
        literal = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*literal, style=style, end_section=end_section)
