"""A build: archives in, a store out that anybody can open."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zarr
from miniatures import (
    DATASETS,
    RESOLUTION,
    build_miniatures,
    contents,
    drive,
    hippocampus,
    stare,
    wbc,
    write_mirror,
)
from PIL import Image

from megamedical.building import group_job as packing
from megamedical.building import group_plan as planning
from megamedical.building import subject_job as processing
from megamedical.catalogue.datasets import catalog
from megamedical.errors import MegaMedicalError, SelectionError, StoreError
from megamedical.store import array_writer
from megamedical.store.verification import verify
from megamedical.subjects import matching as subjects

SLICE = (RESOLUTION, RESOLUTION)

# Zarr wonders about the tables beside its groups.
pytestmark = pytest.mark.filterwarnings("ignore:Object at manifests is not recognized")

# Subjects and tasks: ACDC has three labels in the mid and max slices of one plane, the hippocampus
# two labels in three planes, a picture one task per label.
EXPECTED = {
    "acdc/challenge2017": (10, 6),
    "drive/first-observer": (6, 1),
    "drive/second-observer": (3, 1),
    "msd/hippocampus": (5, 12),
    "stare/ah": (4, 1),
    "stare/vk": (4, 1),
    "wbc/cv": (4, 2),
    "wbc/jtsc": (5, 2),
}

STRING, COUNT, SHARE = pa.string(), pa.int32(), pa.float32()
COLUMNS = {
    "groups": {
        "dataset": STRING,
        "group": STRING,
        "subjects": COUNT,
        "expected": COUNT,
        "images": COUNT,
        "masks": COUNT,
        "fingerprint": STRING,
        "checksum": STRING,
    },
    "tasks": {
        "task": STRING,
        "dataset": STRING,
        "group": STRING,
        "modality": STRING,
        "plane": STRING,
        "slicing": STRING,
        "label": STRING,
        "role": STRING,
        "train": COUNT,
        "dev": COUNT,
        "test": COUNT,
        "empty": COUNT,
        "fingerprint": STRING,
    },
    "examples": {
        "task": STRING,
        "subject": STRING,
        "patient": STRING,
        "split": STRING,
        "image": COUNT,
        "mask": COUNT,
        "slice": pa.int16(),
        "area": SHARE,
    },
    "subjects": {
        "dataset": STRING,
        "group": STRING,
        "subject": STRING,
        "patient": STRING,
        "split": STRING,
        "fields": pa.map_(STRING, STRING),
        "files": pa.list_(
            pa.struct([pa.field("path", STRING, False), pa.field("sha256", STRING, False)])
        ),
        "spacing": pa.list_(SHARE),
        "shape": pa.list_(COUNT),
        "orientation": STRING,
        "known_errors": pa.list_(STRING),
    },
    "failures": dict.fromkeys(("dataset", "group", "subject", "stage", "file", "reason"), STRING),
}


def table(store, name) -> pd.DataFrame:
    return pd.read_parquet(store / "manifests" / f"{name}.parquet")


def groups(store) -> dict[str, zarr.Group]:
    """The groups of a store that hold arrays, as plain zarr finds them."""
    root = zarr.open_group(store, mode="r")
    return {
        f"{dataset}/{name}": group
        for dataset, datasets in root.groups()
        for name, group in datasets.groups()
    }


@pytest.fixture
def processed(monkeypatch) -> list[str]:
    """The subjects whose files are read, as `<dataset>/<group> <subject>`."""
    read, subjects = processing.read_subject, []

    def spy(job):
        subjects.append(f"{job.dataset}/{job.group_name} {job.subject.name}")
        return read(job)

    monkeypatch.setattr(processing, "read_subject", spy)
    return subjects


class TestAStore:
    """Opened with zarr, pyarrow and pandas, and no code of this project."""

    def test_has_the_expected_groups_and_counts(self, built):
        assert built.report.is_complete
        subjects, tasks = table(built.store, "subjects"), table(built.store, "tasks")
        by_group = subjects.groupby(["dataset", "group"]).size()
        counts = {
            f"{dataset}/{group}": (int(count), int(tasks_of.loc[dataset, group]))
            for tasks_of in [tasks.groupby(["dataset", "group"]).size()]
            for (dataset, group), count in by_group.items()
        }
        synthetic = {path: counts.pop(path) for path in list(counts) if "synthetic" in path}
        assert counts == EXPECTED
        assert {path: found[0] for path, found in synthetic.items()} == {
            "synthetic/task-0000": 5,
            "synthetic/task-0001": 5,
        }
        assert table(built.store, "failures").empty

    def test_reports_what_it_holds(self, built):
        outcomes = {outcome.path: outcome for outcome in built.report.groups}
        arrays = groups(built.store)
        assert set(outcomes) == set(arrays) >= set(EXPECTED)
        for path, outcome in outcomes.items():
            shapes = arrays[path]["images"].shape[0], arrays[path]["masks"].shape[0]
            assert (outcome.images, outcome.masks) == shapes
            assert (outcome.failed, outcome.was_there) == (0, False)
            if path in EXPECTED:
                assert (outcome.subjects, outcome.tasks) == EXPECTED[path]

    def test_has_sharded_arrays_with_one_slice_a_chunk(self, built):
        for group in groups(built.store).values():
            images, masks = group["images"], group["masks"]
            assert (images.dtype, masks.dtype) == (np.float16, np.uint8)
            for array in (images, masks):
                assert array.shape[1:] == SLICE
                assert array.chunks == (1, *SLICE)
                assert array.shards[0] > 1
                assert array.shards[1:] == SLICE
                assert array.shape[0] > 0

    def test_has_images_from_0_to_1(self, built):
        for path, group in groups(built.store).items():
            images = group["images"][:]
            assert np.isfinite(images).all()
            assert images.min() >= 0, path
            assert images.max() <= 1, path
            assert (images.max(axis=(1, 2)) > 0.3).all(), path

    @pytest.mark.parametrize("name", COLUMNS)
    def test_has_the_documented_columns(self, built, name):
        schema = pq.read_schema(built.store / "manifests" / f"{name}.parquet")
        assert dict(zip(schema.names, schema.types, strict=True)) == COLUMNS[name]
        assert not any(field.nullable for field in schema)
        assert all(field.metadata[b"meaning"] for field in schema)

    def test_says_what_each_mask_covers(self, built):
        arrays = {path: group["masks"][:] for path, group in groups(built.store).items()}
        for example in table(built.store, "examples").itertuples():
            mask = arrays["/".join(example.task.split("/")[:2])][example.mask]
            assert example.area == pytest.approx(mask.mean() / 255, abs=1e-6)
            assert example.area > 0 or "/mid/" in example.task

    def test_points_each_example_to_its_own_image_and_mask(self, built):
        """The pictures of the archives, shrunk plainly, are most like the slices pointed to."""
        (members,) = wbc().values()
        cells = groups(built.store)["wbc/jtsc"]
        examples = table(built.store, "examples").set_index(["task", "subject"])
        for label, value in (("cytoplasm", 128), ("nucleus", 255)):
            rows = examples.loc[f"wbc/jtsc/microscopy/2d/mid/{label}"]
            assert list(rows.index) == ["001", "002", "003", "004", "005"]
            for subject, row in rows.iterrows():
                path = f"segmentation_WBC-master/Dataset 1/{subject}"
                image = Image.open(io.BytesIO(members[f"{path}.bmp"])).convert("L")
                mask = np.asarray(Image.open(io.BytesIO(members[f"{path}.png"]))) == value
                shown = Image.fromarray((mask * 255).astype(np.uint8))
                assert closest(cells["images"], image) == row["image"]
                assert closest(cells["masks"], shown) == row["mask"]

    def test_lets_the_labels_of_a_slice_share_its_image(self, built):
        rows = table(built.store, "examples")
        rows = rows[rows["task"].str.startswith("wbc/")]
        assert (
            rows.groupby([rows["task"].str.split("/").str[1], "subject"])["image"]
            .nunique()
            .eq(1)
            .all()
        )
        assert rows.groupby(rows["task"].str.split("/").str[1])["mask"].nunique().to_dict() == {
            "cv": 8,
            "jtsc": 10,
        }

    def test_knows_subjects_by_what_their_files_say(self, built):
        subjects = table(built.store, "subjects").set_index(["dataset", "subject"])
        late = subjects.loc["acdc", "patient090-ED"]
        assert dict(late["fields"])["frame"] == "04"
        assert [file["path"].rpartition("/")[2] for file in late["files"]] == [
            "patient090_frame04.nii.gz",
            "patient090_frame04_gt.nii.gz",
        ]
        assert list(late["shape"]) == [6, 20, 24]
        assert list(late["spacing"]) == [10.0, 1.5, 1.5]
        assert late["patient"] == "patient090"

    def test_keeps_the_frames_of_a_patient_in_one_split(self, built):
        subjects = table(built.store, "subjects")
        assert subjects.groupby(["dataset", "patient"])["split"].nunique().eq(1).all()

    def test_ignores_stray_greys_and_reads_palette_indices(self, built):
        tasks = table(built.store, "tasks")
        assert set(tasks[tasks["dataset"] == "wbc"]["label"]) == {"cytoplasm", "nucleus"}
        second = table(built.store, "examples").query("task.str.startswith('drive/second')")
        assert second["area"].between(0.05, 0.4).all()

    def test_has_nothing_but_arrays_and_tables(self, built):
        kinds = {path.name for path in built.store.rglob("*") if path.is_file()}
        assert {name for name in kinds if not name.isdecimal()} == {
            "zarr.json",
            "croissant.json",
            ".lock",
            *(f"{name}.parquet" for name in COLUMNS),
        }
        assert not built.raw.is_relative_to(built.store)

    def test_says_what_it_is(self, built):
        said = zarr.open_group(built.store, mode="r").attrs["megamedical"]
        assert said["resolution"] == RESOLUTION
        assert said["seed"] == 0
        assert set(said["groups"]) == set(groups(built.store))
        assert said["fingerprint"] == built.report.fingerprint

    def test_is_the_same_in_many_shards(self, mirror, built, tmp_path, monkeypatch):
        monkeypatch.setattr(array_writer, "IMAGE_SHARD", 4)
        monkeypatch.setattr(array_writer, "MASK_SHARD", 7)
        build_miniatures("acdc", "msd", store=tmp_path / "store", mirror=mirror)
        for path, group in groups(tmp_path / "store").items():
            for name in ("images", "masks"):
                assert group[name].shards[0] < group[name].shape[0]
                assert np.array_equal(group[name][:], groups(built.store)[path][name][:])


def closest(slices, picture: Image.Image) -> int:
    """The slice that is most like a picture."""
    shrunk = np.asarray(picture.resize(SLICE, Image.Resampling.BILINEAR), dtype=float).ravel()
    likeness = [np.corrcoef(shrunk, each.ravel().astype(float))[0, 1] for each in slices[:]]
    return int(np.argmax(likeness))


class TestAnExistingStore:
    def test_gets_more_datasets_and_keeps_what_it_has(self, mirror, tmp_path):
        store = tmp_path / "store"
        build_miniatures("wbc", "stare", store=store, mirror=mirror)
        before = contents(store)

        report = build_miniatures("msd", store=store, mirror=mirror)

        assert [outcome.path for outcome in report.groups] == ["msd/hippocampus"]
        after = contents(store)
        arrays = {path: found for path, found in before.items() if "/c/" in path}
        assert arrays.items() <= after.items()
        assert set(groups(store)) == {"msd/hippocampus", *(p for p in EXPECTED if p[0] in "ws")}
        assert set(table(store, "subjects")["dataset"]) == {"msd", "stare", "wbc"}

    def test_is_the_same_whatever_came_first(self, mirror, built, tmp_path):
        store = tmp_path / "store"
        for name in ("wbc/cv", "synthetic", "stare", "wbc", "msd", "drive", "acdc"):
            build_miniatures(name, store=store, mirror=mirror)
        assert contents(store) == contents(built.store)

    def test_is_left_alone_when_nothing_changed(self, mirror, tmp_path, processed):
        store = tmp_path / "store"
        build_miniatures("wbc", "synthetic", store=store, mirror=mirror)
        assert len(processed) == 9 + 10
        before = contents(store)
        processed.clear()

        report = build_miniatures("wbc", "synthetic", store=store, mirror=mirror)

        assert processed == []
        assert contents(store) == before
        assert [outcome.was_there for outcome in report.groups] == [True] * 4
        assert [outcome.subjects for outcome in report.groups] == [5, 5, 5, 4]

    def test_is_made_again_from_records_without_reading_a_file(self, mirror, tmp_path, processed):
        store = tmp_path / "store"
        build_miniatures("wbc", store=store, mirror=mirror)
        before = contents(store)
        processed.clear()
        shutil.rmtree(store)

        build_miniatures("wbc", store=store, mirror=mirror)

        assert processed == []
        assert contents(store) == before

    def test_is_made_anew_where_an_archive_changed(self, tmp_path, processed):
        archives, mirror = wbc(), tmp_path / "mirror"
        write_mirror(mirror, {"wbc": archives, "stare": stare()})
        build_miniatures("wbc", "stare", store=tmp_path / "store", mirror=mirror)
        (members,) = archives.values()
        del members["segmentation_WBC-master/Dataset 1/005.bmp"]
        del members["segmentation_WBC-master/Dataset 1/005.png"]
        write_mirror(mirror, {"wbc": archives, "stare": stare()})
        processed.clear()

        build_miniatures("wbc", "stare", store=tmp_path / "store", mirror=mirror)

        assert {subject.split("/")[0] for subject in processed} == {"wbc"}
        build_miniatures("wbc", "stare", store=tmp_path / "new", mirror=mirror)
        assert contents(tmp_path / "store") == contents(tmp_path / "new")
        assert groups(tmp_path / "store")["wbc/jtsc"]["images"].shape == (4, *SLICE)

    def test_notices_another_role(self, mirror, tmp_path):
        store = tmp_path / "store"
        build_miniatures("msd", store=store, mirror=mirror)
        dev = catalog()["msd"].model_copy(update={"role": "dev"})
        manifests = type(catalog())({"msd": dev})
        build_miniatures("msd", store=store, mirror=mirror, manifests=manifests)
        assert set(table(store, "tasks")["role"]) == {"dev"}

    @pytest.mark.parametrize(("key", "value"), [("resolution", 48), ("seed", 1)])
    def test_takes_no_other_resolution_or_seed(self, mirror, built, store, key, value):
        with pytest.raises(StoreError, match=f"has {key}") as error:
            build_miniatures(store=store, mirror=mirror, **{key: value})
        assert f"--{key} {32 if key == 'resolution' else 0}" in error.value.remedy
        assert contents(store) == contents(built.store)


class TestTheRawFolder:
    def test_is_beside_the_store_unless_told_otherwise(self, mirror, tmp_path):
        build_miniatures("wbc", store=tmp_path / "a" / "store", mirror=mirror)
        assert (tmp_path / "a" / "raw" / "wbc" / "unpacked").is_dir()
        build_miniatures("wbc", store=tmp_path / "b" / "store", raw=tmp_path / "c", mirror=mirror)
        assert (tmp_path / "c" / "wbc" / "unpacked").is_dir()
        assert not (tmp_path / "b" / "raw").exists()

    def test_may_serve_stores_of_several_resolutions(self, mirror, tmp_path):
        raw = tmp_path / "raw"
        for resolution in (32, 48, 32):
            store = tmp_path / str(resolution)
            report = build_miniatures(
                "stare", store=store, raw=raw, mirror=mirror, resolution=resolution
            )
        assert [outcome.was_there for outcome in report.groups] == [True, True]
        assert groups(tmp_path / "48")["stare/vk"]["images"].shape == (4, 48, 48)


class TestWhatCannotBeHad:
    @pytest.fixture
    def mirror(self, tmp_path):
        """A mirror of one's own, from which archives are taken away."""
        datasets = {name: DATASETS[name]() for name in ("wbc", "stare", "drive")}
        return write_mirror(tmp_path / "mirror", datasets)

    def test_is_listed_with_what_to_do_and_the_rest_is_built(self, mirror, tmp_path, megamedical):
        (mirror / "stare" / "labels-ah.tar").unlink()
        result = megamedical(
            *("build", "wbc", "stare", "--offline", "--workers", 0, "--resolution", 32),
            *("--store", tmp_path / "store", "--mirror", mirror),
        )
        assert result.exit_code == 3
        assert "labels-ah.tar of stare is not here" in result.output
        assert f"Put labels-ah.tar into {tmp_path}" in result.output
        assert "Left out: stare/vk, stare/ah" in result.output
        assert set(groups(tmp_path / "store")) == {"wbc/cv", "wbc/jtsc"}
        assert table(tmp_path / "store", "failures").empty

    def test_leaves_out_only_the_groups_that_need_it(self, tmp_path):
        manifests = two_groups(tmp_path)
        (tmp_path / "mirror" / "cells" / "right.zip").unlink()
        report = build_miniatures(
            "cells", store=tmp_path / "store", mirror=tmp_path / "mirror", manifests=manifests
        )
        (missing,) = report.missing
        assert missing.groups == ["cells/right"]
        assert "right.zip" in missing.what
        assert set(groups(tmp_path / "store")) == {"cells/left"}

    def test_is_not_asked_for_by_a_group_that_does_not_need_it(self, tmp_path):
        manifests = two_groups(tmp_path)
        (tmp_path / "mirror" / "cells" / "right.zip").unlink()
        report = build_miniatures(
            "cells/left", store=tmp_path / "store", mirror=tmp_path / "mirror", manifests=manifests
        )
        assert report.is_complete
        assert set(groups(tmp_path / "store")) == {"cells/left"}

    def test_is_what_has_another_checksum(self, mirror, tmp_path):
        damaged = mirror / "wbc" / "segmentation_WBC-master.zip"
        damaged.write_bytes(damaged.read_bytes() + b"\0")
        report = build_miniatures("wbc", "stare", store=tmp_path / "store", mirror=mirror)
        (missing,) = report.missing
        assert missing.groups == ["wbc/jtsc", "wbc/cv"]
        assert "sha256" in missing.what
        assert "SHA256SUMS" in missing.what
        assert "--no-checksum" in missing.remedy
        assert set(groups(tmp_path / "store")) == {"stare/ah", "stare/vk"}
        assert not (tmp_path / "raw" / "wbc" / "unpacked").exists()

    def test_is_taken_without_checksum_where_one_insists(self, mirror, tmp_path, megamedical):
        sums = mirror / "SHA256SUMS"
        sums.write_text(sums.read_text().replace(sums.read_text()[:8], "00000000"))
        arguments = ("build", "drive", "--offline", "--workers", 0, "--mirror", mirror, "--store")
        refused = megamedical(*arguments, tmp_path / "store")
        assert refused.exit_code == 3
        assert "Left out: drive/first-observer, drive/second-observer" in refused.output
        taken = megamedical(*arguments, tmp_path / "store", "--no-checksum")
        assert taken.exit_code == 0
        assert "Checksums are not checked" in taken.output
        assert len(groups(tmp_path / "store")) == 2

    def test_may_be_everything(self, tmp_path, megamedical):
        store = tmp_path / "store"
        result = megamedical("build", "acdc", "--offline", "--workers", 0, "--store", store)
        assert result.exit_code == 3
        assert "Left out: acdc/challenge2017" in result.output
        assert all(table(store, name).empty for name in COLUMNS)

    def test_comes_later_and_completes_the_store(self, mirror, tmp_path):
        store = tmp_path / "store"
        away = shutil.move(mirror / "stare", tmp_path / "away")
        assert not build_miniatures("wbc", "stare", store=store, mirror=mirror).is_complete
        shutil.move(away, mirror / "stare")
        assert build_miniatures("wbc", "stare", store=store, mirror=mirror).is_complete
        build_miniatures("wbc", "stare", store=tmp_path / "at-once", mirror=mirror)
        assert contents(store) == contents(tmp_path / "at-once")


def test_a_dataset_that_is_not_in_the_catalogue_makes_no_store(tmp_path):
    with pytest.raises(SelectionError, match="stair"):
        build_miniatures("stair", store=tmp_path / "store", mirror=None)
    assert not (tmp_path / "store").exists()


def test_what_no_reader_is_installed_for_is_left_out_and_the_rest_is_built(tmp_path, monkeypatch):
    """DRIVE's annotators have the same patients, so neither is built where one cannot be read."""

    def find_or_fail(dataset, name, group, tree, **options):
        if name == "second-observer":
            raise MegaMedicalError("It needs PyAV", "pip install 'megamedical[video]'")
        return subjects.find_subjects(dataset, name, group, tree, **options)

    monkeypatch.setattr(planning, "find_subjects", find_or_fail)
    mirror = write_mirror(tmp_path / "mirror", {"drive": drive(), "wbc": wbc()})
    report = build_miniatures("drive", "wbc", store=tmp_path / "store", mirror=mirror)
    (missing,) = report.missing
    assert missing.groups == ["drive/first-observer", "drive/second-observer"]
    assert missing.remedy == "pip install 'megamedical[video]'"
    assert {group.path for group in report.groups} == {"wbc/cv", "wbc/jtsc"}


def test_splits_depend_on_the_seed_and_on_nothing_else(mirror, tmp_path):
    cases = [f"{number:03d}" for number in range(1, 13)]
    write_mirror(tmp_path / "mirror", {"msd": hippocampus(cases)})
    splits = []
    for seed in (0, 1):
        store = tmp_path / str(seed)
        build_miniatures("msd", store=store, mirror=tmp_path / "mirror", seed=seed)
        splits.append(table(store, "subjects").set_index("subject")["split"])
        assert splits[-1].value_counts().to_dict() == {"train": 7, "dev": 3, "test": 2}
    assert not splits[0].equals(splits[1])


def test_the_stages_are_told_to_a_listener(mirror, tmp_path):
    steps = {}

    class Ledger:
        @contextmanager
        def stage(self, name: str, total: int, unit: str) -> Iterator:
            done = []
            yield lambda what="": done.append(what)
            steps[name] = (len(done), total, unit)

        def say(self, line: str) -> None: ...

    build_miniatures("stare", store=tmp_path / "store", mirror=mirror, listener=Ledger())
    assert steps == {
        "obtain": (3, 3, "archives"),
        "process": (8, 8, "subjects"),
        "pack": (2, 2, "groups"),
    }


def test_other_code_gives_another_fingerprint(mirror, tmp_path, monkeypatch):
    first = build_miniatures("stare", store=tmp_path / "a", mirror=mirror).fingerprint
    assert build_miniatures("stare", store=tmp_path / "b", mirror=mirror).fingerprint == first
    monkeypatch.setattr(processing, "PROCESSING", "next")
    monkeypatch.setattr(packing, "PROCESSING", "next")
    assert build_miniatures("stare", store=tmp_path / "a", mirror=mirror).fingerprint != first


def test_a_group_whose_labels_are_all_too_small_has_no_tasks(tmp_path):
    manifests = two_groups(tmp_path, minimum_area=0.5)
    for was_there in (False, True):
        report = build_miniatures(
            "cells", store=tmp_path / "store", mirror=tmp_path / "mirror", manifests=manifests
        )
        assert [(found.tasks, found.was_there) for found in report.groups] == [(0, was_there)] * 2
    assert table(tmp_path / "store", "tasks").empty
    assert verify(tmp_path / "store").problems == ()


def two_groups(folder, **facts):
    """A dataset `cells` whose groups `left` and `right` come from archives of their own."""
    (members,) = wbc().values()
    sides = {
        side: {
            path.replace("segmentation_WBC-master/Dataset 1", side): content
            for path, content in members.items()
            if path.startswith("segmentation_WBC-master/Dataset 1/")
        }
        for side in ("left", "right")
    }
    write_mirror(folder / "mirror", {"cells": {f"{s}.zip": sides[s] for s in sides}})
    manifest = {
        "id": "cells",
        "title": "Two sides",
        "home": None,
        "role": "extra",
        "access": "open",
        "licence": {"name": "none"},
        "citation": {"title": "none", "authors": "nobody", "year": 2024},
        "archives": [{"name": f"{side}.zip"} for side in sides],
        "groups": {
            side: {
                "archives": [f"{side}.zip"],
                "modality": "microscopy",
                "dimension": 2,
                "subjects": 5,
                "image": f"{side}/{{cell}}.bmp",
                "mask": {"decode": "values", "file": f"{side}/{{cell}}.png"},
                "labels": {255: "nucleus"},
                "subject": "{cell}",
                "patient": "{cell}",
                **facts,
            }
            for side in sides
        },
    }
    (folder / "manifests").mkdir()
    (folder / "manifests" / "cells.yaml").write_text(yaml.safe_dump(manifest))
    return catalog(folder / "manifests")
