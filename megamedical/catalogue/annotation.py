"""Where the annotation of an image is, and what other files tell of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from megamedical.catalogue.facts import Column, Facts, FieldName


class Mask(Facts):
    """Where the annotation of an image is, and how its file becomes labels.

    `decode` says how (see `megamedical.subjects.decoding`); `files` holds a pattern, or one pattern
    per label name, in the fields of the image's pattern; `above` is the parameter of `threshold`.
    `union` is a field that only the mask has: all files that differ in it make one mask together.
    `may_lack` are labels whose file is missing where they do not occur. `array` is the name under
    which a file holds the mask, in the fields of the image where it has many; `channel` the one of
    its channels that is meant, counted from 0, or `any` for the brightest of its colours. A
    `stretched` mask covers the whole picture in a size of its own, whatever its aspect: the picture
    is given the nearest of its values.

    In a volume, `place` is what says where the mask lies: its `header`, which must lay it on the
    grid of the image, or, where the headers of a dataset are known to be wrong, its `voxels`: the
    n-th of the mask is the n-th of the image, whatever its header says. Of pictures in formats of
    volumes the header must say that they lie the same way round.

    `decode: contours` takes `files:` of text that hold the points of a closed line, a point a line:
    x and y in pixels of their picture or slice, of which the first pixel's centre is (0, 0). What
    lies inside is the label; of labels inside one another a pixel has the last one of `files:`.

    A volume that has a file for each slice has its masks so, too. Where they bear the field of
    `slices`, each belongs to the slice of its number, and only labels in `may_lack` may have none;
    otherwise `union` counts them, and they are as many as the slices and in their order.
    """

    decode: Literal["values", "threshold", "drawn", "files", "channels", "entries", "contours"]
    file: str | None = None
    files: dict[str, str] = Field(default={})
    above: float = 0.0
    union: FieldName | None = None
    may_lack: tuple[str, ...] = ()
    array: str = ""
    channel: Annotated[int, Field(ge=0)] | Literal["any"] | None = None
    stretched: bool = False
    place: Literal["header", "voxels"] = "header"

    _later = frozenset({"union", "may_lack", "array", "channel", "stretched", "place"})

    @model_validator(mode="after")
    def _has_what_it_reads(self) -> Self:
        has_many = self.decode in ("files", "contours")
        if has_many and (self.file or not self.files):
            raise ValueError(
                f"`decode: {self.decode}` takes `files: {{label name: pattern}}`, not `file:`"
            )
        if not has_many and (self.files or not self.file):
            raise ValueError(f"`decode: {self.decode}` takes `file: pattern`, not `files:`")
        unknown = sorted(set(self.may_lack) - set(self.files))
        if unknown:
            raise ValueError(f"`may_lack: [{unknown[0]}]` is none of the labels in `files:`")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """Every pattern the mask is read from."""
        return (self.file,) if self.file else tuple(self.files.values())


class Lookup(Facts):
    """A field that stands in a small `key: value` text file beside the images.

    The field is the first of `keys` whose value in `file` equals `equals` (compared as numbers
    where both are): `{file: ".../Info.cfg", keys: [ED, ES], equals: "{frame}"}` names the phase.
    """

    file: str
    keys: tuple[str, ...]
    equals: str

    @property
    def patterns(self) -> tuple[str, ...]:
        """What is written in the fields that are known before it."""
        return self.file, self.equals


class Cell(Facts):
    """A field that stands in a table, `.csv` or `.xlsx`, whose first row names the columns.

    The row of an image is the one whose cells are as in `row`; the field is its cell of `column`:
    `{file: "info.csv", row: {External code: "{patient}"}, column: ED}`. Numbers in it are written
    with at least so many `digits`: with 2 of them, `HF-1` becomes `HF-01`.
    """

    file: str
    row: Annotated[dict[str, str], Field(min_length=1)]
    column: str
    digits: Annotated[int, Field(ge=0, le=20)] = 0

    @property
    def patterns(self) -> tuple[str, ...]:
        """What is written in the fields that are known before it."""
        return self.file, *self.row.values()


class Told(Facts):
    """Fields that an array in the image's file tells of each of its frames.

    `pattern` says what in the array's n-th text is which field of the n-th frame.
    """

    array: str
    pattern: str


class Span(Facts):
    """Which frames of an image the mask's file shows, as a row of a spreadsheet says.

    The row of an image is the one of `file` whose cells are as in `row`, by their columns; images
    in whose row the cells are not as in `marked` have no mask. `first` and `last` are the columns
    of the first and last frame, counted from 1. The pictures of the mask are these frames, one
    after the other; `counts` is a field that counts them, from 0.
    """

    file: str
    row: Annotated[dict[Column, str], Field(min_length=1)]
    marked: dict[Column, str] = Field(default={})
    first: Column
    last: Column
    counts: FieldName
