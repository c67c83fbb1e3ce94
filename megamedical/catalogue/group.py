"""Groups: the subjects of a dataset that are processed the same way, and how they are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from megamedical.catalogue.annotation import Cell, Lookup, Mask, Span, Told
from megamedical.catalogue.facts import MODALITIES, Facts, FieldName, Slug
from megamedical.catalogue.patterns import Pattern
from megamedical.task_id import slug

Plane = Literal["axial", "coronal", "sagittal"]
Percentage = Annotated[float, Field(ge=0, le=100)]


class Intensity(Facts):
    """Where intensities are clipped before they are scaled to [0, 1] (paper.md, Processing 2).

    Either `percentiles` of the voxels above zero (MR) or a fixed `window` (CT, in HU).
    """

    percentiles: tuple[Percentage, Percentage] | None = None
    window: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_one_range(self) -> Self:
        if (self.percentiles is None) == (self.window is None):
            raise ValueError("give either `percentiles: [low, high]` or `window: [low, high]`")
        low, high = self.percentiles or self.window or (0.0, 0.0)
        if low >= high:
            raise ValueError(f"the low end {low} is not below the high end {high}")
        return self


class Exclusion(Facts):
    """Subjects that are left out on purpose, and why."""

    subjects: tuple[str, ...]
    reason: str


class Group(Facts):
    """Subjects of one dataset that are processed the same way, wherever they come from.

    `grid` says what becomes of a volume's voxel grid (paper.md, Processing 1): `native` keeps it,
    `isotropic` resamples it to `spacing` mm, `framed` keeps the voxels and centres them in a frame
    of the size the header gives in units of `spacing` mm. A label that covers less than
    `minimum_area` of its slice in any subject gives no task.
    """

    title: str = ""
    modality: Slug
    dimension: Literal[2, 3]
    labels: dict[int, str]
    planes: tuple[Plane, ...] = ()
    grid: Literal["native", "isotropic", "framed"] = "native"
    spacing: Annotated[float, Field(gt=0)] = 1.0
    intensity: Intensity | None = None
    minimum_area: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("modality")
    @classmethod
    def _is_known(cls, modality: str) -> str:
        if modality.partition("-")[0] not in MODALITIES:
            raise ValueError(f"must begin with one of {', '.join(MODALITIES)}")
        return modality

    @field_validator("labels")
    @classmethod
    def _are_named(cls, labels: dict[int, str]) -> dict[int, str]:
        if not labels:
            raise ValueError("name at least one label: `{1: liver}`")
        same: dict[str, str] = {}
        for value, name in labels.items():
            if value < 1:
                raise ValueError(f"{value} is no label: 0 is the background, labels are above it")
            if not slug(name):
                raise ValueError(f"label {value} needs a name with letters or digits")
            other = same.setdefault(slug(name), name)
            if other != name:
                raise ValueError(f"{other!r} and {name!r} would be one task: spell them alike")
        return labels

    @model_validator(mode="after")
    def _fits_its_dimension(self) -> Self:
        if (self.dimension == 3) != bool(self.planes):
            raise ValueError(
                "`planes:` belongs to `dimension: 3` (axial, coronal, sagittal), and only there"
            )
        if len(set(self.planes)) < len(self.planes):
            raise ValueError("name each of `planes:` once")
        if self.dimension == 2 and self.grid != "native":
            raise ValueError("a picture has no spacing: leave `grid:` out")
        return self

    @property
    def views(self) -> int:
        """How many slices are taken of a subject: mid and max in each plane, or the picture."""
        return 2 * len(self.planes) or 1

    @property
    def tasks(self) -> int:
        """How many tasks it has at most; those of labels that never occur are not in a store."""
        return self.views * len(self.label_values)

    @property
    def label_values(self) -> dict[str, tuple[int, ...]]:
        """Label name to the values that mean it, in the order of the manifest."""
        values: dict[str, tuple[int, ...]] = {}
        for value, name in self.labels.items():
            values[name] = (*values.get(name, ()), value)
        return values


class FileGroup(Group):
    """A group whose subjects are files of the dataset's archives.

    Patterns name fields in braces, `{patient}` or, with what it may match, `{frame:[0-9]+}`;
    `subject` and `patient` are written in those fields, and no patient falls into two splits.
    `subjects` is how many there are in the whole distribution. `grey` is the luma of a colour
    picture: kept as a `float`, or `rounded` to eight bits first.

    `slices` is a field that counts the files of one volume, one slice each, from the lowest up;
    `frames` a field that counts the pictures of one file, each of which is a subject, and `told`
    what else their file tells of them; `span` says which of them have a mask, where not all have.
    `array` is the name under which a file holds the image, `channel` the one of its
    channels that is meant, counted from 0. Groups of one `cohort` have the same patients.

    `moment` is a field that says which volume of a file is meant that holds several, one after the
    other in time, counted from 0; its mask's file holds them, too. `axes` are those of the `body`,
    as the header has them, or those of the file as it is `stored`, what varies fastest to the left,
    then to the back, then to the head: for stacks that lie oblique, nearest to another of the
    body's axes in each patient.

    `parts` are those of its archives of which each holds some of the subjects: it is built from
    those that are here. `without_mask` are patterns of images that have no annotation by design,
    such as those of a test set: where they lack their mask, nothing is wrong.
    """

    archives: tuple[str, ...] | None = None
    subjects: Annotated[int, Field(gt=0)]
    image: str
    mask: Mask
    subject: str
    patient: str
    fields: dict[FieldName, Lookup | Cell] = Field(default={})
    grey: Literal["float", "rounded"] = "float"
    slices: FieldName | None = None
    frames: FieldName | None = None
    told: Told | None = None
    span: Span | None = None
    array: str = ""
    channel: Annotated[int, Field(ge=0)] | None = None
    moment: FieldName | None = None
    axes: Literal["body", "stored"] = "body"
    cohort: Slug | None = None
    parts: tuple[str, ...] = ()
    without_mask: tuple[str, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    evidence: tuple[str, ...] = ()
    notes: str = ""

    _later = frozenset(
        {"slices", "frames", "told", "span", "array", "channel", "cohort"}
    ) | frozenset({"parts", "without_mask", "moment", "axes"})

    @model_validator(mode="after")
    def _uses_known_fields(self) -> Self:
        Pattern(self.image).check()
        known = set(Pattern(self.image).fields)
        if self.slices and self.slices not in known:
            raise ValueError(f"`slices: {self.slices}` must be a field of `image:`")
        if self.span:
            _expect_fields(known, self.span.file, *self.span.row.values(), *self.mask.patterns)
            known.add(self.span.counts)
        if self.frames:
            known.add(self.frames)
        if self.told:
            Pattern(self.told.pattern).check()
            known |= {*Pattern(self.told.pattern).fields}
        for name, lookup in self.fields.items():
            _expect_fields(known - {self.slices}, *lookup.patterns)
            known.add(name)
        if self.moment and self.moment not in known:
            raise ValueError(f"`moment: {self.moment}` must be a field of `image:` or in `fields:`")
        _expect_fields(known - {self.slices}, self.subject, self.patient)
        if self.mask.union:
            known.add(self.mask.union)
        _expect_fields(known, *self.mask.patterns, self.mask.array)
        for text in self.without_mask:
            Pattern(text).check()
        return self

    @model_validator(mode="after")
    def _has_the_dimension_of_its_files(self) -> Self:
        if self.slices and self.dimension != 3:
            raise ValueError("`slices:` belongs to `dimension: 3`: the files make a volume")
        if self.told and not self.frames:
            raise ValueError("`told:` belongs to `frames:`: it tells of each of them")
        if self.span and (self.told or not self.frames):
            raise ValueError(
                "`span:` belongs to `frames:`, without `told:`: it says which have masks"
            )
        if self.span and (self.mask.files or self.mask.union):
            raise ValueError("`span:` takes `mask.file` alone: one file shows all the frames")
        if self.mask.stretched and self.dimension != 2:
            raise ValueError(
                "`stretched:` belongs to `dimension: 2`: a volume has a grid of its own"
            )
        if self.frames and self.dimension != 2:
            raise ValueError("`frames:` belongs to `dimension: 2`: each is a picture")
        if self.dimension != 3 and (self.moment or self.axes == "stored"):
            raise ValueError("`moment:` and `axes: stored` belong to `dimension: 3`")
        if self.moment and (self.slices or self.channel is not None):
            raise ValueError("`moment:` says which volume is meant: leave out `slices`, `channel`")
        if self.mask.decode == "contours" and self.dimension == 3 and not self.slices:
            raise ValueError("`decode: contours` draws on pictures, or on the files of `slices:`")
        return self

    @model_validator(mode="after")
    def _decodes_its_labels(self) -> Self:
        names = set(self.labels.values())
        if self.mask.files and set(self.mask.files) != names:
            raise ValueError("`mask.files` and `labels` must name the same labels")
        if self.mask.decode in ("threshold", "drawn") and len(names) > 1:
            raise ValueError(
                f"`decode: {self.mask.decode}` gives one label; name no others in `labels:`"
            )
        return self

    def is_without_mask(self, image: str) -> bool:
        """Whether an image has no annotation by design."""
        return any(Pattern(text).match(image) for text in self.without_mask)

    @property
    def patterns(self) -> list[Pattern]:
        """Every pattern that a file it is read from may fit."""
        image = Pattern(self.image)
        others = [lookup.file for lookup in self.fields.values()]
        if self.span:
            others.append(self.span.file)
        return [image, *self.mask_patterns, *(Pattern(text, image) for text in others)]

    @property
    def mask_patterns(self) -> list[Pattern]:
        """Every pattern that a file of its masks may fit."""
        image = Pattern(self.image)
        return [Pattern(text, image) for text in self.mask.patterns]


class DrawnGroup(Group):
    """One synthetic task: a group whose subjects are drawn when they are read."""

    task: Annotated[int, Field(ge=0)]
    subjects: Annotated[int, Field(gt=0)]
    size: Annotated[int, Field(ge=32)]
    seed: Annotated[int, Field(ge=0)]


def _expect_fields(known: Collection[str], *patterns: str) -> None:
    for text in patterns:
        Pattern(text).check()
        unknown = sorted(set(Pattern(text).fields) - set(known))
        if unknown:
            raise ValueError(
                f"{text!r} uses {{{unknown[0]}}}, which `image:` does not have "
                f"(it has {', '.join(sorted(known)) or 'none'})"
            )
