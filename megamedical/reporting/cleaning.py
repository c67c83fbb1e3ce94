"""Text from outside, as it may be shown: it gives a terminal, or a spreadsheet, no orders."""

from __future__ import annotations

import unicodedata

# Controls, formats (what turns the direction of text, or has no width), halves of characters, and
# separators of lines and paragraphs.
_ORDERS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cleaned(text: str) -> str:
    r"""A text in which what a terminal would act on is written out, lines and tabs but for.

    >>> cleaned("a\x1b[31m.png")
    'a\\x1b[31m.png'
    """
    if text.isprintable():
        return text
    return "".join(_written_out(character) for character in text)


def _written_out(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _ORDERS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def cell(text: str) -> str:
    """A text as a cell of a CSV file, which no spreadsheet takes for a formula to run."""
    return f"'{text}" if text.startswith(_FORMULA) else text
