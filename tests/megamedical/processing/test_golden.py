"""The authors' own processed slices (MedScribble), from the real archives."""

import numpy as np
import pytest
from places import SHARED

from megamedical import catalog
from megamedical.building.subject_job import Job, process
from megamedical.catalogue.group import FileGroup
from megamedical.files.folders import list_files
from megamedical.processing.slicing import slice_subject
from megamedical.reading.images import read_label_values, read_scan
from megamedical.reading.scan import LabelMap
from megamedical.subjects.matching import find_subjects
from megamedical.unpacking.archives import unpack

MIRROR = SHARED / "mirror"
GOLDEN = SHARED / "golden" / "processed_256.npz"
RESOLUTION = 256

pytestmark = [
    pytest.mark.mirror,
    pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden slices at {GOLDEN}"),
    pytest.mark.skipif(not MIRROR.exists(), reason=f"no real archives at {MIRROR}"),
]

SUBJECTS = {
    "WBC/CV": ("wbc", "cv", {"004": "004", "008": "008", "025": "025"}),
    "STARE/retrieved_2021_12_06": ("stare", "vk", {"im0044": "im0044", "im0082": "im0082"}),
    "ACDC/Challenge2017": (
        "acdc",
        "challenge2017",
        {"patient004": "patient004-ED", "patient017": "patient017-ED"},
    ),
}
LABELS = {"wbc": 128, "stare": 255, "acdc": 1}
CASES = [
    pytest.param(published, name, id=f"{dataset}-{name}")
    for published, (dataset, _, names) in SUBJECTS.items()
    for name in names
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The archives of the three datasets, unpacked."""
    raw = tmp_path_factory.mktemp("golden")
    for dataset, _, _ in SUBJECTS.values():
        for archive in catalog()[dataset].archives:
            folder = raw / dataset / archive.name
            folder.parent.mkdir(exist_ok=True)
            unpack(MIRROR / dataset / archive.name, folder, digest=None)
    return raw


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as content:
        return dict(content)


def processed(unpacked, published, name):
    """The slices of one subject and the published golden key's slice of its one label."""
    dataset, group_name, names = SUBJECTS[published]
    group = catalog()[dataset].groups[group_name]
    assert isinstance(group, FileGroup)
    tree = list_files(path for path in (unpacked / dataset).iterdir())
    subjects, _ = find_subjects(dataset, group_name, group, tree)
    (subject,) = (s for s in subjects if s.name == names[name])
    image, mask = subject.files.values()
    scan = read_scan(image, group.dimension, group.grey)
    label = group.labels[LABELS[dataset]]
    values = read_label_values(mask, group.dimension)
    slices = slice_subject(scan, LabelMap(values, {label: (LABELS[dataset],)}), group, RESOLUTION)
    slicing = "max" if dataset == "acdc" else "mid"
    (found,) = (m for m in slices.masks if slicing in m.slicings)
    axis = 2 if dataset == "acdc" else 0
    key = f"{published}/{name}_axis{axis}_{slicing}slice"
    return slices.images[found.plane, found.index], found.mask, key


@pytest.mark.parametrize(("published", "name"), CASES)
def test_published_slices_are_reproduced(unpacked, golden, published, name):
    image, mask, key = processed(unpacked, published, name)
    if published.startswith("ACDC"):  # published as (x, y)
        image, mask = image.T, mask.T
    np.testing.assert_allclose(image, golden[f"{key}/image"], atol=2e-7)
    if published.startswith("ACDC"):
        np.testing.assert_allclose(mask, golden[f"{key}/mask"], atol=1e-7)
    else:
        np.testing.assert_array_equal(mask, golden[f"{key}/mask"])


def test_what_is_stored_is_what_was_published_but_for_its_rounding(unpacked, golden, tmp_path):
    """The whole way through a record: float16 images, masks in 255 steps."""
    dataset, group_name, _ = SUBJECTS["WBC/CV"]
    group = catalog()[dataset].groups[group_name]
    tree = list_files(path for path in (unpacked / dataset).iterdir())
    subjects, _ = find_subjects(dataset, group_name, group, tree)
    subject = next(s for s in subjects if s.name == "004")
    job = Job(dataset, group_name, group, subject, RESOLUTION, tmp_path / "record.npz", "")
    assert process(job) is None
    with np.load(job.target, allow_pickle=False) as record:
        image, masks = record["images"][0], record["masks"]
    np.testing.assert_allclose(image, golden["WBC/CV/004_axis0_midslice/image"], atol=2.5e-4)
    np.testing.assert_allclose(
        masks[0] / 255, golden["WBC/CV/004_axis0_midslice/mask"], atol=0.51 / 255
    )
