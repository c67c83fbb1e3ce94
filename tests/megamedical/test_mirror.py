"""The real datasets, built from the archives as they are distributed."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from filelock import FileLock
from places import MIRROR

from benchmark.cases import find_cases
from benchmark.native.making import make_truths
from benchmark.native.truths import read_truths
from benchmark.suite import load_suite
from megamedical import build, catalog, open_store
from megamedical.building.workers import workers
from megamedical.reporting.progress import Silence
from megamedical.store.verification import verify

pytestmark = [
    pytest.mark.long,
    pytest.mark.mirror,
    pytest.mark.skipif(not MIRROR.exists(), reason=f"no real archives at {MIRROR}"),
]

SUBJECTS = {
    "acdc/challenge2017": 82,
    "drive/first-observer": 40,
    "drive/second-observer": 20,
    "mouse-brain-atlas/fvb-ncrl": 8,
    "mouse-brain-atlas/rtg4510": 17,
    "msd/hippocampus": 260,
    "stare/ah": 20,
    "stare/vk": 20,
    "wbc/cv": 100,
    "wbc/jtsc": 300,
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What a build says; of several processes of pytest, the first builds for all of them."""
    run = tmp_path_factory.getbasetemp()
    folder = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "real"
    said = folder / "report.pickle"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not said.exists():
            built = build(*SUBJECTS, store=folder / "store", mirror=MIRROR, workers_count=2)
            said.write_bytes(pickle.dumps(built))
        return pickle.loads(said.read_bytes())  # noqa: S301  (made here)


@pytest.fixture(scope="module")
def store(report):
    return open_store(report.store)


def test_every_subject_is_built(report):
    assert report.is_complete, (report.failures, report.missing)
    assert {group.path: group.subjects for group in report.groups} == SUBJECTS


def test_the_store_is_what_it_says(report):
    assert verify(report.store).problems == ()


def test_acdc_has_both_phases_of_every_patient_by_info_cfg(store):
    subjects = store.subjects[store.subjects["dataset"] == "acdc"]
    fields = subjects["fields"].map(dict)
    assert subjects.groupby("patient")["subject"].size().eq(2).all()
    assert fields.map(lambda found: found["phase"]).value_counts().to_dict() == {"ED": 41, "ES": 41}
    frames = {name: found["frame"] for name, found in zip(subjects["subject"], fields, strict=True)}
    assert frames["patient090-ED"] == "04"
    assert frames["patient090-ES"] == "11"


def test_stray_greys_of_wbc_make_no_tasks(store):
    tasks = store.tasks[store.tasks["dataset"] == "wbc"]
    assert sorted(tasks["label"].unique()) == ["cytoplasm", "nucleus"]
    assert len(tasks) == 4


def test_the_observers_of_an_eye_share_its_split(store):
    for dataset in ("drive", "stare"):
        eyes = store.subjects[store.subjects["dataset"] == dataset].groupby("patient")
        assert eyes["split"].nunique().eq(1).all()
        assert eyes.size().max() == 2


def test_splits_are_60_20_20_of_the_patients(store):
    names = [store.subjects["dataset"], store.subjects["group"].mask(_shares_patients(store), "")]
    for _, subjects in store.subjects.groupby(names):
        patients = subjects.drop_duplicates("patient")["split"].value_counts()
        for split, share in (("train", 0.6), ("dev", 0.2), ("test", 0.2)):
            assert abs(patients[split] - share * patients.sum()) < 1


def test_every_group_has_patients_in_each_split(store):
    for _, subjects in store.subjects.groupby(["dataset", "group"]):
        assert set(subjects["split"]) == {"train", "dev", "test"}


def _shares_patients(store):
    return store.subjects["dataset"].isin(["drive", "stare"])


def test_hippocampus_is_cut_in_three_planes(store):
    tasks = store.tasks[store.tasks["dataset"] == "msd"]
    assert sorted(tasks["plane"].unique()) == ["axial", "coronal", "sagittal"]
    assert len(tasks) == 3 * 2 * 2


def test_a_mouse_has_37_structures_in_three_planes(store):
    tasks = store.tasks[store.tasks["dataset"] == "mouse-brain-atlas"]
    assert tasks.groupby(["group", "plane", "slicing"]).size().eq(37).all()
    assert len(tasks) == 2 * 3 * 2 * 37


def test_the_wild_type_mice_are_in_one_group_only(store):
    mice = store.subjects[store.subjects["dataset"] == "mouse-brain-atlas"]
    files = mice["files"].explode().map(lambda file: file["sha256"])
    assert len(files) == 2 * 25
    assert files.is_unique


@pytest.mark.parametrize("group", ["fvb-ncrl", "rtg4510"])
def test_a_mouse_lies_as_its_planes_say(store, group):
    def centre(plane, label):
        """Row and column of the middle of a structure, in all of the group's mice."""
        task = f"mouse-brain-atlas/{group}/mri/{plane}/max/{label}"
        subjects = store.examples.query("task == @task")["subject"]
        masks = [store.read(task, subject)[1] for subject in subjects]
        return np.mean([np.argwhere(mask > 0.5).mean(axis=0) for mask in masks], axis=0)

    for plane in ("axial", "coronal"):
        assert centre(plane, "right-hippocampus")[1] < centre(plane, "left-hippocampus")[1]
    nose, back = (centre("sagittal", f"left-{end}") for end in ("olfactory-bulb", "cerebellum"))
    top, bottom = (centre("sagittal", f"left-{end}") for end in ("neocortex", "hypothalamus"))
    assert nose[1] < back[1]
    assert top[0] < bottom[0]


def test_plain_zarr_and_pandas_open_it(report):
    root = zarr.open_group(report.store, mode="r")
    images = root["acdc/challenge2017/images"]
    examples = pd.read_parquet(Path(report.store) / "manifests" / "examples.parquet")
    assert images.chunks == (1, 128, 128)
    used = examples[examples["task"].str.startswith("acdc/challenge2017/")]["image"]
    assert used.max() == images.shape[0] - 1


def test_a_patient_of_chaos_is_built_from_masks_of_one_bit(tmp_path):
    """The archive is a part of the whole, so that its checksum is another."""
    report = build(
        "chaos/ct", store=tmp_path / "store", mirror=MIRROR, checksum=False, workers_count=0
    )
    (group,) = report.groups
    assert (group.subjects, group.failed, group.expected) == (1, 0, 20)
    liver = open_store(tmp_path / "store").examples.set_index("task")["area"]
    assert liver["chaos/ct/ct/axial/max/liver"] > 0.02


def test_masks_are_read_again_on_the_grids_of_their_scans(store, tmp_path):
    """All are the store's to the last bit; on its scan, a slice's own mask is as good as it can."""
    suite, path = load_suite("heldout"), tmp_path / "native.parquet"
    with workers(0) as crew:
        best = make_truths(suite, store, path, crew, Silence(), catalog(), mirror=MIRROR)
    means = {task: np.mean(found) for task, found in best.items()}
    assert sum(map(len, best.values())) == 188
    assert means["stare/vk/fundus/2d/mid/vessel"] == pytest.approx(0.721, abs=0.001)
    ventricle = "acdc/challenge2017/mri/axial/mid/left-ventricle"
    assert means[ventricle] == pytest.approx(0.976, abs=0.001)
    assert min(best["wbc/cv/microscopy/2d/mid/nucleus"]) > 0.98
    shapes = {
        task.dataset: {truth.mask.shape for truth in read_truths(path, task).values()}
        for task in find_cases(suite, store).tasks
    }
    assert shapes["stare"] == {(605, 700)}
    assert (256, 240) in shapes["acdc"]
