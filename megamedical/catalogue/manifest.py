"""What a dataset manifest may say: the typed form of `manifests/datasets/<id>.yaml`.

A manifest holds facts only. `DatasetManifest` is the whole file; a `Group` is one part of it whose
subjects are processed the same way. Anything that cannot be is refused with the file's name, the
place in it, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails

from megamedical.catalogue import strict_yaml
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import ManifestError
from megamedical.task_id import slug

Proof = Literal["real data", "miniature", "evidence"]
Role = Literal["train", "dev", "heldout", "extra"]
Access = Literal[
    "open", "manual", "kaggle", "synapse", "registration", "agreement", "dead", "generated"
]
Plane = Literal["axial", "coronal", "sagittal"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z_]+$")]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^./\\][^/\\]*$")]
Percentage = Annotated[float, Field(ge=0, le=100)]

MODALITIES = {
    "mri": "magnetic resonance",
    "ct": "computed tomography",
    "pet": "positron emission tomography",
    "xray": "radiograph",
    "ultrasound": "ultrasound",
    "fundus": "fundus photograph",
    "oct": "optical coherence tomography",
    "microscopy": "light or electron microscopy",
    "dermoscopy": "skin photograph",
    "endoscopy": "endoscopic photograph",
    "synthetic": "generated",
}


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out later keys that say nothing, so that what is built keeps its fingerprint."""
        fields = type(self).model_fields
        return {
            key: value
            for key, value in serialize(self).items()
            if key not in self._later or getattr(self, key) != fields[key].default
        }


class Licence(_Facts):
    """What one may do with the data. `None` means that nobody has said."""

    name: str
    commercial: bool | None = None
    redistribution: bool | None = None

    @staticmethod
    def said(allowed: bool | None) -> str:
        """A permission, in words."""
        return "not stated" if allowed is None else "yes" if allowed else "no"


class Citation(_Facts):
    """The paper to cite when the dataset is used."""

    title: str
    authors: str
    year: int
    doi: Annotated[str, StringConstraints(pattern=r"^10\.[0-9]{4,}/\S+$")] | None = None


class Archive(_Facts):
    """One file as its owners distribute it.

    `name` is what it is called on disk and in a mirror; `sha256` or `md5` what it must hash to;
    `size` its length in bytes, or `roughly` where that is not known; `into` a folder that its
    content is unpacked below, for archives whose files would otherwise have the same names.
    """

    name: FileName
    urls: tuple[str, ...] = ()
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    roughly: Annotated[int, Field(gt=0)] | None = None
    into: Annotated[str, StringConstraints(pattern=r"^([^./\\][^/\\]*)?$")] = ""

    @property
    def known_size(self) -> int:
        """Its length in bytes as far as it is known, 0 if nobody says."""
        return self.size or self.roughly or 0

    @property
    def prefix(self) -> str:
        """What the paths of its files begin with, once it is unpacked."""
        return f"{self.into}/" if self.into else ""


class Mask(_Facts):
    """Where the annotation of an image is, and how its file becomes labels.

    `decode` says how (see `megamedical.subjects.decoding`); `files` holds a pattern, or one pattern
    per label name, in the fields of the image's pattern; `above` is the parameter of
    `threshold`. `union` is a field that only the mask has: all files that differ in it make one
    mask together. `may_lack` are labels whose file is missing where they do not occur. `array` is
    the name under which a file holds the mask, in the fields of the image where it has many;
    `channel` the one of its channels that is meant, counted from 0, or `any` for the brightest of
    its colours. A `stretched` mask covers the whole picture in a size of its own, whatever its
    aspect: the picture is given the nearest of its values.
    """

    decode: Literal["values", "threshold", "files", "channels", "entries"]
    file: str | None = None
    files: dict[str, str] = {}
    above: float = 0.0
    union: FieldName | None = None
    may_lack: tuple[str, ...] = ()
    array: str = ""
    channel: Annotated[int, Field(ge=0)] | Literal["any"] | None = None
    stretched: bool = False

    _later = frozenset({"union", "may_lack", "array", "channel", "stretched"})

    @model_validator(mode="after")
    def _has_what_it_reads(self) -> Self:
        if self.decode == "files" and (self.file or not self.files):
            raise ValueError("`decode: files` takes `files: {label name: pattern}`, not `file:`")
        if self.decode != "files" and (self.files or not self.file):
            raise ValueError(f"`decode: {self.decode}` takes `file: pattern`, not `files:`")
        unknown = sorted(set(self.may_lack) - set(self.files))
        if unknown:
            raise ValueError(f"`may_lack: [{unknown[0]}]` is none of the labels in `files:`")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        """Every pattern the mask is read from."""
        return (self.file,) if self.file else tuple(self.files.values())


class Intensity(_Facts):
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


class Lookup(_Facts):
    """A field that stands in a small `key: value` text file beside the images.

    The field is the first of `keys` whose value in `file` equals `equals` (compared as numbers
    where both are): `{file: ".../Info.cfg", keys: [ED, ES], equals: "{frame}"}` names the phase.
    """

    file: str
    keys: tuple[str, ...]
    equals: str


class Told(_Facts):
    """Fields that an array in the image's file tells of each of its frames.

    `pattern` says what in the array's n-th text is which field of the n-th frame.
    """

    array: str
    pattern: str


class Span(_Facts):
    """Which frames of an image the mask's file shows, as a row of a spreadsheet says.

    The row of an image is the one of `file` whose cells are as in `row`, by their columns; images
    in whose row the cells are not as in `marked` have no mask. `first` and `last` are the columns
    of the first and last frame, counted from 1. The pictures of the mask are these frames, one
    after the other; `counts` is a field that counts them, from 0.
    """

    file: str
    row: Annotated[dict[Column, str], Field(min_length=1)]
    marked: dict[Column, str] = {}
    first: Column
    last: Column
    counts: FieldName


class Exclusion(_Facts):
    """Subjects that are left out on purpose, and why."""

    subjects: tuple[str, ...]
    reason: str


class Group(_Facts):
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
    """

    archives: tuple[str, ...] | None = None
    subjects: Annotated[int, Field(gt=0)]
    image: str
    mask: Mask
    subject: str
    patient: str
    fields: dict[str, Lookup] = {}
    grey: Literal["float", "rounded"] = "float"
    slices: FieldName | None = None
    frames: FieldName | None = None
    told: Told | None = None
    span: Span | None = None
    array: str = ""
    channel: Annotated[int, Field(ge=0)] | None = None
    cohort: Slug | None = None
    exclude: tuple[Exclusion, ...] = ()
    evidence: tuple[str, ...] = ()
    notes: str = ""

    _later = frozenset({"slices", "frames", "told", "span", "array", "channel", "cohort"})

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
            _expect_fields(known - {self.slices}, lookup.file, lookup.equals)
            known.add(name)
        _expect_fields(known - {self.slices}, self.subject, self.patient)
        if self.mask.union:
            known.add(self.mask.union)
        _expect_fields(known, *self.mask.patterns, self.mask.array)
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
        return self

    @model_validator(mode="after")
    def _decodes_its_labels(self) -> Self:
        names = set(self.labels.values())
        if self.mask.files and set(self.mask.files) != names:
            raise ValueError("`mask.files` and `labels` must name the same labels")
        if self.mask.decode == "threshold" and len(names) > 1:
            raise ValueError("`decode: threshold` gives one label; name no others in `labels:`")
        return self

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


class Generator(_Facts):
    """A dataset that is drawn, not downloaded (paper.md, Synthetic tasks)."""

    tasks: Annotated[int, Field(gt=0)]
    subjects: Annotated[int, Field(gt=0)]
    size: Annotated[int, Field(ge=32)]
    seed: Annotated[int, Field(ge=0)] = 0


class DatasetManifest(_Facts):
    """One dataset: what it is, where it comes from, what one may do with it, how it is read.

    `shares_patients` says that the same `patient` in two groups is the same person, who is then in
    the same split in both; where that holds of some groups only, they are of one `cohort`.
    `same_patients` names groups of other datasets, `<dataset>/<group>`, that show them too.
    `proven` is what was built from the manifest: the real archives, miniatures in their layout, or
    nothing, so that it rests on the evidence of its groups alone. `how_to_get` is what a user must
    do where access is not open.
    """

    id: Slug
    title: str
    home: str | None
    role: Role
    access: Access
    how_to_get: str = ""
    licence: Licence
    citation: Citation
    archives: tuple[Archive, ...] = ()
    generator: Generator | None = None
    shares_patients: bool = False
    same_patients: tuple[str, ...] = ()
    proven: Proof = "evidence"
    groups: dict[Slug, FileGroup] = {}
    notes: str = ""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.generator is None) == (not self.groups):
            raise ValueError("a dataset has either `groups:` or a `generator:`")
        if (self.access == "generated") != (self.generator is not None):
            raise ValueError("`access: generated` and `generator:` go together")
        if self.access not in ("open", "generated") and not self.how_to_get:
            raise ValueError(f"`access: {self.access}` needs `how_to_get:`, the steps for a user")
        names = [archive.name for archive in self.archives]
        if len(set(names)) < len(names):
            raise ValueError("two of `archives:` have the same name; give each its own")
        for group_name, group in self.groups.items():
            for name in group.archives or ():
                if name not in names:
                    raise ValueError(
                        f"group {group_name} needs {name}, which is not in `archives:`"
                    )
        return self

    def archives_of(self, group: str) -> tuple[Archive, ...]:
        """The archives that a group is read from, in the order of the manifest."""
        needed = self.groups[group].archives
        return tuple(a for a in self.archives if needed is None or a.name in needed)

    def needed_by(self, group: str) -> list[str]:
        """The archives without which a group cannot be built; shared patients need those of all."""
        if self.generator:
            return []
        names = {a.name for name in self.together_with(group) for a in self.archives_of(name)}
        return [archive.name for archive in self.archives if archive.name in names]

    def patterns_of(self, archive: Archive) -> list[Pattern]:
        """What the files inside an archive are called, as far as anything is read from them."""
        return [
            pattern
            for name, group in self.groups.items()
            if archive.name in {each.name for each in self.archives_of(name)}
            for pattern in group.patterns
        ]

    def together_with(self, group: str) -> tuple[str, ...]:
        """The groups whose patients may be those of a group, itself among them."""
        if self.shares_patients:
            return tuple(self.groups)
        cohort = self.groups[group].cohort
        return tuple(
            name
            for name, other in self.groups.items()
            if name == group or (cohort and other.cohort == cohort)
        )


def read_manifest(path: Path) -> DatasetManifest:
    """Read and check one manifest.

    Raises:
        ManifestError: there is no such file, it is not YAML, or it says what cannot be; the message
            names the file, the place in it, and what to write instead.
    """
    try:
        content: Any = strict_yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ManifestError(f"There is no manifest at {path}", "Name a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path} is not YAML: {error}",
            "Put text with braces or colons in quotes, and name each key once.",
        ) from error
    try:
        manifest = DatasetManifest.model_validate(content)
    except ValidationError as error:
        lines = [f"  {_place(e['loc'])}: {_reason(e)}" for e in error.errors()]
        raise ManifestError("\n".join([f"{path} is not a dataset manifest:", *lines])) from error
    if manifest.id != path.stem:
        raise ManifestError(
            f"{path} says `id: {manifest.id}`", f"Name the file {manifest.id}.yaml."
        )
    return manifest


def _expect_fields(known: Collection[str], *patterns: str) -> None:
    for text in patterns:
        Pattern(text).check()
        unknown = sorted(set(Pattern(text).fields) - set(known))
        if unknown:
            raise ValueError(
                f"{text!r} uses {{{unknown[0]}}}, which `image:` does not have "
                f"(it has {', '.join(sorted(known)) or 'none'})"
            )


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in location) or "the whole file"


def _reason(error: ErrorDetails) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_type" and isinstance(error["input"], dict):
        return "text with braces must be in quotes"
    if error["type"] == "model_type":
        return "must be `key: value` lines"
    if error["type"] == "extra_forbidden":
        return "no such key; look for a misspelling"
    if error["type"] == "missing":
        return "this key must be given"
    return f"{message} (found {error['input']!r})" if isinstance(error["input"], str) else message
