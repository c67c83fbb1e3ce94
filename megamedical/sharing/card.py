"""The card of an exported dataset: what it is, on what terms, and whom to cite."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
import yaml

from megamedical.store.describing.provenance import Provenances
from megamedical.store.store import Store
from megamedical.store.tables import SHARES

_SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_KNOWN = re.compile(r"(?:CC-BY(?:-[A-Z]{2})*-\d\.\d|CC0-1\.0|Apache-2\.0|MIT|GPL-3\.0)")


def card(store: Store, tasks: pd.DataFrame, provenances: Provenances) -> str:
    """The `README.md` of an export, with the YAML that Hugging Face reads.

    Args:
        store: what was exported.
        tasks: the rows of its tasks that were.
        provenances: of their datasets.
    """
    head = yaml.safe_dump(_head(tasks, provenances), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{head}---\n",
        f"# Slices with masks: {', '.join(known.title for known in provenances.values())}\n",
        "Made by MegaMedical from the archives of the datasets' owners: middle slices, and those "
        f"with most of a label, {store.resolution} x {store.resolution} pixels; from the store "
        f"`{store.attributes.fingerprint[:12]}`, seed of the splits {store.attributes.seed}. No "
        "patient is in two splits. Datasets of role `heldout` are for testing only. Not for "
        "diagnosis.\n",
        "`image` is a PNG of 16 bits, 65,535 x the value in [0, 1]; `mask` one of 8 bits, 255 x "
        "the share of each pixel that the label covers.\n",
        "## Licences\n\nEach dataset keeps its own; what you make of it is bound by them.\n",
        _table(
            ("dataset", "licence", "commercial use", "home"),
            [
                (name, known.licence, _said(known.commercial), known.home or "")
                for name, known in provenances.items()
            ],
        ),
        "## Tasks\n",
        _table(
            ("task", *SHARES),
            [(row.task, *(getattr(row, split) for split in SHARES)) for row in tasks.itertuples()],
        ),
        "## Citation\n\nCite each dataset that you use.\n",
        "```bibtex\n" + "\n\n".join(known.citation for known in provenances.values()) + "\n```\n",
    ]
    return "\n".join(parts)


def _head(tasks: pd.DataFrame, provenances: Provenances) -> dict[str, object]:
    licences = {known.licence for known in provenances.values()}
    (one,) = licences if len(licences) == 1 else ("",)
    is_known = bool(_KNOWN.fullmatch(one))
    terms = {"license": one.lower()} if is_known else {"license": "other"}
    if not is_known:
        terms |= {"license_name": "of-each-dataset", "license_link": "README.md"}
    examples = int(tasks[list(SHARES)].to_numpy().sum())
    counts = {name: own[list(SHARES)].sum() for name, own in tasks.groupby("dataset")}
    whole = {split: [name for name in counts if counts[name][split]] for split in SHARES}
    return {
        **terms,
        "task_categories": ["image-segmentation"],
        "tags": ["medical", *sorted(set(tasks["modality"]))],
        "size_categories": [_size(examples)],
        "configs": [
            {"config_name": "default", "data_files": _files(whole), "default": True},
            *(
                {
                    "config_name": name,
                    "data_files": _files({s: [name] for s in SHARES if counts[name][s]}),
                }
                for name in counts
            ),
        ],
    }


def _files(datasets: dict[str, list[str]]) -> list[dict[str, object]]:
    return [
        {"split": split, "path": [f"{name}/{split}-*" for name in names]}
        for split, names in datasets.items()
        if names
    ]


def _size(examples: int) -> str:
    """The class of a number, as Hugging Face has them."""
    words = ["1K", "10K", "100K", "1M", "10M"]
    for place, most in enumerate(_SIZES):
        if examples < most:
            return f"n<{words[0]}" if place == 0 else f"{words[place - 1]}<n<{words[place]}"
    return "10M<n<100M"


def _said(allowed: bool | None) -> str:
    return "not stated" if allowed is None else "yes" if allowed else "no"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"
