"""Wholes of which a part is here, images without annotation, subjects known to be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from miniatures import ct  # noqa: F401
from miniatures.archives import write_mirror
from miniatures.collection import MINIATURES

from megamedical import BuildReport, build, open_store, plan
from megamedical.catalogue.datasets import Catalog, Selection, catalog
from megamedical.catalogue.honesty import KnownError
from megamedical.catalogue.manifest import DatasetManifest

pytestmark = pytest.mark.filterwarnings("ignore:Object at manifests is not recognized")

CATALOGUE = catalog()
LUNA = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
SEGTHOR = "segthor/train"


def run(folder: Path, dataset: DatasetManifest, **options) -> BuildReport:
    return build(
        dataset.id,
        store=folder / options.pop("store", "store"),
        raw=folder / "raw",
        mirror=folder / "mirror",
        resolution=32,
        workers_count=0,
        offline=True,
        manifests=Catalog({dataset.id: dataset}),
        **options,
    )


def subjects(folder: Path, store: str = "store") -> dict[str, list[str]]:
    table = open_store(folder / store).subjects
    return dict(zip(table["subject"], table["known_errors"].map(list), strict=True))


def records(folder: Path) -> dict[Path, int]:
    """When each staged record was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("raw/*/staged/**/*.n*")}


def test_a_part_of_a_whole_is_built_and_completed_later(tmp_path):
    luna, whole = CATALOGUE["luna16"], MINIATURES["luna16"]().archives
    part = {name: members for name, members in whole.items() if name != "subset9.zip"}
    write_mirror(tmp_path / "mirror", {"luna16": part})
    (needs,) = plan([Selection(luna)], raw=tmp_path / "raw", mirror=tmp_path / "mirror").datasets
    assert needs.in_part == ("luna16/lungs",)
    assert needs.by_hand == ("subset9.zip",)

    report = run(tmp_path, luna)
    assert not report.failures
    (missing,) = report.missing
    assert (missing.groups, missing.in_part) == ([], ["luna16/lungs"])
    (group,) = report.groups
    assert (group.subjects, group.expected, group.is_partial) == (2, 888, True)
    at_first = {
        path: path.stat().st_mtime_ns for path in tmp_path.glob("raw/luna16/staged/**/*.n*")
    }
    assert at_first

    write_mirror(tmp_path / "mirror", {"luna16": {"subset9.zip": whole["subset9.zip"]}})
    completed = run(tmp_path, luna)
    assert completed.is_complete
    assert completed.groups[0].subjects == 3
    assert completed.fingerprint != report.fingerprint
    assert at_first.items() < records(tmp_path).items(), "a subject was processed again"

    at_once = run(tmp_path, luna, store="at once")
    assert at_once.fingerprint == completed.fingerprint


def test_archives_that_are_missing_alike_are_told_together(megamedical, tmp_path):
    whole = MINIATURES["luna16"]().archives
    here = ("subset0.zip", "seg-lungs-LUNA16.zip")
    write_mirror(tmp_path / "mirror", {"luna16": {name: whole[name] for name in here}})
    where = ("--store", tmp_path / "store", "--mirror", tmp_path / "mirror")
    how = ("--resolution", 32, "--workers", 0, "--offline", "--no-checksum")
    told = megamedical("build", "luna16", *where, *how)
    said = " ".join(told.output.split())
    assert told.exit_code == 3
    assert said.count("subset1.zip of luna16 is not here") == 1
    assert said.count("Download subset0.zip to subset9.zip") == 1
    assert "The same holds for subset2.zip, subset3.zip, subset4.zip, subset5.zip," in said
    assert said.count("Built in part: luna16/lungs") == 1


@pytest.mark.parametrize("lacking", ["seg-lungs-LUNA16.zip", "subset"])
def test_without_what_all_parts_need_nothing_is_built(tmp_path, lacking):
    whole = MINIATURES["luna16"]().archives
    here = {name: members for name, members in whole.items() if not name.startswith(lacking)}
    write_mirror(tmp_path / "mirror", {"luna16": here})
    report = run(tmp_path, CATALOGUE["luna16"])
    assert report.groups == []
    assert all(missing.groups == ["luna16/lungs"] for missing in report.missing)


def test_an_image_without_annotation_by_design_is_no_failure(tmp_path):
    segthor = CATALOGUE["segthor"]
    mini = MINIATURES["segthor"]()
    image = mini.archives["SegTHOR.zip"]["Patient_01/Patient_01.nii.gz"]
    mini.put("SegTHOR.zip", "Patient_41/Patient_41.nii.gz", image)
    write_mirror(tmp_path / "mirror", {"segthor": mini.archives})
    (failure,) = run(tmp_path, segthor).failures
    assert failure.subject == "Patient_41.nii.gz"

    group = segthor.groups["train"].model_copy(
        update={"without_mask": ("Patient_{patient:4[1-9]}/Patient_{patient}.nii.gz",)}
    )
    report = run(tmp_path, segthor.model_copy(update={"groups": {"train": group}}))
    assert report.is_complete
    assert sorted(subjects(tmp_path)) == ["01", "02", "40"]


def test_what_is_known_to_be_wrong_is_left_out_unless_it_is_asked_for(tmp_path):
    errors = (
        KnownError(subjects=("02",), what="another's mask", sources=("a paper",), done="left out"),
        KnownError(subjects=("40",), what="a hole in it", sources=("an issue",), done="kept"),
        KnownError(subjects=("99",), what="is not here", sources=("a page",), done="left out"),
    )
    plain = CATALOGUE["segthor"]
    segthor = plain.model_copy(update={"known_errors": errors})
    write_mirror(tmp_path / "mirror", {"segthor": MINIATURES["segthor"]().archives})

    dropped = run(tmp_path, segthor)
    assert dropped.is_complete
    assert (dropped.groups[0].subjects, dropped.groups[0].left_out) == (2, 1)
    assert subjects(tmp_path) == {"01": [], "40": ["a hole in it"]}

    kept = run(tmp_path, segthor, store="kept", known_errors="keep")
    assert (kept.groups[0].subjects, kept.groups[0].left_out) == (3, 0)
    assert subjects(tmp_path, "kept")["02"] == ["another's mask"]

    unknown = run(tmp_path, plain, store="unknown")
    assert len({dropped.fingerprint, kept.fingerprint, unknown.fingerprint}) == 3
    again = run(tmp_path, segthor, store="again")
    assert again.fingerprint == dropped.fingerprint
