"""A store as Croissant has it: https://docs.mlcommons.org/croissant, with its responsible-AI part.

The same store gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from megamedical.store.attributes import StoreAttributes
from megamedical.store.describing.provenance import Provenances
from megamedical.store.location import Location
from megamedical.store.tables import TABLES

FILE = "croissant.json"

_SPDX = re.compile(r"(?:CC-BY|CC0|GPL|LGPL|MIT|BSD|Apache|ODbL|ODC)[A-Za-z0-9.+-]*")

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_CONFORMS_TO = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
_TYPES = {"string": "sc:Text", "int16": "sc:Integer", "int32": "sc:Integer", "float": "sc:Float"}
_PARQUET, _ZARR = "application/x-parquet", "application/vnd.zarr; version=3"
_PIXELS = {
    "images": "(n, H, W) float16 in [0, 1], Zarr 3: shards of slices, each a chunk",
    "masks": "(m, H, W) uint8, 255 x the share of each pixel that is covered, Zarr 3",
}


def croissant(
    attributes: StoreAttributes, provenances: Provenances, tables: Mapping[str, pa.Table]
) -> bytes:
    """The content of `croissant.json`.

    Args:
        attributes: of the store.
        provenances: of its datasets, as far as they are known.
        tables: the store's.
    """
    datasets = sorted({path.partition("/")[0] for path in attributes.groups})
    known_ones = [provenances[name] for name in datasets if name in provenances]
    titles = [provenances[name].title if name in provenances else name for name in datasets]
    said = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"megamedical-{attributes.fingerprint[:12]}",
        "description": (
            "Slices of medical images with their masks, made by MegaMedical from "
            f"{', '.join(titles) or 'no dataset yet'}: {len(tables['tasks']):,} tasks, "
            f"{len(tables['examples']):,} examples of {attributes.resolution} x "
            f"{attributes.resolution} pixels."
        ),
        "conformsTo": _CONFORMS_TO,
        "version": f"{attributes.format}.0.0+{attributes.fingerprint[:12]}",
        "license": _licences(datasets, provenances),
        "citeAs": "\n\n".join(known.citation for known in known_ones if known.citation),
        "url": next((known.home for known in known_ones if known.home), None),
        "keywords": ["medical imaging", "segmentation", *_values(tables["tasks"], "modality")],
        "distribution": [*_distribution(attributes)],
        "recordSet": [_record_set(name) for name in TABLES],
        **_responsible(attributes, titles, tables),
    }
    whole = {key: value for key, value in said.items() if value not in (None, "", [])}
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


def files_in(root: bytes) -> dict[str, str]:
    """The SHA-256 of each file beside the root that others read, as the root has it."""
    return dict(json.loads(root or b"{}").get("attributes", {}).get("files", {}))


def damaged_beside(location: Location, root: bytes) -> Iterator[str]:
    """The files beside the root that are lost, or not the ones that were written, a line each."""
    for name, sha256 in files_in(root).items():
        content = location.read(name) if location.exists(name) else None
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            yield f"{name} is {'missing' if content is None else 'not as it was written'}"


def _licences(datasets: list[str], provenances: Provenances) -> list[dict[str, str]]:
    """The terms of each dataset; one may do with all of a store what all of them allow."""
    works = []
    for name in datasets:
        licence = provenances[name].licence if name in provenances else "unknown"
        work = {"@type": "sc:CreativeWork", "name": f"{name}: {licence}"}
        if _SPDX.fullmatch(licence):
            work["url"] = f"https://spdx.org/licenses/{licence}.html"
        works.append(work)
    return works


def _distribution(attributes: StoreAttributes) -> Iterator[dict[str, Any]]:
    for name, sha256 in attributes.tables.items():
        yield {
            "@type": "cr:FileObject",
            "@id": f"{name}.parquet",
            "name": f"{name}.parquet",
            "contentUrl": f"manifests/{name}.parquet",
            "encodingFormat": _PARQUET,
            "sha256": sha256,
        }
    for name, what in _PIXELS.items():
        yield {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": what,
            "encodingFormat": _ZARR,
            "includes": f"*/*/{name}/**",
        }


def _record_set(table: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{table}/{column.name}",
                "name": column.name,
                "description": column.metadata[b"meaning"].decode(),
                "dataType": _TYPES[str(column.type)],
                "source": {
                    "fileObject": {"@id": f"{table}.parquet"},
                    "extract": {"column": column.name},
                },
            }
            for column in TABLES[table]
            if str(column.type) in _TYPES
        ],
    }


def _responsible(
    attributes: StoreAttributes, titles: list[str], tables: Mapping[str, pa.Table]
) -> dict[str, Any]:
    groups = tables["groups"].to_pylist()
    missing = sum(max(0, row["expected"] - row["subjects"]) for row in groups)
    shares = ", ".join(
        f"{row['dataset']}/{row['group']}: {row['subjects']:,} subjects" for row in groups
    )
    return {
        "rai:dataCollection": (
            f"Collected by the owners of each dataset ({', '.join(titles)}) as their papers say; "
            "nothing was collected for this store."
        ),
        "rai:dataCollectionType": ["Secondary Data Analysis"],
        "rai:dataCollectionMissingData": (
            f"{missing:,} subjects that the datasets are said to have are not here, "
            f"{len(tables['failures']):,} of them because they could not be processed: see "
            "manifests/failures.parquet."
        ),
        "rai:dataPreprocessingProtocol": [
            "Volumes in canonical orientation, resampled to cubes; the middle slice, and that with "
            f"most of a label, of each plane, resized to {attributes.resolution} x "
            f"{attributes.resolution} pixels; intensities scaled to [0, 1].",
            "Patients were put into train, dev and test at random, 60, 20 and 20 percent, by the "
            f"seed {attributes.seed}; no patient is in two.",
        ],
        "rai:dataAnnotationProtocol": [
            "Labels are those of each dataset's owners; none was drawn or changed for this store."
        ],
        "rai:dataBiases": [
            f"Hospitals, devices and patients are those of the datasets: {shares or 'none'}.",
        ],
        "rai:dataLimitations": [
            "Slices of a low resolution: not for diagnosis, nor for measuring.",
            "Subjects that are known to be wrong are left out, or marked in subjects.parquet.",
        ],
        "rai:dataUseCases": [
            "Training and comparing methods of segmentation, in context above all. Datasets of "
            "role heldout are for testing only."
        ],
        "rai:personalSensitiveInformation": [
            "Images of people, without names, as their owners made them public; patients and "
            "subjects are called as in the files of the owners. Who has agreed with them not to "
            "identify anybody is bound by it here too."
        ],
    }


def _values(table: pa.Table, column: str) -> list[str]:
    return sorted(set(table[column].to_pylist()))
