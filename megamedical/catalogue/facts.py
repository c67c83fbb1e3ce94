"""What all facts of a manifest have in common, and the words they are said in."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z_]+$")]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Z]$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^./\\][^/\\]*$")]

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


class Facts(BaseModel):
    """Facts that cannot be changed, of which none is unknown."""

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
