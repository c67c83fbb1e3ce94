"""What varies among the paths of images of one shape, by name: the fields of their patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_PERSON = re.compile("patient|subject|sub|person|pat|case", re.IGNORECASE)
_PART = re.compile("(train|test|val|valid|dev)(ing|idation)?|tr|ts|va", re.IGNORECASE)
_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+|[^0-9A-Za-z]")
_COUNTED = re.compile(
    f"{_PERSON.pattern}|frame|slice|session|ses|visit|view|eye|phase|time", re.IGNORECASE
)
_FURTHER_NAMES = ("part", "piece", "item", "rest")


class Fields:
    """What varies among keys, by name, and the keys' texts with the fields in them."""

    def __init__(self, keys: Sequence[tuple[str, ...]]) -> None:
        columns = [[*column] for column in zip(*keys, strict=True)]
        pieces = [_pieces(column) for column in columns]
        if all(isinstance(piece, str) for column in pieces for piece in column):
            pieces[-1] = [tuple(columns[-1])]
        self.values: dict[str, tuple[str, ...]] = {}
        self.texts = ["".join(self._texts(column)) for column in pieces]
        self._count = len(keys)

    def _texts(self, pieces: Sequence[str | tuple[str, ...]]) -> Iterator[str]:
        before = ""
        for piece in pieces:
            if isinstance(piece, str):
                yield piece
                before += piece
            else:
                yield f"{{{self._name(piece, before)}}}"
                before = ""

    def _name(self, values: tuple[str, ...], before: str) -> str:
        """The name of what varies, which is the same wherever it says the same."""
        for name, known in self.values.items():
            if known == values:
                return name
        word = re.search(r"([A-Za-z]{2,})[ _.-]?$", before)
        is_known = word and _COUNTED.fullmatch(word[1])
        wanted = "part" if _are_parts(values) else "case"
        names = [word[1].lower() if word and is_known else wanted, "case", *_FURTHER_NAMES]
        free = next((n for n in names if n not in self.values), f"more{'_' * len(self.values)}")
        self.values[free] = values
        return free

    @property
    def patient(self) -> str:
        """The field that most likely says whose image it is."""
        for name in self.values:
            if _PERSON.fullmatch(name):
                return name
        return next((name for name in self.values if name != "part"), next(iter(self.values)))

    @property
    def subject(self) -> str:
        """The fewest fields that are of one image only, the patient first."""
        names = sorted(self.values, key=lambda name: (name != self.patient, name == "part"))
        for count in range(1, len(names)):
            values = zip(*(self.values[name] for name in names[:count]), strict=True)
            if len({*values}) == self._count:
                names = names[:count]
                break
        return "-".join(f"{{{name}}}" for name in names)


def _are_parts(values: Sequence[str]) -> bool:
    """Whether what varies says which part of the dataset it is: one of very few, or a split."""
    few = len({*values})
    return len(values) >= 10 * few or all(_PART.fullmatch(v.strip(" _-")) for v in values)


def _pieces(column: Sequence[str]) -> list[str | tuple[str, ...]]:
    """Texts cut where they begin and end to differ: what all have, and what each has instead."""
    tokens = [_TOKEN.findall(text) for text in column]
    if len({len(each) for each in tokens}) == 1:
        places = [tuple(place) for place in zip(*tokens, strict=True)]
        if all(len({*place}) == 1 or all(text.isalnum() for text in place) for place in places):
            return _joined(place[0] if len({*place}) == 1 else place for place in places)
    before = shared_beginning(tokens)
    after = shared_beginning([each[len(before) :][::-1] for each in tokens])[::-1]
    middle = tuple("".join(each[len(before) : len(each) - len(after)]) for each in tokens)
    if not all(middle):
        return [tuple(column)]
    return [text for text in ("".join(before), middle, "".join(after)) if text]


def _joined(pieces: Iterable[str | tuple[str, ...]]) -> list[str | tuple[str, ...]]:
    """Pieces that follow each other as one, where both vary."""
    joined: list[str | tuple[str, ...]] = []
    for piece in pieces:
        last = joined[-1] if joined else ""
        if isinstance(piece, tuple) and isinstance(last, tuple):
            joined[-1] = tuple(a + b for a, b in zip(last, piece, strict=True))
        else:
            joined.append(piece)
    return joined


def shared_beginning(texts: Sequence[Sequence[str]]) -> list[str]:
    """What all begin with."""
    shared = []
    for place in zip(*texts, strict=False):
        if len({*place}) > 1:
            break
        shared.append(place[0])
    return shared
