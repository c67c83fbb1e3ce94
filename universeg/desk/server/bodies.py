"""What the page may send, and nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from universeg.results.labels import Label

_LONGEST = 1 << 21  # runs of a patch
_LARGEST = 1 << 31
_LONGEST_TUNING = 3600  # seconds

Whole = Annotated[int, Field(ge=0, lt=_LARGEST)]


class Body(BaseModel):
    """What is sent has the keys that are named, of the types that are named."""

    model_config = ConfigDict(extra="forbid", strict=False)


class PatchBody(Body):
    """See `Patch`."""

    label: Annotated[int, Field(ge=1, le=65535)]
    box: tuple[Whole, Whole, Whole, Whole]
    runs: Annotated[list[Whole], Field(max_length=_LONGEST)]


class EditBody(Body):
    """What was drawn on a slice, and on top of which revision."""

    revision: Whole
    plane: Annotated[str, Field(max_length=16)]
    index: Whole
    patches: Annotated[list[PatchBody], Field(max_length=64)]


class FinishBody(Body):
    """Which revision is right."""

    revision: Whole


class LabelsBody(Body):
    """All labels as they are to be."""

    labels: Annotated[list[Label], Field(max_length=64)]
    overlap: bool


class NewLabelBody(Body):
    """The name of a label that is added."""

    name: Annotated[str, Field(min_length=1, max_length=80)]


class ResultsBody(Body):
    """What is wanted: also what nobody looked at; names of patients too."""

    unseen: bool = True
    patients: bool = False


class TuneBody(Body):
    """How long the network may go on learning."""

    seconds: Annotated[float, Field(ge=1, le=_LONGEST_TUNING)]


class Nothing(Body):
    """No more than that it is asked for."""
